"""Reads headers of images as they are in RADOS: many at a time, unopened, with exact times."""

from typing import Any, Dict, Iterable, List, Tuple

import rados

from ..cluster.omap import PAGE, read_omap
from ..errors import MalformedData
from ..wire import cls_rbd
from ..wire.constants import Feature, HeaderFlag, ObjectState
from ..wire.header import ImageHeader, header_oid, object_map_oid

_AT_ONCE = 256
_MAP_BYTES = 8 << 20  # of 32 million objects


def read(ioctx: "rados.Ioctx", image_ids: Iterable[str]) -> Dict[str, ImageHeader]:
    """Return the headers by image id; without those of images that are not there, or unreadable."""
    ids = list(image_ids)
    found: Dict[str, ImageHeader] = {}
    for start in range(0, len(ids), _AT_ONCE):
        for image_id, omap in _read_some(ioctx, ids[start:start + _AT_ONCE]):
            try:
                found[image_id] = ImageHeader.from_omap(omap)
            except MalformedData:
                continue
    return found


def _read_some(ioctx: "rados.Ioctx", ids: List[str]) -> List[Tuple[str, Dict[str, bytes]]]:
    asked: List[Tuple[str, Any, Any, Any]] = []
    try:
        for image_id in ids:
            op = rados.ReadOp()
            op.create()
            entries, _ = ioctx.get_omap_vals(op, "", "", PAGE)
            asked.append((image_id, op, entries,
                          ioctx.operate_aio_read_op(op, header_oid(image_id))))
        found = []
        for image_id, _, entries, done in asked:
            done.wait_for_complete()
            if done.get_return_value() == 0:
                omap = dict(entries)
                found.append((image_id, omap if len(omap) < PAGE else read_omap(
                    ioctx, header_oid(image_id))))
        return found
    finally:
        for _, op, _, done in asked:
            done.wait_for_complete()
            op.release()


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
