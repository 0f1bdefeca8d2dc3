"""The loop that makes mirror snapshots when they are due.

A thread of its own runs an asyncio loop, which alone touches the state; commands hand their part
to it.  A turn is decided by `state` and `agenda`, and made by `creation`; whatever goes wrong with
an image is that image's state.  A connection that was blocklisted is replaced by a new one, and
the turns that came to nothing are due again.
"""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any, Callable, Coroutine, Dict, List, Optional, Tuple, TypeVar

from ..clock import Clock
from ..cluster.connection import Connection
from ..errors import MirrorError, NotReady
from ..model import HealthItem
from .host import Host
from .levels import Level
from .model import Adopted, ImageView, LevelView
from .rules import Rule
from .session import LATE_SECONDS, STOP_SECONDS, Session
from .state import SCHEDULER_LATE, State

RECONNECT_SECONDS = 2.0

T = TypeVar("T")


class Scheduler:
    """The module calls `start` once, `tick` about every second, and `stop`.

    All other methods may be called on any thread.  They wait for RADOS where they change what is
    stored, and raise NotReady while there is no connection.
    """

    def __init__(self, host: Host, clock: Clock = time) -> None:
        self._host = host
        self._clock = clock
        self._state = State()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None
        self._stopping = False
        self._why_not = "it has just started"
        self._beat = clock.monotonic()
        self._session: Optional[Session] = None
        self._health: List[HealthItem] = []  # as the last session saw it

    # Life

    def start(self) -> None:
        self._beat = self._clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="snapshot-schedule", daemon=True)
        self._thread.start()

    def tick(self) -> None:
        """See to it that the loop runs."""
        if self._thread is not None and not self._thread.is_alive() and not self._stopping:
            self._host.log.error("the loop of the snapshot schedules ended; starting it again")
            self.start()

    def stop(self) -> None:
        """End the loop; what is under way may end in order for a few seconds."""
        self._stopping = True
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake)
        if self._thread is not None:
            self._thread.join(STOP_SECONDS + 3.0)

    def _wake(self) -> None:
        if self._session is not None:
            self._session.wake()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        try:
            loop.run_until_complete(self._serve())
        finally:
            self._loop = None
            loop.close()

    async def _serve(self) -> None:
        while not self._stopping:
            try:
                connection = await self._connect()
            except MirrorError as error:
                self._why_not = error.message
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            session = Session(self._host, self._clock, self._state, connection)
            try:
                await session.load()
                self._session = session
                self._why_not = "the cluster does not answer"
                await session.run(self._is_stopping, self._has_ticked)
            except MirrorError as error:
                self._why_not = error.message
                self._host.log.warning("snapshot schedules: connecting anew: %s", error)
            except Exception as error:
                self._why_not = f"an error inside mirror_mgr: {error}"
                self._host.log.exception("snapshot schedules failed; please report this")
            finally:
                self._session = None
                if await session.end():
                    self._drop(connection)
            if not self._stopping:
                await asyncio.sleep(RECONNECT_SECONDS / 4)

    async def _connect(self) -> Connection:
        """In a thread that nobody waits for if it hangs."""
        loop = asyncio.get_running_loop()
        found: "asyncio.Future[Connection]" = loop.create_future()

        def connect() -> None:
            try:
                connection = Connection(self._host.connect(), "local")
                answer: Callable[[], None] = lambda: _answer(found, connection)  # noqa: E731
            except Exception as caught:
                error = NotReady(f"no connection to the cluster: {caught}")
                answer = lambda: _refuse(found, error)  # noqa: E731
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(answer)

        threading.Thread(target=connect, name="snapshot-schedule-connect", daemon=True).start()
        return await found

    def _drop(self, connection: Connection) -> None:
        """Close a connection in the background: what hangs in it may take for ever."""
        addresses = connection.cluster.get_addrs()

        def close() -> None:
            try:
                connection.close()
                self._host.disconnected(addresses)
            except Exception as error:
                self._host.log.warning("snapshot schedules: closing a connection: %s", error)

        thread = threading.Thread(target=close, name="snapshot-schedule-close", daemon=True)
        thread.start()
        if self._stopping:
            thread.join(STOP_SECONDS)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _has_ticked(self) -> None:
        self._beat = self._clock.monotonic()

    # What commands ask for

    def add(self, level: Level, name: str, rule: Rule) -> None:
        """Add a schedule at a level; one with the same times is replaced.  `name`: the image's."""
        self._ask(lambda session: session.add(level, name, rule))

    def remove(self, level: Level, rule: Optional[Rule]) -> None:
        """Remove one schedule of a level, or all; raise NotFound for one that is not there."""
        self._ask(lambda session: session.remove(level, rule))

    def pause(self, level: Level, name: str) -> None:
        """Have nothing of a level run until `resume`."""
        self._ask(lambda session: session.pause(level, name))

    def resume(self, level: Level) -> None:
        """Have what is due from now on run again; raise NotFound unless the level is paused."""
        self._ask(lambda session: session.resume(level))

    def run_now(self, level: Level) -> Tuple[int, Dict[str, MirrorError]]:
        """Make a snapshot of each scheduled image of a level; return how many, and what failed.

        Raise NotFound where there is none.
        """
        return self._ask(lambda session: session.run_now(level))

    def adopt(self, level: Level, dry_run: bool) -> Adopted:
        """Move the schedules of rbd_support at a level and below over to ours."""
        return self._ask(lambda session: session.adopt(level, dry_run))

    def listing(self, level: Level, recursive: bool) -> Tuple[LevelView, ...]:
        """Return the schedules at a level, or with `recursive` all that are of account to it."""
        return self._ask(lambda session: session.listing(level, recursive))

    def status(self, level: Level) -> Tuple[ImageView, ...]:
        """Return the scheduled images of a level."""
        return self._ask(lambda session: session.status(level))

    def level_name(self, level: Level) -> str:
        return self._state.level_name(level)

    def refresh(self) -> None:
        """Have the pools looked at again."""
        loop, session = self._loop, self._session
        if loop is not None and session is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(session.refresh)

    def health(self) -> List[HealthItem]:
        """Return what is wrong, by code and subject."""
        items: List[HealthItem] = []
        late = self._clock.monotonic() - self._beat
        if late > LATE_SECONDS:
            items.append(HealthItem(SCHEDULER_LATE, "loop", (
                f"the loop of the snapshot schedules is {late:.0f} s late: {self._why_not}")))
        session = self._session
        if session is not None and session.health is not None:
            self._health = session.health
        return items + self._health

    def _ask(self, part: "Callable[[Session], Coroutine[Any, Any, T]]") -> T:
        loop, session = self._loop, self._session
        if loop is None or session is None:
            raise NotReady("the snapshot schedules can't be reached for now: "
                           f"{self._why_not}; try again")
        try:
            # A command has a deadline of its own, and is let go when that has passed.
            return asyncio.run_coroutine_threadsafe(session.asked(part), loop).result()
        except (RuntimeError, asyncio.CancelledError) as error:
            raise NotReady("the snapshot schedules were interrupted; look at their state and "
                           "try again") from error


def _answer(found: "asyncio.Future[T]", value: T) -> None:
    if not found.done():
        found.set_result(value)


def _refuse(found: "asyncio.Future[Any]", error: Exception) -> None:
    if not found.done():
        found.set_exception(error)
