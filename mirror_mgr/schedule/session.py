"""What the scheduler does on one connection, from its loading to its end.

Everything here runs on the scheduler's asyncio loop, which alone touches the state.
"""

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import (
    Any,
    Callable,
    Coroutine,
    Dict,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
    TypeVar,
)

from ..clock import Clock
from ..cluster.connection import Connection
from ..errors import DeadlineExceeded, Fenced, InvalidArgument, MirrorError, NotFound, NotReady
from ..model import HealthItem
from ..oneline import one_line
from ..output import utc_time
from ..waiting import heard
from . import rbd_support
from .agenda import Due
from .creation import Made, Order, create
from .discovery import Image, PoolView, read_pool
from .entries import Entry, changed
from .host import Host
from .levels import ImageKey, Level, by_pool
from .model import Adopted, ImageView, LevelView
from .records import Record
from .rules import Rule
from .slots import Slots
from .state import NO_PEER_CURE, SCHEDULER_LATE, SNAPSHOTS_FAILING, State
from .store import Part, Store

TICK_SECONDS = 1.0
LEAD_SECONDS = 3.0        # so long before its time an image is opened
REFRESH_SECONDS = 20.0    # how old what is known of images and schedules may get
READ_SECONDS = 15.0       # for one pool to be read; it keeps its images where that takes longer
REST_SECONDS = 1.0        # between two readings
HEALTH_SECONDS = 5.0
SAVE_SECONDS = 0.5        # between two writes of records
LATE_SECONDS = 60.0
LEFT_SECONDS = 100.0      # that rbd_support has for a due time that is its as well
FRESH_SECONDS = 3.0       # that a command waits to hear what others changed a moment ago
STOP_SECONDS = 5.0        # for snapshots under way to be made when the session ends

_Found = Tuple[Dict[int, PoolView], Dict[Optional[int], Part]]

T = TypeVar("T")


class Session:
    """What happens on one connection; on the loop only."""

    def __init__(self, host: Host, clock: Clock, state: State, connection: Connection) -> None:
        self._host = host
        self._clock = clock
        self._state = state
        self._connection = connection
        self._store = Store(connection, host)
        self._since = clock.time()
        self._parts: Dict[Optional[int], Part] = {}
        self._pools: Dict[int, PoolView] = {}
        self._reading: Dict[Optional[int], "asyncio.Task[None]"] = {}
        self._asked: Dict[Optional[int], float] = {}  # since when what is not read yet is asked for
        self._read_lock = asyncio.Lock()
        self._arranged: Optional[_Found] = None
        self._reads_begun = 0
        self._reads_ended = 0
        self._has_read = asyncio.Event()
        self._changes = 0
        self._change_lock = asyncio.Lock()  # from the look at an entry until its new one is stored
        self._recorded: Set[int] = set()
        self._turns: Set["asyncio.Task[None]"] = set()
        self._makings: Set["asyncio.Task[Optional[Made]]"] = set()
        self._slots = Slots()
        self._waiting: Dict[ImageKey, int] = {}
        self._given_up: Dict[ImageKey, int] = {}
        self._awake = asyncio.Event()
        self._look = asyncio.Event()
        self._fenced: Optional[Fenced] = None
        self._over = False
        self.health: Optional[List[HealthItem]] = None  # None before the first look
        self._health_due = 0.0

    def wake(self) -> None:
        self._awake.set()

    def refresh(self) -> None:
        self._look.set()

    async def asked(self, part: "Callable[[Session], Coroutine[Any, Any, T]]") -> T:
        try:
            return await part(self)
        except Fenced as error:
            self._is_fenced(error)
            raise NotReady("the manager was blocklisted and is connecting anew; "
                           "try again") from error

    def _is_fenced(self, error: Fenced) -> None:
        self._fenced = error
        self._awake.set()

    # The loop

    async def load(self) -> None:
        """Read what is stored and what is there; raise MirrorError where that is not possible."""
        await self._read_all()

    async def run(self, is_stopping: Callable[[], bool], has_ticked: Callable[[], None]) -> None:
        """Tick until the module stops; raise Fenced when the connection is of no more use."""
        helpers = [asyncio.ensure_future(self._keep_reading()),
                   asyncio.ensure_future(self._keep_saving())]
        try:
            while not is_stopping():
                for helper in helpers:
                    if helper.done():
                        helper.result()
                if self._fenced is not None:
                    raise self._fenced
                self._tick()
                has_ticked()
                await self._pause_until_next()
        finally:
            for helper in helpers:
                helper.cancel()

    async def end(self) -> bool:
        """Let the snapshots under way be made, for a while, and write down how they did.

        Return False if some hang: then the connection can't be closed.
        """
        if self._makings:
            await asyncio.wait(self._makings, timeout=STOP_SECONDS)
        await asyncio.sleep(0)
        for task in (*self._turns, *self._reading.values()):
            task.cancel()
        if self._turns:
            await asyncio.wait(self._turns, timeout=STOP_SECONDS)
        if self._fenced is None:
            # Not wait_for, which would wait for a write that hangs to end.
            saving = asyncio.ensure_future(self._save())
            await asyncio.wait({saving}, timeout=STOP_SECONDS)
            saving.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._over = True
        self._state.busy.clear()
        return not self._makings

    def _tick(self) -> None:
        now = self._clock.time()
        self._slots.limit = max(1, int(self._host.get_option("snapshots_in_flight")))
        for due in self._state.take(now, LEAD_SECONDS):
            task = asyncio.ensure_future(self._turn(due))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        if self._clock.monotonic() >= self._health_due:
            self._health_due = self._clock.monotonic() + HEALTH_SECONDS
            self.health = self._wrong(now)

    async def _pause_until_next(self) -> None:
        upcoming = self._state.agenda.next_time()
        pause = TICK_SECONDS
        if upcoming is not None:
            pause = min(pause, max(0.01, upcoming - LEAD_SECONDS - self._clock.time()))
        await heard(self._awake, pause)
        self._awake.clear()

    def _wrong(self, now: float) -> List[HealthItem]:
        items = self._state.health(bool(self._host.get_option("warn_no_schedule")))
        waits = now - min(self._waiting.values(), default=int(now))
        if waits > LATE_SECONDS:
            items.append(HealthItem(SCHEDULER_LATE, "queue", (
                f"{len(self._waiting)} images wait for their mirror snapshots, the first for "
                f"{waits:.0f} s; make their schedules rarer or spread them, or raise the module "
                "option snapshots_in_flight")))
        for pool, since in self._asked.items():
            silent = self._clock.monotonic() - since
            if silent > LATE_SECONDS:
                place = self._state.place(pool)
                items.append(HealthItem(SCHEDULER_LATE, place, (
                    f"{place}: can't be read for {silent:.0f} s: schedules and images that were "
                    "known before go on, new ones wait; see the log of the manager")))
        for key, due in self._given_up.items():
            image = self._state.images.get(key)
            if image is not None:
                items.append(HealthItem(SNAPSHOTS_FAILING, image.spec, (
                    f"image '{image.spec}': the mirror snapshot that was due at {utc_time(due)} "
                    "is still not made, and none is begun before; see: ceph health detail")))
        return items

    # Turns

    async def _turn(self, due: Due) -> None:
        """Make the snapshot of one image; whatever comes of it is noted down."""
        try:
            outcome = await self._attempt(due, scheduled=True)
        except (Fenced, asyncio.CancelledError) as error:
            self._state.put_back(due, self._clock.time())
            if not isinstance(error, Fenced):
                raise
            self._is_fenced(error)
            return
        if due.image not in self._given_up:
            self._state.busy.pop(due.image, None)
        self._state.change(due.image, lambda record: outcome.note(record.skip(due.missed)))

    async def _attempt(self, due: Due, scheduled: bool) -> "_Outcome":
        """Raise Fenced, and nothing else but being cancelled."""
        now = self._clock.time
        at = [float(due.time)]
        try:
            made = await self._make(due, scheduled, at)
        except _TooLate:
            return _Outcome(lambda record: record.skip(1))
        except Fenced:
            raise
        except MirrorError as error:
            failure = error.message
        except Exception as error:
            self._host.log.exception("a mirror snapshot failed; please report this")
            failure = f"an error inside mirror_mgr: {error}"
        else:
            if made is not None:
                return _Outcome(self._success(due, made, scheduled))
            self._look.set()
            return _Outcome(lambda record: record, "it is not primary here any more, or gone")
        late, took = at[0] - due.time if scheduled else 0.0, now() - at[0]
        return _Outcome(
            lambda record: record.failed_with(failure, at[0], late, took), failure)

    def _success(self, due: Due, made: Made, scheduled: bool) -> Callable[[Record], Record]:
        return partial(_succeeded, made=made, late=made.at - due.time if scheduled else 0.0,
                       took=self._clock.time() - made.at)

    async def _make(self, due: Due, scheduled: bool, at: List[float]) -> Optional[Made]:
        """Raise _TooLate, DeadlineExceeded, or what went wrong; put into `at` when it began."""
        now = self._clock.time
        twice = scheduled and self._state.left_to_rbd_support(
            due, now(), _utc_offset(due.time))
        if twice:
            await asyncio.sleep(due.time + self._left(due) - now())
        if scheduled:
            self._waiting[due.image] = due.time
        try:
            await self._slots.acquire()
        finally:
            if scheduled:
                self._waiting.pop(due.image, None)
        try:
            at[0] = max(at[0], now())
            if due.is_too_late(now()):
                raise _TooLate
            image = self._state.images.get(due.image)
            if image is None:
                return None
            order = Order(due.image.image_id, f"image '{image.spec}'", due.time,
                          unless_made=scheduled and (twice or due.time <= self._since))
            pool = self._connection.pool(due.image.pool_id, due.image.namespace)
            seconds = float(self._host.get_option("snapshot_seconds"))
            making = asyncio.ensure_future(create(pool, order, now))
            self._makings.add(making)
            making.add_done_callback(self._makings.discard)
            await asyncio.wait({making}, timeout=seconds + max(0.0, due.time - now()))
            if not making.done():
                self._give_up(due, making, scheduled)
                raise DeadlineExceeded(f"image '{image.spec}': no mirror snapshot after "
                                       f"{seconds:g} s; see: ceph health detail")
            return making.result()
        finally:
            self._slots.release()

    def _left(self, due: Due) -> float:
        """How long rbd_support has for a due time: it comes late, and must be done by the next."""
        upcoming = self._state.agenda.next_of(due.image)
        bounds = [LEFT_SECONDS]
        if upcoming is not None:
            bounds.append(0.8 * (upcoming - due.time))
        if due.rule.deadline is not None:
            bounds.append(0.8 * due.rule.deadline)
        return min(bounds)

    def _give_up(self, due: Due, making: "asyncio.Task[Optional[Made]]", scheduled: bool) -> None:
        """Wait no longer for a creation that hangs; its image stays busy until it ends."""
        if scheduled:
            self._given_up[due.image] = due.time

        def ended(making: "asyncio.Task[Optional[Made]]") -> None:
            if scheduled and not self._over:
                self._given_up.pop(due.image, None)
                self._state.busy.pop(due.image, None)
            made = None if making.cancelled() or making.exception() else making.result()
            if made is not None:
                self._state.change(due.image, self._success(due, made, scheduled))

        making.add_done_callback(ended)

    # Reading and writing

    async def _keep_reading(self) -> None:
        while True:
            await heard(self._look, REFRESH_SECONDS)
            self._look.clear()
            try:
                await self._read_all()
                await asyncio.sleep(REST_SECONDS)
            except Fenced as error:
                self._is_fenced(error)
                return
            except MirrorError as error:
                self._host.log.warning("snapshot schedules: %s", one_line(str(error)))

    async def _read_all(self) -> None:
        """Read every pool at once; one that does not answer keeps what was known of it."""
        async with self._read_lock:
            self._reads_begun += 1
            try:
                await self._read_pools()
            finally:
                self._reads_ended = self._reads_begun
                self._has_read.set()
                self._has_read = asyncio.Event()

    async def _read_pools(self) -> None:
        pools = dict(await self._connection.run(self._host.pools))
        for pool_id in [pool_id for pool_id in self._pools if pool_id not in pools]:
            del self._pools[pool_id]
            self._parts.pop(pool_id, None)
        self._begin(None, self._read_global)
        for pool_id, name in pools.items():
            self._begin(pool_id, partial(self._read_pool, pool_id, name))
        for pool in [pool for pool in self._asked if pool not in self._reading]:
            del self._asked[pool]  # it was removed
        await asyncio.wait(self._reading.values(), timeout=READ_SECONDS)
        for pool in [pool for pool, task in self._reading.items() if task.done()]:
            if self._judge(pool, self._reading.pop(pool)):
                del self._asked[pool]
        if self._reading:
            self._host.log.warning(
                "snapshot schedules: no answer within %d s for %s", READ_SECONDS,
                ", ".join(map(self._state.place, self._reading)))
        self._arrange()

    async def _fresh(self) -> None:
        """Have what was changed by others until now be known, unless that takes long."""
        wanted = self._reads_begun + 1
        until = self._clock.monotonic() + FRESH_SECONDS
        self._look.set()
        while self._reads_ended < wanted and self._clock.monotonic() < until:
            await heard(self._has_read, until - self._clock.monotonic())

    def _begin(self, pool: Optional[int], read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin to read a pool, or with None what holds for all, unless that is under way."""
        if pool not in self._reading:
            self._reading[pool] = asyncio.ensure_future(read())
            self._asked.setdefault(pool, self._clock.monotonic())

    def _judge(self, pool: Optional[int], task: "asyncio.Task[None]") -> bool:
        """Return whether it was read."""
        try:
            task.result()
        except (Fenced, asyncio.CancelledError):
            raise
        except NotFound:
            pass  # it was removed meanwhile
        except MirrorError as error:
            self._host.log.warning("snapshot schedules: %s: %s", self._state.place(pool),
                                   one_line(str(error)))
            return False
        except Exception:
            self._host.log.exception("snapshot schedules: %s can't be read; please report this",
                                     self._state.place(pool))
            return False
        return True

    def _require_read(self, level: Level) -> None:
        """Raise NotReady unless all that is stored at a level and below was read just now."""
        silent = [pool for pool in self._asked
                  if None in (pool, level.pool_id) or pool == level.pool_id]
        if silent:
            raise NotReady(f"{', '.join(map(self._state.place, silent))}: can't be read for now; "
                           "nothing was changed; see: ceph health detail, and try again")

    async def _read_global(self) -> None:
        self._parts[None] = await self._unchanged(self._store.read_global)

    async def _read_pool(self, pool_id: int, name: str) -> None:
        if pool_id not in self._recorded:
            found = await self._store.read_records(pool_id)
            self._recorded.add(pool_id)
            self._state.records = {**found, **self._state.records}
        view = await read_pool(self._connection, pool_id, name, self._state.known(pool_id))
        if view.gone:
            await self._store.forget(pool_id, view.gone)
            self._state.forget(view.gone)
        part = await self._unchanged(partial(self._store.read_pool, pool_id))
        self._parts[pool_id] = part
        self._pools[pool_id] = view

    async def _unchanged(self, read: Callable[[], Coroutine[Any, Any, Part]]) -> Part:
        """Read what no command changed meanwhile."""
        while True:
            changes = self._changes
            part = await read()
            if changes == self._changes:
                return part

    def _arrange(self) -> None:
        """Not before all that may apply to an image is known; thousands of images take a while."""
        found = dict(self._pools), dict(self._parts)
        if None not in self._parts or found == self._arranged:
            return
        self._state.set_pools(self._pools)
        self._state.set_parts(self._parts)
        self._state.arrange(self._clock.time())
        self._arranged = found
        self._awake.set()

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self._save()
            except Fenced as error:
                self._is_fenced(error)
                return
            except MirrorError as error:
                self._host.log.warning("snapshot schedules: %s", one_line(str(error)))
                await asyncio.sleep(REFRESH_SECONDS)

    async def _save(self) -> None:
        """Write what is new of each pool; raise the first error, when all others are written."""
        by_pool: Dict[int, Set[ImageKey]] = {}
        for image in self._state.unsaved:
            by_pool.setdefault(image.pool_id, set()).add(image)
        results = await asyncio.gather(*(
            self._save_pool(*item) for item in by_pool.items()), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error

    async def _save_pool(self, pool_id: int, images: Set[ImageKey]) -> None:
        self._state.unsaved -= images
        saved = False
        try:
            await self._store.save_records(
                pool_id, {image: self._state.to_store(image) for image in images})
            saved = True
        except NotFound:
            saved = True  # the pool was removed
        finally:
            if not saved:
                self._state.unsaved.update(images & set(self._state.records))

    # What commands ask for

    async def add(self, level: Level, name: str, rule: Rule) -> None:
        async with self._change_lock:
            entry = replace(self._state.book.get(level), name=name)
            since = int(self._clock.time())
            await self._change(level, entry.with_rule(replace(rule, since=since)))

    async def remove(self, level: Level, rule: Optional[Rule]) -> None:
        async with self._change_lock:
            entry = self._state.book.get(level)
            if not entry.rules or (rule is not None and not entry.has(rule)):
                await self._fresh()
                raise NotFound(self._no_such(level, rule))
            await self._change(level, replace(entry, rules=()) if rule is None
                               else entry.without(rule))

    def _no_such(self, level: Level, rule: Optional[Rule]) -> str:
        where = f"snapshot schedules of {self._state.level_name(level)}"
        if level in self._state.theirs:
            return (f"{where}: they are rbd_support's; remove them by `rbd mirror snapshot "
                    "schedule remove`, or first run: ceph rbd-mirror snapshot schedule adopt")
        wanted = f"there is no '{rule}'" if rule else "there are none"
        return f"{where}: {wanted}; see: ceph rbd-mirror snapshot schedule ls --recursive"

    async def pause(self, level: Level, name: str) -> None:
        async with self._change_lock:
            entry = self._state.book.get(level)
            if not entry.paused:
                paused = int(self._clock.time())
                await self._change(level, replace(entry, paused=paused, name=name))

    async def resume(self, level: Level) -> None:
        async with self._change_lock:
            entry = self._state.book.get(level)
            if not entry.paused:
                raise NotFound(
                    f"snapshot schedules of {self._state.level_name(level)}: they are not paused "
                    "there; see: ceph rbd-mirror snapshot schedule status")
            await self._change(level, replace(entry, paused=0, since=int(self._clock.time())))

    async def _change(self, level: Level, entry: Entry) -> None:
        await self._save_entries(level.pool_id, {level: entry})
        self._state.arrange(self._clock.time())
        self._look.set()
        self._awake.set()

    async def _save_entries(self, pool_id: Optional[int], changes: Dict[Level, Entry]) -> None:
        """Store entries of a pool and take them over before they are read the next time."""
        self._changes += 1
        await self._store.save(pool_id, changes)
        self._changes += 1
        self._state.set_entries(changes)
        part = self._parts.get(pool_id, Part.empty())
        self._parts[pool_id] = part._replace(ours=changed(part.ours, changes))

    async def run_now(self, level: Level) -> Tuple[int, Dict[str, MirrorError]]:
        images = self._state.scheduled(level)
        if not images:  # perhaps one that was made a moment ago
            await self._read_all()
            images = self._state.scheduled(level)
        if not images:
            raise NotFound(f"{self._state.level_name(level)}: no image there has a schedule and is "
                           "primary here; to make a single snapshot: "
                           "ceph rbd-mirror image snapshot")
        ready = [image for image in images if self._state.has_peer(image)]
        if not ready:
            raise InvalidArgument(f"{self._state.level_name(level)}: {NO_PEER_CURE}")
        failures = await asyncio.gather(*(self._run_one(image) for image in ready))
        return len(ready), {image.spec: MirrorError(failure)
                            for image, failure in zip(ready, failures) if failure}

    async def _run_one(self, image: Image) -> str:
        """Return what went wrong.  What is due meanwhile has its turn all the same."""
        now = int(self._clock.time())
        outcome = await self._attempt(Due(image.key, now, _NOW, 0, now), scheduled=False)
        self._state.change(image.key, outcome.note)
        return outcome.failure

    async def adopt(self, level: Level, dry_run: bool) -> Adopted:
        async with self._change_lock:
            return await self._adopt(level, dry_run)

    async def _adopt(self, level: Level, dry_run: bool) -> Adopted:
        await self._read_all()
        self._require_read(level)
        now = int(self._clock.time())
        theirs = self._state.adoptable()
        names = {found: self._state.image_name(found) or "" for found in theirs}
        adoptions = rbd_support.adopt(theirs, self._state.book.entries, names, level, now,
                                      _utc_offset(now))
        if not dry_run:
            entries = {adoption.level: adoption.entry for adoption in adoptions}
            for pool_id, part in by_pool(entries).items():
                await self._save_entries(pool_id, part)
                await self._store.remove_theirs(pool_id, {level: theirs[level] for level in part})
                for level in part:
                    self._state.adopted(level, now)
            await self._read_all()
        return Adopted(dry_run, adoptions, tuple(
            self._state.level_name(adoption.level) for adoption in adoptions),
            self._state.damaged_theirs())

    async def listing(self, level: Level, recursive: bool) -> Tuple[LevelView, ...]:
        await self._fresh()
        return self._state.listing(level, recursive)

    async def status(self, level: Level) -> Tuple[ImageView, ...]:
        await self._fresh()
        return self._state.status(level)


class _TooLate(Exception):
    """The deadline of the rule has passed."""


class _Outcome(NamedTuple):
    """What came of a turn.

    :ivar note: what it makes of the image's record
    :ivar failure: what went wrong, in a sentence
    """

    note: Callable[[Record], Record]
    failure: str = ""


_NOW = Rule(interval=0)  # of a turn that a user asked for


def _succeeded(record: Record, made: Made, late: float, took: float) -> Record:
    if made.ours:
        return record.succeeded(made.at, late, took, made.snapshot)
    if made.snapshot == record.snapshot:
        return record  # it was noted down already
    return record.succeeded(made.at, late, 0.0, made.snapshot)


def _utc_offset(at: int) -> int:
    """How many seconds the manager's local time is ahead of UTC."""
    return time.localtime(at).tm_gmtoff
