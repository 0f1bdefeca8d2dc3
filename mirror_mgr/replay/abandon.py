"""Takes back the user snapshots that an unfinished sync made.

librbd 16.2.15 crashes when a forced promotion on its way from the sync's own snapshot back to the
complete one before meets such a snapshot (librbd/mirror/snapshot/Utils.cc).  Without them it gets
there, and rolls the data back.
"""

import asyncio
import time
from typing import List, Tuple

from ..cluster.pool import Pool
from ..errors import Busy, NotReady
from ..wire.header import ImageHeader
from ..wire.snapshot import Snapshot
from ..wire.watch_notify import ImageOp, encode_image
from .hold import Hold
from .image import Copy
from .scan import mirror

# Whoever copies to the image gives way within a second, and stays away for two.  The lock of one
# that hangs is broken when its watch has ended.
_PATIENCE_SECONDS = 45.0
_PAUSE_SECONDS = 0.5
_NOTIFY_MS = 2000


async def abandon(pool: Pool, image_id: str) -> None:
    """Remove them from a copy; may be repeated after a failure at any point.

    A worker or daemon that finds the attempt later begins it anew.  Raise NotReady when there is no
    complete snapshot to go back to, Busy when another client does not leave the image alone.
    """
    copy = Copy(pool.fork(), image_id)
    try:
        hold = await _hold(copy)
        try:
            header = await copy.present_header()
            attempt, made = made_by_attempt(header)
            await copy.set_progress(attempt.id, 0)
            # The oldest first: each leaves its marks to the next one's object map.
            for snapshot in made:
                hold.check()
                await copy.remove_snapshot(header, snapshot)
        finally:
            await hold.release()
    finally:
        copy.pool.close()


def made_by_attempt(header: ImageHeader) -> Tuple[Snapshot, List[Snapshot]]:
    """Given a copy, return its unfinished mirror snapshot and the user snapshots that go with it.

    These are ascending.  Raise NotReady when there is no complete one to go back to.
    """
    complete = [s for s in header.mirror_snapshots if mirror(s).complete]
    if not complete:
        raise NotReady("no snapshot of it was ever copied whole, so there is nothing to go back "
                       "to; wait for the first sync")
    attempt = header.mirror_snapshots[-1]
    return attempt, [s for s in header.user_snapshots if complete[-1].id < s.id < attempt.id]


async def _hold(copy: Copy) -> Hold:
    """Have the image; a worker that does not give way is fenced, as it may hang or be dead."""
    started = time.monotonic()
    evicted = False
    while True:
        await copy.pool.notify(
            copy.header_oid, encode_image(ImageOp.REQUEST_LOCK), _NOTIFY_MS)
        hold = Hold(copy.pool, copy.id, await copy.present_header())
        try:
            await hold.acquire()
            return hold
        except Busy:
            if evicted:
                raise
        if time.monotonic() - started < _PATIENCE_SECONDS:
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            await hold.evict()
            evicted = True
