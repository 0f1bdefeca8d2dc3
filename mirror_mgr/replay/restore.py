"""Makes an ordinary image of a copy that is no longer mirrored, so that clients can write to it."""

from ..cluster.pool import Pool
from ..errors import NotReady
from ..wire import cls_rbd
from ..wire.constants import Feature
from .hold import Hold
from .image import Copy
from .rollback import roll_back
from .scan import mirror


async def make_writable(pool: Pool, image_id: str) -> None:
    """Give the image what its last complete mirror snapshot shows, and end its being a copy.

    May be repeated after a failure at any point.  Raise NotReady when it was never copied whole,
    Busy while another client is at it.
    """
    copy = Copy(pool.fork(), image_id)
    try:
        hold = Hold(copy.pool, copy.id, await copy.present_header())
        await hold.acquire()
        copy.held_by(hold)
        try:
            await _undo_attempt(copy)
            await _remove_mirror_snapshots(copy)
            # Last: until then librbd lets nobody write.
            await copy.change_header(cls_rbd.set_features(0, Feature.NON_PRIMARY))
        finally:
            copy.held_by(None)
            await hold.release()
        await copy.notify()
    finally:
        copy.pool.close()


async def _undo_attempt(copy: Copy) -> None:
    """Take back what a sync wrote that was never finished."""
    header = await copy.present_header()
    mirrors = header.mirror_snapshots
    if not mirrors:
        return
    base = next((s for s in reversed(mirrors) if mirror(s).complete), None)
    if base is None:
        raise NotReady("no snapshot of it was ever copied whole; remove it")
    # A sync changes the size, and makes user snapshots, before its own mirror snapshot is there.
    if header.size == base.size and header.snapshots[-1].id == base.id:
        return
    header = await roll_back(copy, header, base, halfway=True)
    for snapshot in reversed(header.snapshots):
        if snapshot.id > base.id:
            await copy.remove_snapshot(await copy.present_header(), snapshot)


async def _remove_mirror_snapshots(copy: Copy) -> None:
    """The newest last: it says that the image is whole."""
    for snapshot in (await copy.present_header()).mirror_snapshots:
        await copy.remove_snapshot(await copy.present_header(), snapshot)
