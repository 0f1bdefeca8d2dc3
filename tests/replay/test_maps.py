"""Object maps, against a history of an image in which every object's content has a number."""

import random
import tracemalloc

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.maps import (
    Segment,
    head_after,
    head_before,
    local_maps,
    marked_in,
    touched_by,
)
from mirror_mgr.replay.objects import ObjectCopier
from mirror_mgr.wire.constants import Feature, ObjectState
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.object_map import (
    ObjectMap,
    as_bytes,
    from_first,
    how_many,
    merged,
    numbers,
)
from tests.replay.fake_rados import FakePool, FakeRados

ABSENT, CHANGED, CLEAN = ObjectState.NONEXISTENT, ObjectState.EXISTS, ObjectState.EXISTS_CLEAN
SEEDS = range(150)
MOST = 12


class Image:
    """What librbd keeps of an image whose objects hold numbers: contents and object maps."""

    def __init__(self, rng):
        self.count = rng.randrange(MOST)
        self.objects = {}
        self._rng = rng
        self._written = set()
        self._number = 0

    def change(self):
        rng = self._rng
        for _ in range(rng.randrange(6)):
            roll = rng.randrange(8)
            if roll == 0:
                self.count = rng.randrange(MOST)
                self.objects = {n: c for n, c in self.objects.items() if n < self.count}
            elif self.count:
                self._write(rng.randrange(self.count), remove=roll < 3)

    def _write(self, number, remove):
        self._number += 1
        self._written.add(number)
        if remove:
            self.objects.pop(number, None)
        else:
            self.objects[number] = self._number

    def snapshot(self):
        """Return the contents and the object map, of which the next one's marks start anew."""
        cells = bytes(ABSENT if n not in self.objects else CHANGED if n in self._written else CLEAN
                      for n in range(self.count))
        self._written = set()
        return dict(self.objects), ObjectMap(cells)


class History:
    """A base and some segments of a sync after it, each of one or more snapshots."""

    def __init__(self, seed, blind=0.0):
        rng = random.Random(seed)
        image = Image(rng)
        image.change()
        self.base, self.base_map = image.snapshot()
        self.states, self.segments = [], []
        previous = self.base_map
        for number in range(rng.randrange(1, 4)):
            chain = []
            for _ in range(rng.randrange(1, 4)):
                image.change()
                state, found = image.snapshot()
                chain.append(None if rng.random() < blind else found)
            self.states.append(state)
            self.segments.append(Segment(
                number, number, image.count << 22, image.count,
                touched_by(previous, chain, MOST), chain[-1]))
            previous = chain[-1]
        self.end, self.count = self.states[-1], image.count


def changed_between(older, newer):
    return {n for n in {*older, *newer} if older.get(n) != newer.get(n)}


def marks(mask):
    return set(numbers(mask))


@pytest.mark.parametrize("blind", [0.0, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_changed_is_touched(seed, blind):
    history = History(seed, blind)
    older = history.base
    for segment, state in zip(history.segments, history.states):
        assert len(segment.touched) == MOST
        assert changed_between(older, state) <= marks(segment.touched)
        older = state


def test_nothing_else_is_touched():
    base = ObjectMap(bytes((ABSENT, CHANGED, CLEAN, CHANGED, CLEAN)))
    same = ObjectMap(bytes((ABSENT, CLEAN, CLEAN, CLEAN, CLEAN)))
    assert touched_by(base, [same, same], 7) == bytes(7)
    assert touched_by(base, [], 7) == bytes(7)
    written = ObjectMap(bytes((CHANGED, CLEAN, ABSENT, CLEAN, CHANGED)))
    assert touched_by(base, [written], 7) == b"\1\0\1\0\1\0\0"


def test_written_in_between_counts_though_both_ends_say_clean():
    clean, written = ObjectMap(bytes((CLEAN,))), ObjectMap(bytes((CHANGED,)))
    assert touched_by(clean, [written, clean], 1) == b"\1"


def test_removed_and_made_again_in_between_counts():
    there, gone = ObjectMap(bytes((CHANGED,))), ObjectMap(bytes((ABSENT,)))
    assert touched_by(there, [gone, there], 1) == b"\1"


@pytest.mark.parametrize("base, chain", [
    (None, [ObjectMap(b"\3")]), (ObjectMap(b"\3"), [None]),
    (ObjectMap(b"\3"), [ObjectMap(b"\3"), None, ObjectMap(b"\3")])])
def test_a_map_that_is_missing_makes_all_suspect(base, chain):
    assert as_bytes(touched_by(base, chain, 3)) == b"\1\1\1"


def test_an_image_without_maps_costs_no_memory_however_large_it_is():
    count = 1 << 45
    tracemalloc.start()
    try:
        segments = [Segment(n, n, count << 22, count, touched_by(None, [None], count), None)
                    for n in range(3)]
        touched = from_first(merged([s.marks for s in segments] + [b"\1" * 9]), 1 << 28)
        assert how_many(touched) == count - (1 << 28)
        assert next(numbers(touched)) == 1 << 28
        rados = FakeRados()
        copier = ObjectCopier(
            None, FakePool(rados), ImageHeader(count << 22, 22, Feature(0), "x"), 0, segments, [],
            Budget(1 << 20), lambda: None, fresh=True, compare=False, takes_notes=False)
        copier._note_written(0, count - 1)
        copier._note_existing(0, count - 1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(MalformedData, match="256000000"):
        head_before(ObjectMap(), segments)


@pytest.mark.parametrize("fast_diff", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_local_snapshot_gets_the_map_that_librbd_would_have_made(seed, fast_diff):
    history = History(seed)
    found = local_maps(history.base_map, history.segments, fast_diff)
    older = history.base
    for local, segment, state in zip(found, history.segments, history.states):
        assert len(local) == segment.objects
        for n in range(segment.objects):
            if n not in state:
                assert local[n] == ABSENT
            elif not fast_diff:
                assert local[n] == CHANGED
            elif n in marks(segment.touched):
                assert local[n] == CHANGED
            else:
                assert local[n] == CLEAN
        if fast_diff:
            changed = {n for n in changed_between(older, state) if n in state}
            assert changed <= marks(marked_in(local))
        older = state


@pytest.mark.parametrize("seed", SEEDS)
def test_with_no_map_of_the_source_nothing_that_exists_is_called_absent(seed):
    history = History(seed, blind=0.5)
    found = local_maps(history.base_map, history.segments, True)
    for local, state in zip(found, history.states):
        assert all(local[n] == CHANGED or local[n] == CLEAN for n in state)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_seen_makes_them_exact(seed):
    history = History(seed, blind=0.5)
    seen = {index: bytes(n in state for n in range(segment.objects))
            for index, (segment, state) in enumerate(zip(history.segments, history.states))
            if segment.remote_map is None}
    found = local_maps(history.base_map, history.segments, True, seen=seen)
    for local, state in zip(found, history.states):
        assert {n for n in range(len(local)) if local[n] != ABSENT} == set(state)


@pytest.mark.parametrize("seed", SEEDS)
def test_marks_of_a_snapshot_that_goes_are_inherited(seed):
    """As object_map_snap_remove merges them: what it had changed counts as changed in the next."""
    history = History(seed)
    carried = marked_in(history.base_map)
    plain = local_maps(history.base_map, history.segments, True)
    found = local_maps(history.base_map, history.segments, True, carried)
    assert found[1:] == plain[1:]
    for n in range(len(found[0])):
        inherits = n < len(carried) and carried[n] and plain[0][n] == CLEAN
        assert found[0][n] == (CHANGED if inherits else plain[0][n])


@pytest.mark.parametrize("seed", SEEDS)
def test_while_data_is_written_nothing_that_may_exist_is_called_absent(seed):
    """The copy holds each object as some segment has it; which, depends on when one looks."""
    history = History(seed)
    found = head_before(history.base_map, history.segments)
    touched = marks(merged(s.touched for s in history.segments))
    assert len(found) >= max(s.objects for s in history.segments)
    for n in range(MOST):
        if n >= len(found):
            assert n not in touched
            continue
        if any(n in state for state in [history.base, *history.states]):
            assert found[n] != ABSENT
        if n in touched:
            assert found[n] == CHANGED


@pytest.mark.parametrize("fast_diff", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_once_all_is_written_the_map_is_that_of_an_image_just_snapshotted(seed, fast_diff):
    history = History(seed)
    last = local_maps(history.base_map, history.segments, fast_diff)[-1]
    present = CLEAN if fast_diff else CHANGED
    assert head_after(last, fast_diff).cells == bytes(
        present if n in history.end else ABSENT for n in range(history.count))
