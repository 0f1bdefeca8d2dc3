"""What a worker holds on the local image while it writes data to it.

A watch on the header, and the exclusive lock where the image has that feature.  `rbd mirror image
promote --force` waits for the watch to go and then takes the lock (librbd's PromoteRequest), so it
never rolls back beneath our writes; and it is told at once, so it does not wait long.
"""

import asyncio
from typing import Any, Awaitable, Collection, List, Optional, TypeVar

from ..cluster.lock import WatchedLock
from ..cluster.pool import Pool
from ..errors import MalformedData, NotReady
from ..wire.constants import Feature
from ..wire.header import ImageHeader, header_oid
from ..wire.watch_notify import ImageOp, decode_image, encode_image

# A watch ends 30 s after its client was last heard of (osd_client_watch_timeout).
_STALE_MS = 20000

DESCRIPTION = "mirror_mgr"

T = TypeVar("T")


class Hold:
    """Held from :meth:`acquire` to :meth:`release`; `lost` says that writing must end now."""

    def __init__(self, pool: Pool, image_id: str, header: ImageHeader) -> None:
        self._locking = bool(header.features & Feature.EXCLUSIVE_LOCK)
        self._lock = WatchedLock(pool, header_oid(image_id), DESCRIPTION)
        self._active = False
        self.lost = asyncio.Event()
        self.reason: Optional[str] = None

    async def acquire(self, dead: Collection[str] = ()) -> None:
        """Raise Busy when another client is at the image."""
        if self._locking:
            await self._lock.acquire(self._notified, self._watch_lost, dead)
        else:
            await self._lock.watch(self._notified, self._watch_lost)
        self._active = True

    async def evict(self) -> None:
        """Fence the worker that holds the image.  Raise Busy when it is no worker."""
        await self._lock.evict(DESCRIPTION)

    async def release(self) -> None:
        self._active = False
        await self._lock.release(
            encode_image(ImageOp.RELEASED_LOCK) if self._locking else b"")

    def check(self) -> None:
        """Raise NotReady unless writing is still safe; to be asked before each write."""
        if self.lost.is_set():
            raise NotReady(self.reason or "the image is needed by another client")
        if self._lock.confirmed_ms_ago() > _STALE_MS:
            self._give_up("the watch on the image header is stale")
            raise NotReady(self.reason or "")

    async def during(self, work: Awaitable[T], *beside: Awaitable[None]) -> T:
        """Do `work` as long as the hold lasts, and what is `beside` it as long as that takes.

        Return what the work returns.  Raise what ends it: its own error, that of what is beside it,
        or NotReady without the hold.
        """
        working = asyncio.ensure_future(work)
        besides = [asyncio.ensure_future(one) for one in beside]
        lost = asyncio.ensure_future(self.lost.wait())
        tasks: List["asyncio.Future[Any]"] = [working, lost, *besides]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one in besides:
                if one.done():
                    one.result()
            if not working.done():
                self.check()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return working.result()

    def _notified(self, payload: bytes) -> None:
        if not self._active:
            return
        try:
            operation = decode_image(payload).op
        except MalformedData:
            return
        # Everything else asks the lock's holder to do something (a forced promotion, to make its
        # snapshot), or tells of a change: whoever that is, it is no business of a copy being made.
        if operation not in (ImageOp.ACQUIRED_LOCK, ImageOp.RELEASED_LOCK):
            self._give_up("another client needs the image")

    def _watch_lost(self) -> None:
        self._give_up("the watch on the image header was lost")

    def _give_up(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()
