"""The reader against a primary that writes whenever it reads, and against one that does not."""

import asyncio
import random
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

import pytest

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.journal.reader import Reader
from mirror_mgr.wire.journal import JournalHeader
from mirror_mgr.wire.journal_entry import Entry, encode
from tests.virtual_time import run

WIDTH = 4
MOST_BYTES = 40_000
Name = Tuple[int, int]


def crc(data: bytes) -> int:
    return sum(data) & 0xffffffff


class Primary:
    """Has entries in flight, which land in any order but for those of one object.

    `expected` is what it may have acknowledged: of each tag, the entries with none missing before.
    """

    def __init__(self, rng: random.Random, entries: int, room: int,
                 has_writer: bool = True) -> None:
        self.objects: Dict[int, bytes] = {}
        self.expected: List[Name] = []
        self.changed: Callable[[], None] = lambda: None
        self.lock_reads = 0
        self._rng = rng
        self._left = entries
        self._room = room
        self._has_writer = has_writer
        self._active = 0
        self._tag = self._tid = 0
        self._flying: Dict[int, Deque[Tuple[int, bytes]]] = {}
        self._landed: List[int] = []
        self._ends = False
        self._full = False

    @property
    def done(self) -> bool:
        return not self._left and not self._any_flying

    @property
    def _any_flying(self) -> bool:
        return any(self._flying.values())

    def step(self) -> None:
        if self._any_flying and self._rng.random() < 0.5:
            self._land()
        elif self._ends or self._full:
            self._change()
        elif self._left:
            self._send()
            chance = self._rng.random()
            self._ends = chance < 0.02
            if chance > 0.99:
                self._crash()

    def finish(self) -> None:
        while not self.done:
            self.step()
        self._end_tag()

    def _send(self) -> None:
        number = self._active * WIDTH + self._tid % WIDTH
        content = b"%d/%d " % (self._tag, self._tid)
        content += bytes(self._rng.choice((0, 100, MOST_BYTES)))
        data = encode(Entry(self._tag, self._tid, content), crc)
        self._flying.setdefault(number, deque()).append((self._tid, data))
        size = len(self.objects.get(number, b"")) + sum(
            len(one) for _, one in self._flying[number])
        self._full = self._full or size > self._room
        self._tid += 1
        self._left -= 1

    def _land(self) -> None:
        number = self._rng.choice([n for n, queue in self._flying.items() if queue])
        tid, data = self._flying[number].popleft()
        self.objects[number] = self.objects.get(number, b"") + data
        self._landed.append(tid)

    def _change(self) -> None:
        if self._any_flying:
            self._land()
            return
        if self._full:
            self._active += 1
        if self._ends:
            self._end_tag()
        self._full = self._ends = False
        self.changed()

    def _crash(self) -> None:
        self._flying.clear()
        self._ends = True

    def _end_tag(self) -> None:
        landed = set(self._landed)
        tid = 0
        while tid in landed:
            self.expected.append((self._tag, tid))
            tid += 1
        self._landed.clear()
        self._tag += self._rng.choice((1, 3))
        self._tid = 0

    # --- as the reader has it: a journal, and its pool ------------------------------------------

    def data_oid(self, number: int) -> str:
        return str(number)

    def data_pool(self, header: JournalHeader) -> "Primary":
        return self

    async def header(self) -> JournalHeader:
        await self._meanwhile()
        return JournalHeader(WIDTH, 24, -1, 0, self._active, self._tag + 1, {}, ())

    async def has_writer(self) -> bool:
        self.lock_reads += 1
        return self._has_writer

    async def read(self, oid: str, length: int, offset: int) -> Optional[bytes]:
        await self._meanwhile()
        data = self.objects.get(int(oid))
        found = None if data is None else data[offset:offset + length]
        await self._meanwhile()
        return found

    async def _meanwhile(self) -> None:
        for _ in range(self._rng.randrange(3)):
            await asyncio.sleep(0)
            for _ in range(self._rng.randrange(4)):
                self.step()


async def reader_of(primary: Any) -> Reader:
    reader = Reader(primary, await primary.header(), (), crc, Budget(8 << 20))
    primary.changed = reader.notified
    return reader


async def read_all(primary: Primary) -> List[Name]:
    reader = await reader_of(primary)
    found: List[Name] = []
    while True:
        placed = reader.order.take()
        if placed is not None:
            assert placed.entry.data.split()[0] == b"%d/%d" % placed.entry[:2]
            found.append(placed.entry[:2])
            continue
        was_done = primary.done
        if was_done:
            # What the time would do.
            reader.notified()
        if not await reader.more() and was_done:
            return found
        primary.step()


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_missed_of_a_journal_that_is_written_to(seed: int) -> None:
    rng = random.Random(seed)
    primary = Primary(rng, entries=400, room=rng.choice((2_000, 200_000, 10**9)))
    found = asyncio.run(read_all(primary))
    primary.finish()
    assert found == primary.expected


class Ahead(Primary):
    """Has one small entry, and large ones behind it at the other splay offsets."""

    def __init__(self, size: int) -> None:
        super().__init__(random.Random(0), 0, 1)
        self.objects[0] = encode(Entry(0, 0, b"small"), crc)
        for tid in range(1, WIDTH):
            self.objects[tid] = encode(Entry(0, tid, bytes(size)), crc)


async def most_buffered(primary: Ahead) -> Tuple[int, int]:
    reader = await reader_of(primary)
    most = taken = 0
    while taken < WIDTH:
        most = max(most, sum(stream.buffered for stream in reader.order.streams))
        if reader.order.take() is None:
            assert await reader.more()
        else:
            taken += 1
    return taken, most


def test_of_large_entries_one_is_held_at_a_time() -> None:
    taken, most = asyncio.run(most_buffered(Ahead(10 << 20)))
    assert taken == WIDTH and most < 16 << 20


async def rested(primary: Primary, idle: float, notified_after: Optional[float] = None) -> float:
    reader = await reader_of(primary)
    await reader.more()
    loop = asyncio.get_running_loop()
    before = loop.time()
    if notified_after is not None:
        loop.call_later(notified_after, reader.notified)
    await reader.rest(idle)
    return loop.time() - before


@pytest.mark.parametrize(("idle", "has_writer", "pause"), [
    (0.0, True, 0.02), (0.0, False, 0.02), (2.0, False, 0.2), (10.0, False, 0.5),
    (1000.0, True, 0.5), (11.0, False, 10.0)])
def test_the_longer_nothing_came_the_longer_it_rests(
        idle: float, has_writer: bool, pause: float) -> None:
    primary = Primary(random.Random(0), 0, 1, has_writer)
    assert run(rested(primary, idle)) == pytest.approx(pause)
    assert primary.lock_reads == (idle > 10.0)


async def rested_often(primary: Primary) -> None:
    reader = await reader_of(primary)
    await reader.more()
    for _ in range(10):
        await reader.rest(1000.0)


@pytest.mark.parametrize(("has_writer", "asked"), [(True, 1), (False, 10)])
def test_whether_there_is_a_writer_is_not_asked_for_all_the_time(
        has_writer: bool, asked: int) -> None:
    primary = Primary(random.Random(0), 0, 1, has_writer)
    run(rested_often(primary))
    assert primary.lock_reads == asked


def test_a_change_of_the_header_ends_the_rest() -> None:
    primary = Primary(random.Random(0), 0, 1, has_writer=False)
    assert run(rested(primary, 1000.0, notified_after=0.25)) == pytest.approx(0.25)
