"""The loop on a clock that jumps: what is due is made, whatever goes wrong with one image."""

import asyncio
import logging
import random
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Optional, Set, Tuple

import pytest

from mirror_mgr.errors import ClusterError, Fenced, NotFound, NotReady, OutOfSpace
from mirror_mgr.schedule import session as module
from mirror_mgr.schedule.creation import Made, Order
from mirror_mgr.schedule.discovery import Image, PoolView
from mirror_mgr.schedule.entries import Entry, changed
from mirror_mgr.schedule.levels import EVERYWHERE, ImageKey, Level
from mirror_mgr.schedule.records import Record
from mirror_mgr.schedule.rules import MINUTE, Rule
from mirror_mgr.schedule.session import Session
from mirror_mgr.schedule.state import SCHEDULER_LATE, State
from mirror_mgr.schedule.store import Part
from tests.virtual_time import run

T = 1_700_000_040
A, B, C = (ImageKey(1, "", name) for name in "abc")
MINUTELY = Rule(MINUTE)

Creation = Callable[[Order], Awaitable[Optional[int]]]


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class World:
    """A cluster and its manager: what is stored, and what becomes of each snapshot."""

    log = logging.getLogger("test")

    def __init__(self, *images: ImageKey, rule: Rule = MINUTELY) -> None:
        self.options: Dict[str, Any] = {
            "snapshots_in_flight": 512, "snapshot_seconds": 120, "warn_no_schedule": True}
        self.images: Dict[ImageKey, Image] = {
            key: Image(key, f"data/{key.image_id}", True) for key in images}
        self.entries: Dict[Level, Entry] = {EVERYWHERE: Entry((rule,))}
        self.stored: Dict[ImageKey, Record] = {}
        self.unwritable: Set[int] = set()
        self.creations: Dict[ImageKey, Creation] = {}
        self.made: Dict[ImageKey, List[Tuple[float, int]]] = {key: [] for key in images}
        self.in_flight = self.most_in_flight = 0
        self.state = State()
        self.offset = 0.0
        self.answers: Dict[int, asyncio.Event] = {}

    # The clock and the host

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        return T + self.offset + self.monotonic()

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def pools(self) -> List[Tuple[int, str]]:
        return [(number, "data") for number in sorted({key.pool_id for key in self.images})]

    # The connection and the store

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def pool(self, pool_id: int, namespace: str) -> Tuple[int, str]:
        return pool_id, namespace

    async def read_view(self, connection: Any, pool_id: int, name: str,
                        known: Set[ImageKey]) -> PoolView:
        await self.answers.setdefault(pool_id, _set()).wait()
        images = tuple(image for image in self.images.values() if image.key.pool_id == pool_id)
        return PoolView(name, True, images, frozenset())

    async def read_pool(self, pool_id: int) -> Part:
        return Part({level: entry for level, entry in self.entries.items()
                     if level.pool_id == pool_id}, {}, {}, {})

    async def read_global(self) -> Part:
        return Part({level: entry for level, entry in self.entries.items()
                     if level.pool_id is None}, {}, {}, {})

    async def read_records(self, pool_id: int) -> Dict[ImageKey, Record]:
        return dict(self.stored)

    async def save(self, pool_id: Optional[int], changes: Dict[Level, Entry]) -> None:
        self.entries = changed(self.entries, changes)

    async def save_records(self, pool_id: int, found: Dict[ImageKey, Record]) -> None:
        if pool_id in self.unwritable:
            raise OutOfSpace("the pool is full")
        self.stored.update(found)

    async def create(self, pool: Tuple[int, str], order: Order,
                     now: Callable[[], float]) -> Optional[Made]:
        key = ImageKey(*pool, order.image_id)
        for at, number in self.made[key]:
            if order.unless_made and at >= order.time:
                return Made(number, at, ours=False)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(max(0.0, order.time - now()))
            at = now()
            creation = self.creations.get(key, self.soon)
            number = await creation(order)
        finally:
            self.in_flight -= 1
        if number is None:
            return None
        self.made[key].append((at, number))
        return Made(number, at, ours=True)

    async def soon(self, order: Order) -> Optional[int]:
        await asyncio.sleep(1)
        return sum(map(len, self.made.values())) + 1

    # What tests do

    async def live(self, until: float) -> Optional[Session]:
        """Let a session run until then; return it as it is, or None if it was fenced."""
        session = Session(self, self, self.state, self)  # type: ignore[arg-type]
        await session.load()
        running = asyncio.ensure_future(session.run(lambda: False, lambda: None))
        await asyncio.wait({running}, timeout=until - self.time())
        if not running.done():
            self.running = running
            return session
        with pytest.raises(Fenced):
            running.result()
        await session.end()
        return None

    async def die(self, session: Session) -> None:
        """As when the manager is killed: what it did not store is lost."""
        self.running.cancel()
        for task in (*session._turns, *session._makings):
            task.cancel()
        await asyncio.sleep(0.001)
        self.state = State()

    def due_times(self, key: ImageKey) -> List[int]:
        return [int(at) for at, _ in self.made[key]]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_pool(connection: World, *args: Any) -> PoolView:
        return await connection.read_view(connection, *args)

    async def create(pool: Any, order: Order, now: Any) -> Optional[Made]:
        world = now.__self__
        return await world.create(pool, order, now)

    monkeypatch.setattr(module, "Store", lambda connection, host: connection)
    monkeypatch.setattr(module, "read_pool", read_pool)
    monkeypatch.setattr(module, "create", create)


def minutes(*numbers: int) -> List[int]:
    return [T + MINUTE * number for number in numbers]


async def fail(order: Order) -> Optional[int]:
    raise ClusterError("the OSD has no idea")


async def break_down(order: Order) -> Optional[int]:
    raise ZeroDivisionError("nobody thought of this")


async def refuse(order: Order) -> Optional[int]:
    return None  # it is not primary any more


def hanging_until(event: asyncio.Event, number: int = 1) -> Creation:
    async def hang(order: Order) -> Optional[int]:
        await event.wait()
        return number

    return hang


def test_an_error_of_one_image_is_that_image_s() -> None:
    async def scenario() -> None:
        world = World(A, B, C)
        world.creations = {B: fail, C: break_down}
        session = await world.live(T + 3 * MINUTE + 30)
        assert session is not None
        assert world.due_times(A) == minutes(1, 2, 3)
        for key, word in ((B, "no idea"), (C, "inside mirror_mgr")):
            record = world.stored[key]
            assert (record.failed, record.in_a_row, record.done) == (3, 3, 0)
            assert record.last_run == T + 3 * MINUTE and word in record.error
        assert {item.subject for item in session.health or ()} == {"data/b", "data/c"}
        world.creations.clear()
        await asyncio.sleep(MINUTE)
        assert (world.stored[B].in_a_row, world.stored[B].error, world.stored[B].failed) == (
            0, "", 3)
        assert world.stored[B].late == 0 and world.stored[B].took == 1.0

    run(scenario())


def test_a_creation_that_hangs_is_given_up_and_told() -> None:
    async def scenario() -> None:
        world, released = World(A, B), asyncio.Event()
        world.creations[A] = hanging_until(released, number=77)
        session = await world.live(T + 4 * MINUTE + 30)
        assert session is not None
        assert world.due_times(B) == minutes(1, 2, 3, 4)
        record = world.stored[A]
        assert (record.failed, record.skipped, record.done) == (1, 3, 0)
        assert (record.last_run, record.took) == (T + MINUTE, 120.0)
        [item] = session.health or ()
        assert item.subject == "data/a" and "2023-11-14T22:15:00Z" in item.text
        released.set()
        world.creations.clear()
        await asyncio.sleep(MINUTE)
        record = world.stored[A]
        assert (record.failed, record.skipped, record.done) == (1, 3, 2)
        assert session.health == []

    run(scenario())


def test_what_hung_when_the_manager_died_is_made_by_the_next() -> None:
    async def scenario() -> None:
        world = World(A)
        world.creations[A] = hanging_until(asyncio.Event())
        session = await world.live(T + 3 * MINUTE + 30)
        assert session is not None
        await world.die(session)
        world.creations.clear()
        await world.live(T + 4 * MINUTE - 10)
        assert len(world.made[A]) == 1
        assert world.stored[A].due == T + 3 * MINUTE

    run(scenario())


def test_what_a_blocklisted_client_could_not_make_is_made_once_by_the_next() -> None:
    async def scenario() -> None:
        world = World(A, B)

        async def fenced(order: Order) -> Optional[int]:
            await asyncio.sleep(MINUTE + 10)  # the next due time has passed
            world.creations.clear()
            raise Fenced("blocklisted")

        world.creations[A] = fenced
        assert await world.live(T + 3 * MINUTE) is None
        assert world.time() < T + 3 * MINUTE
        await world.live(T + 3 * MINUTE + 30)
        assert world.due_times(B) == minutes(1, 2, 3)
        assert len(world.made[A]) == 2
        record = world.stored[A]
        assert (record.done, record.failed, record.skipped) == (2, 0, 1)

    run(scenario())


def test_one_that_is_asked_for_costs_no_due_time() -> None:
    async def scenario() -> None:
        world = World(A)
        session = await world.live(T + MINUTE - 3.5)
        assert session is not None
        slow = asyncio.Event()
        world.creations[A] = hanging_until(slow, number=5)
        asked = asyncio.ensure_future(session.run_now(EVERYWHERE))
        await asyncio.sleep(0.1)
        world.creations.clear()
        await asyncio.sleep(10)
        assert world.due_times(A) == minutes(1)
        slow.set()
        assert await asked == (1, {})
        await asyncio.sleep(1)
        record = world.stored[A]
        assert (record.done, record.skipped, record.failed) == (2, 0, 0)

    run(scenario())


def test_what_comes_of_one_that_is_asked_for() -> None:
    async def scenario() -> None:
        world = World(A, B, C)
        session = await world.live(T + 1)
        assert session is not None
        world.creations = {A: refuse, B: fail}
        count, failures = await session.run_now(EVERYWHERE)
        assert count == 3
        assert {image: error.message for image, error in failures.items()} == {
            "data/a": "it is not primary here any more, or gone", "data/b": "the OSD has no idea"}
        assert (world.state.records[C].late, world.state.records[B].failed) == (0.0, 1)

    run(scenario())


def test_so_many_at_a_time_as_the_option_says_by_now() -> None:
    async def scenario() -> None:
        images = [ImageKey(1, "", str(number)) for number in range(30)]
        world = World(*images)
        world.options["snapshots_in_flight"] = 5
        await world.live(T + MINUTE + 30)
        assert world.most_in_flight == 5
        assert all(len(world.made[key]) == 1 for key in images)
        world.options["snapshots_in_flight"] = 20
        await asyncio.sleep(MINUTE)
        assert world.most_in_flight == 20

    run(scenario())


def test_a_queue_that_is_long_is_told() -> None:
    async def scenario() -> None:
        world, released = World(A, B), asyncio.Event()
        world.options.update(snapshots_in_flight=1, snapshot_seconds=600)
        world.creations = {key: hanging_until(released) for key in (A, B)}
        session = await world.live(T + 2 * MINUTE + 10)
        assert session is not None
        assert ["queue"] == [item.subject for item in session.health or ()]

    run(scenario())


def test_a_pool_that_takes_no_records_holds_up_no_other() -> None:
    async def scenario() -> None:
        other = ImageKey(2, "", "x")
        world = World(A, other)
        world.unwritable = {1}
        await world.live(T + MINUTE + 20)
        assert A not in world.stored and world.stored[other].done == 1
        world.unwritable.clear()
        await asyncio.sleep(30)
        assert world.stored[A].done == 1

    run(scenario())


def test_a_pool_that_does_not_answer_is_told_and_not_taken_for_empty() -> None:
    async def scenario() -> None:
        other = ImageKey(2, "", "x")
        world = World(A, other)
        session = await world.live(T + 1)
        assert session is not None
        world.answers[2].clear()
        await asyncio.sleep(3 * MINUTE)
        assert world.due_times(A) == world.due_times(other) == minutes(1, 2, 3)
        [item] = [item for item in session.health or () if item.code == SCHEDULER_LATE]
        assert "can't be read" in item.text
        for level in (EVERYWHERE, Level(2), Level(2, "ns")):
            with pytest.raises(NotReady, match="nothing was changed"):
                await session.adopt(level, dry_run=False)
        assert (await session.adopt(Level(1), dry_run=True)).adoptions == ()
        world.answers[2].set()
        await asyncio.sleep(MINUTE)
        assert (await session.adopt(EVERYWHERE, dry_run=True)).adoptions == ()
        assert not [item for item in session.health or () if item.code == SCHEDULER_LATE]

    run(scenario())


def test_a_level_that_is_not_there_any_more() -> None:
    async def scenario() -> None:
        world = World(A)
        session = await world.live(T + 1)
        assert session is not None
        with pytest.raises(NotFound, match="there is no 'every 1h'"):
            await session.remove(EVERYWHERE, Rule(3600))
        await session.remove(EVERYWHERE, MINUTELY)
        with pytest.raises(NotFound, match="there are none"):
            await session.remove(EVERYWHERE, None)
        await asyncio.sleep(2 * MINUTE)
        assert world.made[A] == []

    run(scenario())


def test_what_others_change_is_seen_by_who_looks() -> None:
    async def scenario() -> None:
        world = World(A)
        session = await world.live(T + 5)
        assert session is not None
        world.entries[Level(1)] = Entry((Rule(3600),))
        world.images[B] = Image(B, "data/b", True)
        assert len(await session.listing(EVERYWHERE, recursive=True)) == 2
        assert {view.level for view in await session.status(EVERYWHERE)} == {"data"}

    run(scenario())


@pytest.mark.parametrize("seed", range(4))
def test_each_due_time_has_its_turn_once_whatever_happens(seed: int) -> None:
    """Failures, hangs, blocklistings, deaths of the manager and small steps of the clock."""
    chance = random.Random(seed)
    images = [ImageKey(1, "", str(number)) for number in range(4)]
    events: List[asyncio.Event] = []

    def some(of: Iterable[ImageKey]) -> Dict[ImageKey, Creation]:
        event = asyncio.Event()
        events.append(event)
        return {key: chance.choice([fail, break_down, world.soon, hanging_until(event)])
                for key in of if chance.random() < 0.5}

    async def be_fenced(order: Order) -> Optional[int]:
        raise Fenced("blocklisted")

    async def scenario() -> None:
        for number in range(1, 9):
            session = await world.live(T + number * 4 * MINUTE + chance.randrange(0, 90))
            for event in events:
                event.set()
            if session is not None:
                await asyncio.sleep(0.1)
                world.running.cancel()
                await session.end()
            if chance.random() < 0.3:
                world.state = State()
            world.creations = some(images)
            if chance.random() < 0.3:
                world.creations[chance.choice(images)] = be_fenced
            if chance.random() < 0.3:
                world.offset -= 0.7
        world.creations.clear()
        world.state = State()
        await world.live(T + 40 * MINUTE + 10)
        for key in images:
            times = [at // MINUTE for at, _ in world.made[key]]
            assert len(times) == len(set(times)), key
            record = world.stored[key]
            assert record.done <= len(times)  # one that was made as its manager died is not noted
            assert record.done + record.failed + record.skipped >= 40, (key, record)
            assert world.due_times(key)[-3:] == minutes(38, 39, 40)

    world = World(*images)
    run(scenario())
