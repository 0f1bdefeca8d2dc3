"""Object maps of a copy, from those of the source.  Pure.

Written before the data, they name a superset of what exists: an object that a map calls
nonexistent reads as zeros, and a rollback deletes it.
"""

from dataclasses import dataclass
from typing import Collection, Dict, List, Optional, Sequence

from ..wire.constants import ObjectState
from ..wire.object_map import AllFrom, Mask, ObjectMap, as_bytes, changed, merged, numbers

_CLEAN_TO_EXISTS = bytes((0, 1, 2, 1)) + bytes(range(4, 256))
_MARKED = bytes(1 if cell == ObjectState.EXISTS else 0 for cell in range(256))
_UNCHANGED = ((ObjectState.NONEXISTENT, ObjectState.NONEXISTENT),
              (ObjectState.EXISTS, ObjectState.EXISTS_CLEAN),
              (ObjectState.EXISTS_CLEAN, ObjectState.EXISTS_CLEAN))
# For each state before * 4 + state now.
_REWRITTEN = bytes(divmod(pair, 4) not in _UNCHANGED for pair in range(256))
_CLEAN = bytes(cell == ObjectState.EXISTS_CLEAN for cell in range(256))
_ABSENT = bytes(cell == ObjectState.NONEXISTENT for cell in range(256))


@dataclass(frozen=True)
class Segment:
    """The part of a sync that ends at one snapshot.

    `objects` is how many the image has at that snapshot's `size`.  `touched` has those that may
    differ from the segment before.  `remote_map` is the source's object map at
    the snapshot, None where there is none to trust.  `written` marks
    the objects that were really written, None while that is not known.
    """

    remote_snap: int
    local_snap: int
    size: int
    objects: int
    touched: Mask
    remote_map: Optional[ObjectMap]
    written: Optional[bytes] = None

    @property
    def marks(self) -> Mask:
        """The objects that count as changed since the segment before."""
        return self.touched if self.written is None else self.written


def touched_by(base: Optional[ObjectMap], chain: Sequence[Optional[ObjectMap]],
               count: int) -> Mask:
    """Given the maps of successive snapshots, return which objects may differ from `base` on.

    `base` is the map before the first of them.  A map that is missing makes every one of the
    `count` objects suspect.
    """
    masks: List[bytes] = []
    previous = base
    for current in chain:
        if previous is None or current is None:
            return AllFrom(0, count)
        masks.append(changed(previous, current))
        previous = current
    return as_bytes(merged(masks)).ljust(count, b"\0")


def may_be_rolled_back(to: ObjectMap, later: ObjectMap) -> bool:
    """Whether the image of the map `later` may have been rolled back to the snapshot of `to`.

    A rollback gives the image that snapshot's map as it is (librbd, all releases), so what changed
    in between counts as unchanged.  An object that is not in `to` can't be there unchanged then.
    """
    absent = to.resized(len(later)).cells.translate(_ABSENT)
    clean = later.cells.translate(_CLEAN)
    return not int.from_bytes(absent, "big") & int.from_bytes(clean, "big")


def marked_in(object_map: ObjectMap) -> bytes:
    """Which objects a map calls changed since the snapshot before."""
    return object_map.cells.translate(_MARKED)


def rewritten_since(snapshot: ObjectMap, head: ObjectMap, count: int) -> bytes:
    """Which of `count` objects may have changed since a snapshot; one byte an object.

    `snapshot` and `head` are the maps of the snapshot and of the image now.
    """
    before = int.from_bytes(snapshot.resized(count).cells, "little")
    now = int.from_bytes(head.resized(count).cells, "little")
    return (before << 2 | now).to_bytes(count, "little").translate(_REWRITTEN)


def local_maps(base: ObjectMap, segments: Sequence[Segment], fast_diff: bool,
               carried: Mask = b"", seen: Optional[Dict[int, bytes]] = None) -> List[ObjectMap]:
    """Return the map of each segment's local snapshot.

    `base` is the copy's map before the first segment.  `carried` are marks of a snapshot that will
    be removed and that the first segment inherits, as a removal would merge them.  `seen` has, by
    segment number, which objects were really found, for segments whose remote map is unknown;
    until that is known, everything touched counts as existing.
    """
    maps = []
    cells = base
    for index, segment in enumerate(segments):
        cells = _present(cells.resized(segment.objects), segment, (seen or {}).get(index))
        marks = merged([segment.marks, carried]) if index == 0 else segment.marks
        maps.append(_as_written(cells.marked(marks), fast_diff))
    return maps


def head_before(base: ObjectMap, segments: Sequence[Segment]) -> ObjectMap:
    """The map of the image itself while data is written: all that any segment may touch exists.

    It may be longer than the image: should this attempt be given up, the map is what tells of
    objects that were written for a snapshot of a larger size.
    """
    touched = as_bytes(merged(segment.touched for segment in segments)).rstrip(b"\0")
    count = max(len(base), len(touched), *(segment.objects for segment in segments))
    cells = bytearray(base.resized(count).cells)
    for number in numbers(touched):
        cells[number] = ObjectState.EXISTS
    return ObjectMap(cells)


def head_after(last: ObjectMap, fast_diff: bool) -> ObjectMap:
    """The map of the image itself once its newest snapshot, whose map is `last`, is complete."""
    return _as_written(last.marked(b""), fast_diff)


def with_copied_up(known: ObjectMap, there: Collection[int],
                   named: Collection[int]) -> ObjectMap:
    """The map of a snapshot once copy-ups gave it the objects `there`.

    An object counts as changed in the oldest snapshot that shows it, and as clean in those where
    an older one has it too (`named`).
    """
    cells = bytearray(known.cells)
    for number in there:
        cells[number] = (ObjectState.EXISTS_CLEAN if number in named else ObjectState.EXISTS)
    return ObjectMap(cells)


def _present(cells: ObjectMap, segment: Segment, seen: Optional[bytes]) -> ObjectMap:
    new = bytearray(cells.cells)
    remote = segment.remote_map.resized(segment.objects).cells if segment.remote_map else seen
    for number in numbers(segment.touched[:segment.objects]):
        there = remote is None or remote[number]
        new[number] = ObjectState.EXISTS if there else ObjectState.NONEXISTENT
    return ObjectMap(new)


def _as_written(object_map: ObjectMap, fast_diff: bool) -> ObjectMap:
    """Without fast-diff a map knows only whether an object exists."""
    return object_map if fast_diff else ObjectMap(object_map.cells.translate(_CLEAN_TO_EXISTS))
