"""Lets the primary site drop mirror snapshots that this site needs no longer."""

import rbd

from ..cluster.pool import Pool
from ..errors import NotFound, ReadOnly
from ..wire import cls_rbd
from ..wire.constants import Feature
from ..wire.header import ImageHeader
from ..wire.snapshot import Snapshot
from .image import Image
from .scan import mirror


async def unlink(source: Image, header: ImageHeader, snapshot: Snapshot, peer_uuid: str) -> None:
    """Take our peer off a mirror snapshot of the primary; remove it when we were the last.

    The removal goes through librbd, which leaves it to the client that holds the image's lock and
    merges the object maps.  A demoted image can't be written: there the snapshot stays, as with the
    daemon.
    """
    last = mirror(snapshot).peer_uuids == {peer_uuid}
    newest = header.mirror_snapshots[-1].id == snapshot.id
    if last and not newest and not header.features & Feature.NON_PRIMARY:
        try:
            await source.pool.connection.run(_remove, source.pool, source.id, snapshot.id)
            return
        except NotFound:
            return
        except ReadOnly:
            pass
    try:
        await source.pool.call(source.header_oid, cls_rbd.mirror_image_snapshot_unlink_peer(
            snapshot.id, peer_uuid))
    except NotFound:
        return
    await source.notify()


async def request_snapshot(source: Image) -> None:
    """Make a mirror snapshot at the primary, as `rbd mirror image snapshot` does.

    For a primary image whose snapshots were all made before this site was known as its peer: none
    of them would ever be synced.
    """
    await source.pool.connection.run(_snapshot, source.pool, source.id)


def _remove(pool: Pool, image_id: str, snap_id: int) -> None:
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.remove_snap_by_id(snap_id)


def _snapshot(pool: Pool, image_id: str) -> None:
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.mirror_image_create_snapshot()


