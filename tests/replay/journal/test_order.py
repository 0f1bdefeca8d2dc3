"""The order of entries, whatever pieces of which objects were read when."""

import random
from typing import Dict, List, Optional, Tuple

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.replay.journal import order as product
from mirror_mgr.replay.journal.order import Order, Stream
from mirror_mgr.wire.journal import ObjectPosition
from mirror_mgr.wire.journal_entry import Entry, encode

WIDTH = 4


def crc(data: bytes) -> int:
    return sum(data) & 0xffffffff


class Recorder:
    """Writes entries as the primary does; an object is full after `room` entries."""

    def __init__(self, room: int = 10**9) -> None:
        self.objects: Dict[int, bytes] = {}
        self.active = 0
        self._room = room
        self._counts: Dict[int, int] = {}

    def append(self, tag: int, tid: int) -> None:
        number = self.active * WIDTH + tid % WIDTH
        data = encode(Entry(tag, tid, b"%d/%d" % (tag, tid)), crc)
        self.objects[number] = self.objects.get(number, b"") + data
        self._counts[number] = self._counts.get(number, 0) + 1
        if self._counts[number] >= self._room:
            self.active += 1


def read_all(order: Order, recorder: Recorder, chunk: int = 10**9,
             into: Optional[List[Tuple[int, int]]] = None) -> List[Tuple[int, int]]:
    """Take every entry, reading `chunk` bytes at a time from where the order waits.

    They are appended `into` a list as well that stays when damage ends the reading.
    """
    found = [] if into is None else into
    while True:
        placed = order.take()
        if placed is not None:
            assert placed.entry.data == b"%d/%d" % placed.entry[:2]
            found.append(placed.entry[:2])
        elif not any(read(order, recorder, index, chunk) for index in range(WIDTH)):
            tag = order.begins_tag()
            if tag is None:
                order.check()
                return found
            order.begin(tag)


def read(order: Order, recorder: Recorder, index: int, chunk: int) -> bool:
    stream = order.streams[index]
    if order.front(index) is not None:
        return False
    data = recorder.objects.get(stream.number, b"")[stream.read_to:stream.read_to + chunk]
    if data:
        stream.feed(data)
    elif stream.at_end():
        return True
    elif order.set_of(stream) < recorder.active:
        stream.leave(WIDTH)
    else:
        return False
    return True


@pytest.mark.parametrize("room", [3, 10**9])
@pytest.mark.parametrize("chunk", [1, 30, 50, 10**9])
def test_through_objects_and_tags(room: int, chunk: int) -> None:
    recorder = Recorder(room)
    wanted = [(tag, tid) for tag, count in ((0, 11), (2, 1), (3, 30), (7, 5))
              for tid in range(count)]
    for one in wanted:
        recorder.append(*one)
    assert read_all(Order(WIDTH, 0, (), crc), recorder, chunk) == wanted


@pytest.mark.parametrize("done", [0, 1, 5, 17, 40])
def test_from_every_position(done: int) -> None:
    recorder = Recorder(4)
    places: List[ObjectPosition] = []
    wanted = [(tag, tid) for tag in (1, 4) for tid in range(25)]
    for one in wanted:
        places.append(ObjectPosition(recorder.active * WIDTH + one[1] % WIDTH, *one))
        recorder.append(*one)
    last: Dict[int, ObjectPosition] = {p.object_number % WIDTH: p for p in places[:done]}
    positions = tuple(sorted(last.values(), key=lambda p: p[1:], reverse=True))
    assert read_all(Order(WIDTH, 0, positions, crc), recorder) == wanted[done:]


def test_an_entry_that_was_sent_twice_counts_once() -> None:
    recorder = Recorder()
    for tid in (0, 1, 2, 3, 4, 0, 4, 5):
        recorder.append(1, tid)
    assert read_all(Order(WIDTH, 0, (), crc), recorder) == [(1, tid) for tid in range(6)]


def test_entries_behind_a_gap_at_the_end_of_a_tag_were_never_acknowledged() -> None:
    recorder = Recorder()
    for tag, tid in ((1, 0), (1, 1), (1, 3), (2, 0), (2, 1)):
        recorder.append(tag, tid)
    assert read_all(Order(WIDTH, 0, (), crc), recorder) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_gap_within_a_tag_is_damage() -> None:
    recorder = Recorder()
    for tid in (0, 1, 2, 3, 5, 8):
        recorder.append(1, tid)
    with pytest.raises(MalformedData, match="1/4 is missing"):
        read_all(Order(WIDTH, 0, (), crc), recorder)


def test_a_tag_without_its_first_entry_is_damage() -> None:
    recorder = Recorder()
    for tag, tid in ((1, 0), (2, 4)):
        recorder.append(tag, tid)
    with pytest.raises(MalformedData, match="2/0 is missing"):
        read_all(Order(WIDTH, 0, (), crc), recorder)


def test_an_object_that_ends_within_an_entry_is_damage() -> None:
    recorder = Recorder(1)
    recorder.append(1, 0)
    recorder.objects[0] = recorder.objects[0][:-1]
    with pytest.raises(MalformedData, match="object 0 is damaged at offset 0: .* cut off"):
        read_all(Order(WIDTH, 0, (), crc), recorder)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Bytes that rotted, or were lost, in the middle or at the end."""
    at, size = dice.randrange(len(data)), dice.randrange(1, 60)
    kind = dice.randrange(4)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1:]
    if kind == 1:
        return data[:at] + data[at + size:]
    if kind == 2:
        return data[:at] + dice.randbytes(size) + data[at:]
    return data[:at]


@pytest.mark.parametrize("seed", range(300))
def test_nothing_is_taken_that_damage_came_before(seed: int) -> None:
    dice = random.Random(seed)
    recorder = Recorder(dice.choice((3, 10**9)))
    tags = (1, 4) if dice.random() < 0.7 else (1,)
    wanted = [(tag, tid) for tag in tags for tid in range(dice.randrange(1, 30))]
    for one in wanted:
        recorder.append(*one)
    number = dice.choice(list(recorder.objects))
    recorder.objects[number] = damaged(recorder.objects[number], dice)
    order, found = Order(WIDTH, 0, (), crc), []
    try:
        read_all(order, recorder, dice.choice((20, 10**9)), found)
    except MalformedData as error:
        assert "journal object" in str(error) or "is missing in" in str(error)
        assert found == wanted[:len(found)]
        return
    # What is lost without a trace is the end of a tag, which nobody may have been told of.
    lost = [one for one in wanted if one not in found]
    assert found == [one for one in wanted if one in found]
    for tag in tags:
        whole = sum(one[0] == tag for one in found)
        assert all(tid >= whole for one_tag, tid in lost if one_tag == tag)


@pytest.mark.parametrize("seed", range(100))
def test_damage_before_the_position_is_no_matter(seed: int) -> None:
    dice = random.Random(seed)
    recorder = Recorder()
    wanted = [(1, tid) for tid in range(24)]
    for one in wanted[:16]:
        recorder.append(*one)
    done = dice.randrange(4, 16)
    number = dice.randrange(WIDTH)
    objects = {n: b"".join(encode(Entry(1, tid, b"1/%d" % tid), crc) for tid in range(n, done, 4))
               for n in range(WIDTH)}
    recorder.objects[number] = (damaged(objects[number], dice)
                                + recorder.objects[number][len(objects[number]):])
    positions = tuple(ObjectPosition(tid % WIDTH, 1, tid)
                      for tid in range(done - 1, done - 1 - WIDTH, -1))
    order = Order(WIDTH, 0, positions, crc)
    found = read_all(order, recorder)
    for one in wanted[16:]:
        recorder.append(*one)
    assert found + read_all(order, recorder) == wanted[done:]


def test_reading_while_it_is_written() -> None:
    rng = random.Random()
    recorder = Recorder(5)
    order = Order(WIDTH, 0, (), crc)
    wanted, found = [], []
    for tag in (1, 2, 5):
        for tid in range(rng.randrange(1, 40)):
            recorder.append(tag, tid)
            wanted.append((tag, tid))
            if rng.random() < 0.3:
                found += read_all(order, recorder, rng.randrange(1, 60))
    assert found + read_all(order, recorder) == wanted


def test_what_looks_like_entries_within_each_other_is_given_up(monkeypatch) -> None:
    """An object full of heads, each of which claims all that follows it."""
    monkeypatch.setattr(product, "_MOST_IN_VAIN", 4 << 20)
    checked = 0

    def count(data: bytes) -> int:
        nonlocal checked
        checked += len(data)
        return 1

    head = encode(Entry(1, 0, b""), lambda data: 0)
    size = 1 << 20
    heads = b"".join(head[:25] + (size - place - 100).to_bytes(4, "little") + head[29:]
                     for place in range(0, size - 200, len(head)))
    stream = Stream(0, count)
    stream.feed(heads.ljust(size, b"\0"))
    assert stream.front() is None
    assert checked < 6 << 20 and stream.is_damaged
    # What follows in the object is damage too; the next object is another matter.
    stream.feed(b"\0" * 100)
    assert not stream.at_end()
    stream.leave(WIDTH)
    stream.feed(encode(Entry(1, 1, b"x"), count))
    assert stream.front() == Entry(1, 1, b"x")
