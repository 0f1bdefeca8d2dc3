"""Deltas against a model that keeps the bytes of an object at every snapshot."""

import random
from typing import Dict, List, Optional, Set

import pytest

from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Clone, Delta, DeltaKind, Snapset, delta

SIZE = 40


def snapset(seq: int, *clones: Clone) -> Snapset:
    return Snapset(seq, clones)


HEAD = Clone(NOSNAP, (), (), 100)
OLD = Clone(7, (4, 7), ((0, 10), (20, 80)), 100)
CHANGED_ONCE = snapset(7, OLD, HEAD)


def test_written_range() -> None:
    assert delta(CHANGED_ONCE, 4, 9) == Delta(DeltaKind.EXTENTS, ((10, 10),), 100)


def test_snapshots_that_show_the_same_clone() -> None:
    assert delta(CHANGED_ONCE, 4, 7) == Delta(DeltaKind.UNCHANGED, size=100)
    assert delta(CHANGED_ONCE, 8, 9) == Delta(DeltaKind.UNCHANGED, size=100)


def test_made_since() -> None:
    assert delta(CHANGED_ONCE, 0, 4) == Delta(DeltaKind.WHOLE, ((0, 100),), 100)
    assert delta(CHANGED_ONCE, 3, 4) == Delta(DeltaKind.WHOLE, ((0, 100),), 100)
    empty = snapset(0, Clone(NOSNAP, (), (), 0))
    assert delta(empty, 0, 4) == Delta(DeltaKind.WHOLE, (), 0)


def test_removed_since() -> None:
    gone = snapset(7, OLD)
    assert delta(gone, 4, 8) == Delta(DeltaKind.REMOVED, exists=False)


def test_never_there() -> None:
    assert delta(CHANGED_ONCE, 2, 3) == Delta(DeltaKind.UNCHANGED, exists=False)
    assert delta(snapset(7, OLD), 8, 9) == Delta(DeltaKind.UNCHANGED, exists=False)


def test_there_between_the_two_snapshots_only() -> None:
    assert delta(CHANGED_ONCE, 0, 3) == Delta(DeltaKind.UNCHANGED, exists=False)


def test_shrunk_only() -> None:
    shrunk = snapset(7, Clone(7, (7,), ((0, 60),), 100), Clone(NOSNAP, (), (), 60))
    assert delta(shrunk, 7, 8) == Delta(DeltaKind.EXTENTS, (), 60)


def test_grown_has_its_new_end() -> None:
    grown = snapset(7, Clone(7, (7,), ((0, 60),), 60), Clone(NOSNAP, (), (), 100))
    assert delta(grown, 7, 8) == Delta(DeltaKind.EXTENTS, ((60, 40),), 100)


def test_shrunk_and_grown_again() -> None:
    clones = snapset(8, Clone(7, (7,), ((0, 60),), 100), Clone(8, (8,), ((0, 60),), 60),
                     Clone(NOSNAP, (), (), 100))
    assert delta(clones, 7, 9) == Delta(DeltaKind.EXTENTS, ((60, 40),), 100)


def test_several_clones_between() -> None:
    clones = snapset(9, Clone(7, (7,), ((10, 90),), 100), Clone(8, (8,), ((0, 50), (60, 40)), 100),
                     Clone(9, (9,), ((0, 100),), 100), HEAD)
    assert delta(clones, 7, 10).extents == ((0, 10), (50, 10))
    assert delta(clones, 7, 8).extents == ((0, 10),)
    assert delta(clones, 8, 9).extents == ((50, 10),)
    assert delta(clones, 9, 10).kind == DeltaKind.UNCHANGED


class ObjectModel:
    """An object as an OSD keeps it, one entry a byte; and what each snapshot shows."""

    def __init__(self) -> None:
        self.content: Optional[List[int]] = None
        self.seq = 0
        self.snaps: List[int] = []
        self.clones: List[Clone] = []
        self.shown: Dict[int, Optional[List[int]]] = {0: None}
        self._same: Set[int] = set()
        self._overlaps: List[Set[int]] = []

    def snapshot(self, snap_id: int) -> None:
        self.snaps.append(snap_id)
        self.shown[snap_id] = None if self.content is None else list(self.content)

    def change(self, content: Optional[List[int]], touched: Set[int]) -> None:
        self._make_clone()
        self.content = content
        if self._overlaps:
            size = 0 if content is None else len(content)
            self._overlaps[-1] = {n for n in self._overlaps[-1] - touched if n < size}

    def _make_clone(self) -> None:
        new = tuple(snap for snap in self.snaps if snap > self.seq)
        if new and self.content is not None:
            self.clones.append(Clone(new[-1], new, (), len(self.content)))
            self._overlaps.append(set(range(len(self.content))))
        self.seq = max((self.seq, *new))

    def snapset(self) -> Snapset:
        clones = [clone._replace(overlap=runs(overlap))
                  for clone, overlap in zip(self.clones, self._overlaps)]
        if self.content is not None:
            clones.append(Clone(NOSNAP, (), (), len(self.content)))
        return Snapset(self.seq, tuple(clones))


def runs(numbers: Set[int]) -> tuple:
    found: List[List[int]] = []
    for number in sorted(numbers):
        if found and sum(found[-1]) == number:
            found[-1][1] += 1
        else:
            found.append([number, 1])
    return tuple((offset, length) for offset, length in found)


def play(dice: random.Random) -> ObjectModel:
    model = ObjectModel()
    for step in range(1, 30):
        action = dice.choice(("snapshot", "write", "write", "truncate", "remove"))
        content = list(model.content or [])
        start = dice.randrange(SIZE)
        end = dice.randrange(start, SIZE) + 1
        if action == "snapshot":
            model.snapshot(step)
        elif action == "write":
            content += [0] * (end - len(content))
            content[start:end] = [step] * (end - start)
            model.change(content, set(range(start, end)))
        elif action == "truncate" and model.content is not None:
            model.change((content + [0] * SIZE)[:end], set())
        elif action == "remove" and model.content is not None:
            model.change(None, set(range(SIZE)))
    return model


@pytest.mark.parametrize("seed", range(150))
def test_a_delta_turns_one_state_into_the_other(seed) -> None:
    model = play(random.Random(seed))
    clones = model.snapset()
    ids = sorted(model.shown)
    for index, older in enumerate(ids):
        for newer in ids[index + 1:]:
            found = delta(clones, older, newer)
            assert found.exists == (model.shown[newer] is not None)
            assert applied(found, model.shown[older], model.shown[newer]) == model.shown[newer]


def applied(found: Delta, old: Optional[List[int]],
            new: Optional[List[int]]) -> Optional[List[int]]:
    """What a copy in state ``old`` is after the delta, with the bytes of ``new``."""
    if found.kind == DeltaKind.UNCHANGED:
        return old
    if found.kind == DeltaKind.REMOVED:
        return None
    assert (found.kind == DeltaKind.WHOLE) == (old is None)
    copy = ((old or []) + [-1] * found.size)[:found.size]
    assert new is not None
    end = -1
    for offset, length in found.extents:
        assert offset > end
        end = offset + length
        copy[offset:end] = new[offset:end]
    assert end <= found.size
    return copy
