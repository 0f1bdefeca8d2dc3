"""Windows: the same bytes and the same object map as one event after the other."""

import random
from typing import Dict, Iterable, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_mgr.cluster.operation import Operation
from mirror_mgr.errors import NotFound
from mirror_mgr.replay.journal.target import operation_of
from mirror_mgr.replay.journal.window import Changes, Step, Window, parts, ranges, repeats
from mirror_mgr.wire.constants import Feature, ObjectState
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.journal_event import CompareAndWrite, Discard, Write, WriteSame
from mirror_mgr.wire.striping import Striping
from tests.replay.fake_rados import FakeRados

SIZE = 100  # 7 objects of 16 bytes, the last one of 4
NONEXISTENT, EXISTS, PENDING, CLEAN = (int(state) for state in ObjectState)


def striping(unit: int = 0, count: int = 1) -> Striping:
    return Striping(ImageHeader(SIZE, 4, Feature(0), "x", stripe_unit=unit, stripe_count=count))


def window(cells: Optional[bytes] = None, size: int = SIZE, unit: int = 0,
           count: int = 1) -> Window:
    return Window(striping(unit, count), size, cells)


def add(target: Window, event: object) -> None:
    if isinstance(event, Write):
        target.write(event)
    elif isinstance(event, WriteSame):
        target.write_same(event)
    elif isinstance(event, Discard):
        target.discard(event)


def apply(objects: Dict[int, bytearray], target: Window) -> None:
    """What the OSDs make of a window."""
    for number, changes in target.objects.items():
        operation = operation_of(changes)
        if operation is not None:
            now = after(operation.parts(), objects.pop(number, None))
            if now is not None:
                objects[number] = bytearray(now)


def after(parts: Iterable[Operation], before: Optional[bytes]) -> Optional[bytes]:
    """What an OSD of an erasure-coded pool makes of an object."""
    rados = FakeRados(erasure_coded=True)
    if before is not None:
        rados.operate("o", [("create", False), ("write", 0, before)])
    try:
        for part in parts:
            rados.operate("o", part.steps)
    except NotFound:
        assert before is None
    return rados.content("o")


def content(objects: Dict[int, bytearray], layout: Striping) -> bytes:
    found = bytearray(SIZE)
    for extent in layout.extents(0, SIZE):
        data = objects.get(extent.number, bytearray())[extent.offset:][:extent.length]
        found[extent.at:extent.at + len(data)] = data
    return bytes(found)


def events(rng: random.Random, count: int) -> List[object]:
    found: List[object] = []
    for _ in range(count):
        offset = rng.randrange(SIZE)
        length = rng.randrange(1, 40)
        kind = rng.randrange(4)
        if kind == 0:
            found.append(Write(offset, rng.randbytes(length)))
        elif kind == 1:
            found.append(WriteSame(offset, 12, rng.randbytes(4)))
        else:
            found.append(Discard(offset, length, rng.choice((0, 0, 4, 16))))
    return found


@pytest.mark.parametrize("unit, count", [(0, 1), (4, 2)])
def test_a_window_gives_what_its_events_give_one_by_one(unit: int, count: int) -> None:
    rng = random.Random()
    layout = striping(unit, count)
    for _ in range(100):
        one_by_one: Dict[int, bytearray] = {}
        at_once: Dict[int, bytearray] = {}
        cells = [bytearray(8), bytearray(8)]
        for _ in range(3):
            some = events(rng, rng.randrange(1, 12))
            for event in some:
                single = window(bytes(cells[0]), unit=unit, count=count)
                add(single, event)
                apply(one_by_one, single)
                change(cells[0], single)
            whole = window(bytes(cells[1]), unit=unit, count=count)
            for event in some:
                add(whole, event)
            apply(at_once, whole)
            change(cells[1], whole)
        assert content(at_once, layout) == content(one_by_one, layout)
        assert cells[0] == cells[1]
        assert {n for n, cell in enumerate(cells[1]) if cell} == set(at_once)


def change(cells: bytearray, done: Window) -> None:
    for states in (done.states_before(), done.states_after()):
        for number, state in states.items():
            cells[number] = state


# --- what is done to one object ------------------------------------------------------------------

PLACES = st.integers(0, 30)
STEPS = st.one_of(
    st.builds(lambda offset, data: Step(offset, data), PLACES, st.binary(min_size=1, max_size=9)),
    st.builds(lambda offset, length: Step(offset, length=length), PLACES, st.integers(1, 20)),
    st.builds(lambda offset: Step(offset), PLACES))


@given(st.lists(STEPS), st.booleans(), st.none() | st.binary(max_size=40))
def test_an_object_is_cut_off_once_at_most(steps: List[Step], emptied: bool,
                                           before: Optional[bytes]) -> None:
    """And then shows what the steps give one by one."""
    changes = Changes(exists=True)
    changes.emptied = emptied
    changes.steps = steps
    expected = bytearray(b"" if before is None or emptied else before).ljust(80, b"\0")
    for offset, data, length in steps:
        end = 80 if data is None and length is None else offset + (length or len(data or b""))
        expected[offset:end] = data or bytes(end - offset)
    written = any(step.data is not None for step in steps)
    operation = operation_of(changes)
    if operation is None:
        assert not steps and not emptied
        return
    assert sum(name == "truncate" for name, *_ in operation.steps) <= 1
    found = after(operation.parts(), before)
    assert (found or b"").ljust(80, b"\0") == expected
    assert (found is not None) is (before is not None or emptied or written)


def test_what_is_cut_off_later_is_not_written() -> None:
    changes = Changes(exists=True)
    changes.steps = [Step(0, b"abcd"), Step(2), Step(6, length=9), Step(4, b"ef"), Step(8)]
    assert changes.settled() == (2, [Step(0, b"ab"), Step(6, length=2), Step(4, b"ef")])


# --- clones -----------------------------------------------------------------------------------

OVERLAP = 60  # the parent shows in objects 0 to 3


def clone_window(cells: Optional[bytes]) -> Window:
    return Window(striping(), SIZE, cells, parent_objects=4)


def copy_up(objects: Dict[int, bytearray], parent: bytes, target: Window, snapshots: bool) -> None:
    """What the OSDs make of the copy-up before a window."""
    for number in target.showing_parent(snapshots):
        objects.setdefault(number, bytearray(parent[16 * number:16 * number + 16]))


def shown(objects: Dict[int, bytearray], parent: bytes) -> bytes:
    """What an image shows of itself, and of its parent."""
    return b"".join((objects[n] if n in objects else parent[16 * n:16 * n + 16]).ljust(16, b"\0")
                    for n in range(7))[:SIZE]


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("snapshots", [True, False])
def test_a_clone_shows_what_its_events_give_one_by_one(mapped: bool, snapshots: bool) -> None:
    rng = random.Random()
    for _ in range(200):
        parent = rng.randbytes(OVERLAP)
        expected, objects = bytearray(parent.ljust(SIZE, b"\0")), {}
        cells = bytearray(7) if mapped else None
        for _ in range(3):
            some = events(rng, rng.randrange(1, 8))
            whole = clone_window(None if cells is None else bytes(cells))
            for event in some:
                add(whole, event)
                play(expected, event)
            copy_up(objects, parent, whole, snapshots)
            apply(objects, whole)
            if cells is not None:
                change(cells, whole)
                assert all(cells[number] for number in objects)
        assert shown(objects, parent) == expected


def play(image: bytearray, event: object) -> None:
    """The event, on the bytes of an image."""
    if isinstance(event, Discard):
        one = window()
        one.discard(event)
        for number, changes in one.objects.items():
            steps = changes.steps or [(0, None, None)]
            for offset, _, length in steps:
                start = 16 * number + offset
                end = min(SIZE, start + length if length is not None else 16 * (number + 1))
                image[start:end] = bytes(end - start)
    elif isinstance(event, (Write, WriteSame)):
        data = event.data if isinstance(event, Write) else event.pattern * 3
        data = data[:SIZE - event.offset]
        image[event.offset:event.offset + len(data)] = data


def test_of_a_clone_an_empty_object_stays() -> None:
    some = clone_window(bytes(7))
    some.write(Write(0, b"before"))
    some.discard(Discard(0, 80))
    assert [(n, c.emptied, c.exists) for n, c in some.objects.items()] == [
        (n, True, True) for n in range(4)]
    assert some.states_before() == {n: EXISTS for n in range(4)}
    assert some.states_after() == {}
    assert some.showing_parent(snapshots=False) == []
    assert some.showing_parent(snapshots=True) == [0, 1, 2, 3]


def test_what_is_written_to_in_part_shows_the_rest_of_the_parent() -> None:
    some = clone_window(bytes(7))
    some.write(Write(30, b"1234"))
    some.discard(Discard(50, 4))
    some.write(Write(70, b"1"))
    assert some.showing_parent(snapshots=False) == [1, 2, 3]


# --- discards, one by one -----------------------------------------------------------------------

@pytest.mark.parametrize("event, expected", [
    (Discard(0, 16), [(0, "removed")]),
    (Discard(4, 12), [(0, (4, None, None))]),
    (Discard(4, 4), [(0, (4, None, 4))]),
    (Discard(3, 9, 4), [(0, (4, None, 8))]),
    (Discard(1, 2, 4), []),
    (Discard(10, 30, 16), [(0, (10, None, None)), (1, "removed")]),
    (Discard(0, 16, 64), [(0, "removed")]),
    # The last object ends with the image: all of it is not the whole object.
    (Discard(96, 4, 16), []), (Discard(96, 4), [(6, (0, None, 4))]),
    (Discard(90, 100), [(5, (10, None, None)), (6, (0, None, 4))]),
    (Discard(200, 5), []),
])
def test_what_a_discard_frees(event: Discard, expected: List[Tuple[int, object]]) -> None:
    some = window(bytes((CLEAN,)) * 7)
    some.discard(event)
    assert [(number, "removed" if c.removed else tuple(c.steps[0]))
            for number, c in some.objects.items()] == expected


def test_what_does_not_exist_is_not_freed() -> None:
    some = window(bytes(7))
    some.discard(Discard(0, 40))
    assert some.objects == {}
    some.write(Write(2, b"ab"))
    some.discard(Discard(3, 4))
    assert some.objects[0].steps == [(2, b"ab", None), (3, None, 4)]
    distrusted = Window(striping(), SIZE, bytes(7), trusted=False)
    distrusted.discard(Discard(0, 16))
    assert distrusted.objects[0].removed


def test_writes_end_with_the_image() -> None:
    some = window()
    some.write(Write(98, b"abcd"))
    some.write(Write(120, b"abcd"))
    assert {n: c.steps for n, c in some.objects.items()} == {6: [(2, b"ab", None)]}


def test_the_object_map_is_ahead_of_writes_and_behind_removals() -> None:
    some = window(bytes((NONEXISTENT, EXISTS, CLEAN, CLEAN, NONEXISTENT, EXISTS, PENDING)))
    some.write(Write(0, b"x" * 48))
    some.discard(Discard(48, 48))
    assert some.states_before() == {0: EXISTS, 2: EXISTS, 3: PENDING, 5: PENDING}
    assert some.states_after() == {3: NONEXISTENT, 5: NONEXISTENT}
    assert window().states_before() == {}


def test_a_removal_forgets_what_was_before_and_keeps_what_is_after() -> None:
    some = window(bytes((CLEAN,)) * 7)
    some.write(Write(0, b"before"))
    some.discard(Discard(0, 16))
    assert some.objects[0].removed and not some.objects[0].steps
    some.write(Write(3, b"after"))
    assert (some.objects[0].emptied, some.objects[0].exists) == (True, True)
    assert some.objects[0].steps == [(3, b"after", None)]


def test_where_a_compare_and_write_goes() -> None:
    some = window()
    assert [e[:3] for e in some.extents(CompareAndWrite(14, b"abcd", b"efgh"))] == [
        (0, 14, 2), (1, 0, 2)]
    assert some.extents(CompareAndWrite(98, b"abcd", b"efgh")) == []


def test_a_window_is_full_at_some_time() -> None:
    some = window()
    for _ in range(4095):
        some.write(Write(0, b"x"))
    assert not some.full
    some.discard(Discard(0, 1))
    assert some.full
    header = ImageHeader(1 << 30, 22, Feature(0), "x")
    large = Window(Striping(header), header.size, None)
    large.write(Write(0, bytes(1 << 20)))
    assert large.full
    large.most_bytes *= 2
    assert not large.full


def test_long_discards_come_in_parts() -> None:
    event = Discard(5, 16 * 3000, 4)
    found = list(parts(event, striping(), 1 << 20))
    assert len(found) == 3 and not window().takes(event) and window().takes(found[0])
    assert found[0].offset == 5 and sum(part.length for part in found) == event.length
    assert all(a.offset + a.length == b.offset for a, b in zip(found, found[1:]))
    assert all(part.offset % 16 == 0 for part in found[1:])


def test_parts_end_with_the_image() -> None:
    found = list(parts(Discard(16, 2 ** 63), striping(), 16 * 3000))
    assert sum(part.length for part in found) == 16 * 2999
    assert not list(parts(Discard(SIZE, 2 ** 63), striping(), SIZE))


def test_a_long_write_same_comes_in_parts_and_ends_with_the_image() -> None:
    size = 5 << 20
    event = WriteSame(1, 3 << 59, b"abc")
    assert not window().takes(event)
    found = list(repeats(event, size))
    assert all(window().takes(part) and part.length % 3 == 0 for part in found)
    assert found[0].offset == 1 and len(found) == 6
    assert all(a.offset + a.length == b.offset for a, b in zip(found, found[1:]))
    assert found[-1].offset < size <= found[-1].offset + found[-1].length
    assert list(repeats(WriteSame(0, 9, b"abc"), size)) == [WriteSame(0, 9, b"abc")]
    assert not list(repeats(event, 1))


def test_a_pattern_that_is_longer_than_a_part_is_one() -> None:
    pattern = bytes(3 << 20)
    assert [len(part.pattern) for part in repeats(
        WriteSame(0, 6 << 20, pattern), 1 << 30)] == [3 << 20] * 2
    assert all(window().takes(part) for part in repeats(
        WriteSame(0, 6 << 20, pattern), 1 << 30))


def test_cells_as_ranges() -> None:
    assert ranges({}) == []
    assert ranges({5: 1, 3: 1, 4: 1, 6: 0, 9: 0}) == [(3, 6, 1), (6, 7, 0), (9, 10, 0)]
