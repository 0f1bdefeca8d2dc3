"""A lock in RADOS that lives as long as a watch on the same object, as librbd's ManagedLock does.

The cookie names the watch, so anyone can see whether the holder is alive.  Who breaks the lock of a
dead holder blocklists it first: nothing that it had sent can land later.
"""

from typing import Callable, Collection, Optional

from ..errors import AlreadyExists, Busy, NotFound
from ..wire import cls_lock
from .pool import Pool, Watch, WatchCallback

_PROBE_MS = 4000


def _nothing(*ignored: object) -> None:
    """Default of the callbacks."""


class WatchedLock:
    """An exclusive `rbd_lock` with tag "internal" on `oid`.

    `description` is stored in the lock and tells others who holds it.  `probe` is a payload that
    watchers of this object take without harm.
    """

    def __init__(self, pool: Pool, oid: str, description: str, probe: bytes = b"") -> None:
        self.pool = pool
        self.oid = oid
        self._description = description
        self._probe = probe
        self._watch: Optional[Watch] = None
        self._locked = False

    @property
    def held(self) -> bool:
        return self._locked

    def confirmed_ms_ago(self) -> float:
        """Milliseconds since the OSD last confirmed the watch; infinity without one."""
        return self._watch.confirmed_ms_ago() if self._watch else float("inf")

    async def watch(self, notified: WatchCallback = _nothing,
                    lost: Callable[[], None] = _nothing) -> None:
        """Watch the object without locking it (images without the exclusive-lock feature)."""
        self._watch = await self.pool.watch(self.oid, notified, lost)

    async def acquire(self, notified: WatchCallback = _nothing, lost: Callable[[], None] = _nothing,
                      dead: Collection[str] = ()) -> None:
        """Watch and lock the object.

        `dead` are addresses of clients known to be gone.  Raise Busy when somebody alive holds it.
        """
        await self.watch(notified, lost)
        try:
            await self._lock(dead)
        except BaseException:
            await self.release()
            raise

    async def holder(self) -> Optional[cls_lock.Locker]:
        """Who holds the lock, or None."""
        try:
            reply = await self.pool.call(self.oid, cls_lock.get_info(cls_lock.IMAGE_LOCK))
        except NotFound:
            return None
        lockers = cls_lock.decode_get_info(reply).lockers
        return lockers[0] if lockers else None

    async def release(self, farewell: Optional[bytes] = None) -> None:
        """Unlock, end the watch, and tell the other watchers by `farewell` if it is given."""
        try:
            if self._locked:
                self._locked = False
                await self.pool.call(self.oid, cls_lock.unlock(cls_lock.IMAGE_LOCK, self._cookie()))
        except NotFound:
            pass
        finally:
            await self._unwatch()
        if farewell is not None:
            await self.pool.notify(self.oid, farewell)

    async def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()

    def _cookie(self) -> str:
        assert self._watch is not None
        return f"auto {self._watch.handle}"

    async def _lock(self, dead: Collection[str]) -> None:
        for _ in range(2):
            # Without an answer, as when we are cancelled, the lock may be ours.
            self._locked = True
            try:
                await self.pool.call(self.oid, cls_lock.lock(
                    cls_lock.IMAGE_LOCK, cookie=self._cookie(), tag=cls_lock.INTERNAL_TAG,
                    description=self._description))
                return
            except (Busy, AlreadyExists):
                self._locked = False
                await self.break_if_dead(dead)
        raise Busy(f"{self.oid} is locked by another client")

    async def break_if_dead(self, dead: Collection[str] = ()) -> None:
        """Have the lock free if its holder is gone.  Raise Busy when it is alive."""
        locker = await self.holder()
        if locker is None:
            return
        if locker.address not in dead and await self._alive(locker):
            raise self._busy(locker)
        await self._break(locker)

    async def evict(self, description: str) -> None:
        """Blocklist the holder, dead or alive, if its lock is described so.  Raise Busy if not."""
        locker = await self.holder()
        if locker is None:
            return
        if locker.description != description:
            raise self._busy(locker)
        await self._break(locker)

    def _busy(self, locker: cls_lock.Locker) -> Busy:
        return Busy(f"{self.oid} is locked by {locker.entity} at {locker.address}"
                    + (f" ({locker.description})" if locker.description else ""))

    async def _break(self, locker: cls_lock.Locker) -> None:
        await self.pool.connection.blocklist(locker.address)
        try:
            await self.pool.call(self.oid, cls_lock.break_lock(
                cls_lock.IMAGE_LOCK, locker.entity, locker.cookie))
        except NotFound:
            pass

    async def _alive(self, locker: cls_lock.Locker) -> bool:
        gid = locker.entity.rpartition(".")[2]
        handle = locker.cookie.rpartition(" ")[2]
        if not (gid.isdigit() and handle.isdigit()):
            return True  # no lock of this kind: not ours to judge
        answered = await self.pool.answering(self.oid, self._probe, _PROBE_MS)
        # Who does not answer may be merely slow: only a watch that is gone tells.
        return answered is None or (int(gid), int(handle)) in answered
