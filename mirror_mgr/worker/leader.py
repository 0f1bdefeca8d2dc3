"""The pool's leader lock: while a worker of ours has it, all of ours replay the pool.

The C++ daemons elect by the same lock, so one of them beside us stays passive while we lead, and we
while it leads.  The worker that leads calls the team's roll; a worker that hears the roll called
need not look at the lock.
"""

import asyncio
import logging
from typing import Callable, Collection, Optional, Tuple

from ..cluster.lock import WatchedLock
from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import Busy, Fenced, MirrorError
from ..waiting import heard
from ..wire.header import LEADER
from ..wire.watch_notify import LeaderOp, encode_leader
from . import settings
from .team import Team

log = logging.getLogger(__name__)

# In heartbeats: after so long without a roll call one looks for the leader,
_SUSPECT = 1.4
# and so long one goes on without.  A daemon takes six to break the lock of a leader that died.
_LEASE = 5.0
_DOUBT_SECONDS = 0.5
_RETRY_SECONDS = 3.0
_DESCRIPTION = "mirror_mgr"


class Leader:
    """Strives for the lock of one pool from :meth:`run` on.

    `changed` is called whenever `leading`, `led` or `foreign` changed.  `foreign` names the holder
    when that is no worker of ours.
    """

    def __init__(self, pool: Pool, team: Team, changed: Callable[[], None],
                 dead: Collection[str] = ()) -> None:
        self.leading = False
        self.foreign: Optional[str] = None
        self._pool = pool
        self._team = team
        self._changed = changed
        self._dead = frozenset(dead)
        self._lock = WatchedLock(pool, LEADER, _DESCRIPTION, encode_leader(LeaderOp.HEARTBEAT))
        self._lost = asyncio.Event()
        self._yielding = False
        self._turned = asyncio.Event()
        self._told: Tuple[bool, Optional[str], bool] = (False, None, False)

    @property
    def led(self) -> bool:
        """Whether a worker of ours leads, as far as we know."""
        return self.leading or (
            self.foreign is None and self._silent_for() < _LEASE * self._heartbeat)

    async def run(self) -> None:
        """Until cancelled; raise Fenced when this client was blocklisted."""
        try:
            while True:
                await self._strive()
        finally:
            await self._resign()

    async def until_led_no_more(self) -> None:
        while self.led:
            self._turned.clear()
            left = None if self.leading else _LEASE * self._heartbeat - self._silent_for()
            await heard(self._turned, left)

    def release(self) -> None:
        """Leave the lead to another worker or daemon; where there is none, lead again."""
        if self.leading:
            self._yielding = True
            self._lost.set()

    @property
    def _heartbeat(self) -> float:
        return settings.heartbeat_seconds(self._pool.connection.conf_get)

    def _silent_for(self) -> float:
        return asyncio.get_running_loop().time() - self._team.led_at

    async def _strive(self) -> None:
        self._lost.clear()
        try:
            await self._team.attend()
            patience = _SUSPECT * self._heartbeat - self._silent_for()
            if patience > 0 and not self._team.vacant.is_set():
                self._set(False, None)
                await heard(self._team.vacant, patience)
                return
            try:
                await self._acquire()
            except Busy:
                await self._stand_by()
                return
            await self._lead()
        except Fenced:
            raise
        except MirrorError as error:
            log.warning("%s: %s", LEADER, error)
            await self._step_down()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _acquire(self) -> None:
        await self._lock.break_if_dead(await self._known_dead())
        await self._pool.operate(LEADER, Operation().create())
        await self._lock.acquire(lost=self._lost.set, dead=self._dead)

    async def _known_dead(self) -> Collection[str]:
        """Who is dead for sure: workers tell each other sooner than their watches expire.

        Raise Busy when a worker of ours leads.
        """
        holder = await self._lock.holder()
        if (holder is None or holder.description != _DESCRIPTION
                or holder.address in self._dead):
            return self._dead
        if await self._team.answers(int(holder.entity.rpartition(".")[2])):
            raise Busy(f"{LEADER} is locked by another worker")
        return self._dead | {holder.address}

    async def _lead(self) -> None:
        self._set(True, None)
        await self._say(LeaderOp.LOCK_ACQUIRED)
        # A leader that the others can't hear is none.
        while self._team.attending:
            in_doubt = await self._team.call_roll()
            if await heard(self._lost, _DOUBT_SECONDS if in_doubt else self._heartbeat):
                break
            await self._say(LeaderOp.HEARTBEAT)
        await self._step_down()
        if self._yielding:
            self._yielding = False
            await self._tell_released()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _step_down(self) -> None:
        self._set(False, None)
        self._team.vacant.set()
        try:
            await self._lock.release()
        except Fenced:
            raise
        except MirrorError as error:
            log.warning("%s: %s", LEADER, error)

    async def _stand_by(self) -> None:
        holder = await self._lock.holder()
        foreign = None
        if holder is not None and holder.description != _DESCRIPTION:
            foreign = f"{holder.entity} at {holder.address}"
        elif holder is not None:
            self._team.hear_of_leader()
        self._set(False, foreign)
        if foreign is not None:
            await asyncio.sleep(_RETRY_SECONDS)

    async def _say(self, operation: LeaderOp) -> None:
        await self._pool.notify(LEADER, encode_leader(operation))

    async def _tell_released(self) -> None:
        """One of the team goes before a daemon."""
        if not await self._team.farewell():
            await self._say(LeaderOp.LOCK_RELEASED)

    async def _resign(self) -> None:
        self._set(False, None)
        try:
            if self._lock.held:
                await self._lock.release()
                await self._tell_released()
        except MirrorError:
            pass

    def _set(self, leading: bool, foreign: Optional[str]) -> None:
        self.leading, self.foreign = leading, foreign
        state = leading, foreign, self.led
        if state != self._told:
            self._told = state
            self._turned.set()
            self._changed()
