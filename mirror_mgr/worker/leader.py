"""The pool's leader lock: who holds it replays the pool; everybody else stands by.

The C++ daemons elect by the same lock, so one of them beside us stays passive while we lead, and we
while it leads.
"""

import asyncio
from typing import Callable, Collection, Optional

from ..cluster.lock import WatchedLock
from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import Busy, Fenced, MirrorError
from ..wire.header import LEADER
from ..wire.watch_notify import LeaderOp, encode_leader
from . import settings
from .waiting import heard

_RETRY_SECONDS = 3.0
_DESCRIPTION = "mirror_mgr"


class Leader:
    """Strives for the lock of one pool from :meth:`run` on.

    `changed` is called whenever `leading` or `foreign` changed.  `foreign` names the holder
    when that is no worker of ours.
    """

    def __init__(self, pool: Pool, changed: Callable[[], None],
                 dead: Collection[str] = ()) -> None:
        self.leading = False
        self.foreign: Optional[str] = None
        self._pool = pool
        self._changed = changed
        self._dead = dead
        self._lock = WatchedLock(pool, LEADER, _DESCRIPTION, encode_leader(LeaderOp.HEARTBEAT))
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; raise Fenced when this client was blocklisted."""
        try:
            while True:
                await self._strive()
        finally:
            await self._resign()

    async def _strive(self) -> None:
        self._lost.clear()
        try:
            await self._pool.operate(LEADER, Operation().create())
            await self._lock.acquire(self._notified, self._lost.set, self._dead)
        except Fenced:
            raise
        except Busy:
            await self._stand_by()
            return
        except MirrorError:
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self._set(True, None)
        await self._lead()

    async def _lead(self) -> None:
        await self._say(LeaderOp.LOCK_ACQUIRED)
        conf_get = self._pool.connection.conf_get
        while not await heard(self._lost, settings.heartbeat_seconds(conf_get)):
            await self._say(LeaderOp.HEARTBEAT)
        self._set(False, None)
        await self._lock.release()

    async def _stand_by(self) -> None:
        holder = await self._lock.holder()
        foreign = None
        if holder is not None and holder.description != _DESCRIPTION:
            foreign = f"{holder.entity} at {holder.address}"
        self._set(False, foreign)
        await asyncio.sleep(_RETRY_SECONDS)

    async def _say(self, operation: LeaderOp) -> None:
        await self._pool.notify(LEADER, encode_leader(operation))

    async def _resign(self) -> None:
        self._set(False, None)
        try:
            if self._lock.held:
                await self._lock.release(encode_leader(LeaderOp.LOCK_RELEASED))
        except MirrorError:
            pass

    def _notified(self, payload: bytes) -> None:
        """Messages of other daemons: they only matter to the one that waits for the lock."""

    def _set(self, leading: bool, foreign: Optional[str]) -> None:
        if (leading, foreign) != (self.leading, self.foreign):
            self.leading, self.foreign = leading, foreign
            self._changed()
