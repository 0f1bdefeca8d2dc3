"""Lets the primary site drop mirror snapshots that this site needs no longer."""

from typing import Optional

import rbd

from ..cluster.pool import Pool, Watch
from ..errors import AlreadyExists, Busy, NotFound, ReadOnly
from ..wire import cls_lock, cls_rbd
from ..wire.constants import Feature
from ..wire.header import ImageHeader
from ..wire.snapshot import Snapshot
from .image import Image
from .scan import mirror


async def unlink(source: Image, header: ImageHeader, snapshot: Snapshot, peer_uuid: str,
                 watch: Optional[Watch]) -> None:
    """Take our peer off a superseded mirror snapshot of the primary; remove it if we are the last.

    `watch` is ours on the image's header.  Where the image was demoted meanwhile, the snapshot
    stays as it is.
    """
    if mirror(snapshot).peer_uuids == {peer_uuid}:
        try:
            await _remove(source, header, snapshot, watch)
        except (NotFound, ReadOnly):
            pass
        return
    try:
        await source.pool.call(source.header_oid, cls_rbd.mirror_image_snapshot_unlink_peer(
            snapshot.id, peer_uuid))
    except NotFound:
        return
    await source.notify()


async def _remove(source: Image, header: ImageHeader, snapshot: Snapshot,
                  watch: Optional[Watch]) -> None:
    """Remove a snapshot that a newer one follows.

    A quarter of librbd's operations will do when nobody has the image open.  Else the removal goes
    through librbd, which leaves it to the client that holds the lock: two that merge object maps at
    one time could lose marks, and with them data of a later diff.
    """
    locking = bool(header.features & Feature.EXCLUSIVE_LOCK)
    if watch is None or not locking or header.parent is not None:
        await _remove_slowly(source, snapshot)
        return
    cookie = f"auto {watch.handle}"
    try:
        await source.pool.call(source.header_oid, cls_lock.lock(
            cls_lock.IMAGE_LOCK, cookie=cookie, tag=cls_lock.INTERNAL_TAG))
    except (Busy, AlreadyExists):
        await _remove_slowly(source, snapshot)
        return
    try:
        now = await source.header()
        if now is None or now.features & Feature.NON_PRIMARY or now.snapshot(snapshot.id) is None:
            raise ReadOnly(f"snapshot {snapshot.name!r}: the image was demoted or removed")
        await source.remove_snapshot_map(now, snapshot)
    finally:
        await source.pool.call(source.header_oid, cls_lock.unlock(cls_lock.IMAGE_LOCK, cookie))
    # Not under the lock: this takes a round of the monitors, and librbd refuses what a client asks
    # for while somebody holds the lock who does not hand it over.
    await source.remove_mapless_snapshot(now, snapshot)
    await source.pool.notify(source.header_oid)


async def _remove_slowly(source: Image, snapshot: Snapshot) -> None:
    await source.pool.connection.run_in_background(
        _remove_by_librbd, source.pool, source.id, snapshot.id)


async def request_snapshot(source: Image) -> None:
    """Make a mirror snapshot at the primary, as `rbd mirror image snapshot` does.

    For a primary image whose snapshots were all made before this site was known as its peer: none
    of them would ever be synced.
    """
    await source.pool.connection.run(_snapshot, source.pool, source.id)


def _remove_by_librbd(pool: Pool, image_id: str, snap_id: int) -> None:
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.remove_snap_by_id(snap_id)


def _snapshot(pool: Pool, image_id: str) -> None:
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.mirror_image_create_snapshot()


