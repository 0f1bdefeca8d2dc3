"""Reads headers of images as they are in RADOS: many at a time, unopened, with exact times."""

from contextlib import suppress
from typing import Dict, Iterable

import rados

from ..cluster.omap import read_omaps
from ..errors import MalformedData
from ..wire import cls_rbd
from ..wire.constants import Feature, HeaderFlag, ObjectState
from ..wire.header import ImageHeader, header_oid, object_map_oid

_MAP_BYTES = 8 << 20  # of 32 million objects


def read(ioctx: "rados.Ioctx", image_ids: Iterable[str]) -> Dict[str, ImageHeader]:
    """Return the headers by image id; without those of images that are not there, or malformed."""
    ids = list(image_ids)
    found: Dict[str, ImageHeader] = {}
    for image_id, omap in zip(ids, read_omaps(ioctx, [header_oid(image_id) for image_id in ids])):
        if omap is not None:
            with suppress(MalformedData):
                found[image_id] = ImageHeader.from_omap(omap)
    return found


def changed_bytes(ioctx: "rados.Ioctx", image_id: str, header: ImageHeader) -> Dict[int, int]:
    """Return how many bytes, at most, were changed up to each snapshot since the one before it.

    That is by object maps: whole objects count.  0 stands for the image itself.  Empty where the
    maps do not tell.
    """
    if not header.features & Feature.FAST_DIFF or header.flags & HeaderFlag.FAST_DIFF_INVALID:
        return {}
    call = cls_rbd.object_map_load()
    found = {}
    try:
        for snap_id in (None, *header.snap_ids):
            _, data = ioctx.execute(object_map_oid(image_id, snap_id), call.cls, call.method,
                                    call.data, _MAP_BYTES)
            changed = cls_rbd.decode_object_map_load(data).cells.count(ObjectState.EXISTS)
            found[snap_id or 0] = changed * header.object_size
    except (rados.Error, MalformedData):
        return {}
    return found
