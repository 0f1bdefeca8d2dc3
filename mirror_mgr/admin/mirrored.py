"""The mirrored images of a pool with all that its sites say of them, as RADOS holds it.

librbd's own list says "status not found" of what is in the state unknown, as demoted images are,
and opens each image to tell whether it is primary: thousands take longer than a command may.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

import rados
import rbd

from ..cluster.omap import read_omaps
from ..errors import MalformedData
from ..wire import cls_rbd
from ..wire.cls import Call
from ..wire.constants import ImageMode, MirrorImageState, SnapState, StatusState
from ..wire.header import MIRRORING, ImageHeader
from ..wire.journal import JournalHeader, journal_oid
from ..wire.mirror import MirrorImage, SiteStatus
from ..wire.snapshot import MirrorNamespace
from . import headers, standing

_PAGE = 128
_PAGE_BYTES = 16 << 20
_STATUS_BYTES = 1 << 20


@dataclass(frozen=True)
class Mirrored:
    """One image.

    :ivar statuses: the own site's first, if there is one; then those of other sites
    :ivar header: None where there is none, or none that can be read
    """

    id: str
    name: str
    global_id: str
    mode: ImageMode
    primary: bool
    statuses: Tuple[SiteStatus, ...]
    header: Optional[ImageHeader]


def read(ioctx: "rados.Ioctx") -> List[Mirrored]:
    """Return all mirrored images of a pool or namespace, those that are being made as well."""
    images, statuses = _list(ioctx)
    names = {entry["id"]: entry["name"] for entry in rbd.RBD().list2(ioctx)}
    return _with_headers(ioctx, images, names, statuses)


def find(ioctx: "rados.Ioctx", image_id: str, name: str) -> Optional[Mirrored]:
    """Return one image; None if it is not mirrored."""
    try:
        image = cls_rbd.decode_mirror_image_get(
            _execute(ioctx, cls_rbd.mirror_image_get(image_id), _STATUS_BYTES))
    except rados.ObjectNotFound:
        return None
    if image.state == MirrorImageState.DISABLED:
        return None
    return _with_headers(ioctx, {image_id: image}, {image_id: name},
                         {image_id: _statuses(ioctx, image.global_id)})[0]


def tell_promoted(ioctx: "rados.Ioctx", global_id: str) -> None:
    """Have what a dead worker said here of an image say that it is primary, as it is by now.

    What one that lives has said is its own to change.
    """
    own = next((one for one in _statuses(ioctx, global_id) if not one.mirror_uuid), None)
    if own is not None and not own.up:
        _execute(ioctx, cls_rbd.mirror_image_status_set(global_id, SiteStatus(
            "", StatusState.STOPPED, standing.IS_PRIMARY, time.time_ns())), _STATUS_BYTES)


def _statuses(ioctx: "rados.Ioctx", global_id: str) -> Tuple[SiteStatus, ...]:
    try:
        return cls_rbd.decode_mirror_image_status_get(
            _execute(ioctx, cls_rbd.mirror_image_status_get(global_id), _STATUS_BYTES))
    except rados.ObjectNotFound:
        return ()


def _with_headers(ioctx: "rados.Ioctx", images: Mapping[str, MirrorImage],
                  names: Mapping[str, str],
                  statuses: Mapping[str, Tuple[SiteStatus, ...]]) -> List[Mirrored]:
    known = headers.read(ioctx, images)
    journals = _journals(ioctx, [image_id for image_id, image in images.items()
                                 if image.mode == ImageMode.JOURNAL])
    return [Mirrored(
        image_id, names.get(image_id, image_id), image.global_id, image.mode,
        image.state == MirrorImageState.ENABLED and (
            _owns(journals.get(image_id)) if image.mode == ImageMode.JOURNAL
            else _is_primary(known.get(image_id))),
        statuses.get(image_id, ()), known.get(image_id)) for image_id, image in images.items()]


def _list(ioctx: "rados.Ioctx"
          ) -> Tuple[Dict[str, MirrorImage], Mapping[str, Tuple[SiteStatus, ...]]]:
    images: Dict[str, MirrorImage] = {}
    statuses: Dict[str, Tuple[SiteStatus, ...]] = {}
    while True:
        try:
            page = cls_rbd.decode_mirror_image_status_list(_execute(
                ioctx, cls_rbd.mirror_image_status_list(max(images, default=""), _PAGE),
                _PAGE_BYTES))
        except rados.ObjectNotFound:
            break
        images.update(page[0])
        statuses.update(page[1])
        if len(page[0]) < _PAGE:
            break
    return ({image_id: image for image_id, image in images.items()
             if image.state != MirrorImageState.DISABLED}, statuses)


def _execute(ioctx: "rados.Ioctx", call: Call, most_bytes: int) -> bytes:
    return bytes(ioctx.execute(MIRRORING, call.cls, call.method, call.data, most_bytes)[1])


def _journals(ioctx: "rados.Ioctx", image_ids: Iterable[str]) -> Dict[str, JournalHeader]:
    ids = list(image_ids)
    found: Dict[str, JournalHeader] = {}
    for image_id, omap in zip(ids, read_omaps(ioctx, [journal_oid(i) for i in ids])):
        if omap is not None:
            with suppress(MalformedData):
                found[image_id] = JournalHeader.from_omap(omap)
    return found


def _owns(journal: Optional[JournalHeader]) -> bool:
    try:
        return journal is not None and journal.is_primary
    except MalformedData:
        return False


def _is_primary(header: Optional[ImageHeader]) -> bool:
    """By the newest mirror snapshot, as librbd has it."""
    if header is None or not header.mirror_snapshots:
        return False
    newest = header.mirror_snapshots[-1].namespace
    return isinstance(newest, MirrorNamespace) and newest.state == SnapState.PRIMARY
