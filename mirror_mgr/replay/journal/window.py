"""What a stretch of data events does to each object of the copy.  Pure.

All of a window is written at once, object by object.  That is what a disk with a volatile cache
does between two flushes, so a window ends where the primary flushed, and at every operation.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from ...wire.constants import ObjectState
from ...wire.journal_event import CompareAndWrite, Discard, Write, WriteSame
from ...wire.striping import ObjectExtent, Striping

_MOST_EVENTS = 4096
FIRST_BYTES = 1 << 20
# A discard that frees more is done in parts.
OBJECTS_AT_ONCE = 1024

Cells = Union[bytes, bytearray]


class Step(NamedTuple):
    """A write of `data`, or, where that is None, `length` bytes to free.

    A `length` of None frees all up to the end of the object.
    """

    offset: int
    data: Optional[bytes] = None
    length: Optional[int] = None

    @property
    def cuts(self) -> bool:
        return self.data is None and self.length is None

    def up_to(self, end: Optional[int]) -> "Step":
        """What is before `end` of one that does not cut."""
        if end is None:
            return self
        if self.data is not None:
            return self._replace(data=self.data[:end - self.offset])
        return self._replace(length=min(self.length or 0, end - self.offset))


class Changes:
    """What happens to one object: `emptied` first, then `steps`.  `exists` tells the outcome."""

    __slots__ = ("emptied", "exists", "steps")

    def __init__(self, exists: bool) -> None:
        self.emptied = False
        self.exists = exists
        self.steps: List[Step] = []

    @property
    def removed(self) -> bool:
        return not self.exists

    def settled(self) -> Tuple[Optional[int], List[Step]]:
        """The same as at most one cut at the start, and writes and ranges to free after it.

        Returned is where the object is cut off, None for nowhere, and those.
        """
        cut: Optional[int] = None
        left = []
        for step in reversed(self.steps):
            if step.cuts:
                cut = step.offset if cut is None else min(cut, step.offset)
            elif cut is None or step.offset < cut:
                left.append(step.up_to(cut))
        return 0 if self.emptied else cut, left[::-1]


class Window:
    """Data events, for an image of `size` bytes.

    `cells` are its object map's, None where there is none: what they call nonexistent is not freed.
    It is full with `most_bytes` of data.
    Objects below the number `parent_objects` would show the parent of a clone if they were absent.
    """

    def __init__(self, striping: Striping, size: int, cells: Optional[Cells],
                 trusted: bool = True, parent_objects: int = 0) -> None:
        self.objects: Dict[int, Changes] = {}
        self.events = 0
        self.bytes = 0
        self.most_bytes = FIRST_BYTES
        self._striping = striping
        self._size = size
        self._cells = cells
        self._trusted = trusted
        self._parent_objects = parent_objects

    @property
    def full(self) -> bool:
        return self.events >= _MOST_EVENTS or self.bytes >= self.most_bytes

    def write(self, event: Write) -> None:
        """What is beyond the image's end is left out: its sync may have raced a resize."""
        self.events += 1
        self._write(event.offset, event.data)

    def write_same(self, event: WriteSame) -> None:
        """One that the window takes, or a part of one."""
        self.events += 1
        self._write(event.offset, event.pattern * (event.length // len(event.pattern)))

    def takes(self, event: Union[Discard, WriteSame]) -> bool:
        """Whether an event is short enough to be done in one; its length says nothing of its size
        in the journal."""
        if isinstance(event, WriteSame):
            return event.length <= max(FIRST_BYTES, len(event.pattern))
        return event.length <= OBJECTS_AT_ONCE * self._striping.object_size

    def discard(self, event: Discard) -> None:
        self.events += 1
        length = min(event.length, self._size - event.offset)
        if length <= 0:
            return
        for extent in self._striping.runs(event.offset, length):
            rounded = self._rounded(extent, event.granularity)
            if rounded is not None:
                self._free(rounded)

    def extents(self, event: CompareAndWrite) -> List[ObjectExtent]:
        """Where a compare-and-write goes; nowhere when it is beyond the image's end."""
        if event.offset + event.length > self._size:
            return []
        return self._striping.runs(event.offset, event.length)

    def showing_parent(self, snapshots: bool) -> List[int]:
        """The objects in which the parent's content is to be before this is done to them.

        `snapshots`: the image has some that show the parent.
        """
        return [number for number, changes in self.objects.items()
                if number < self._parent_objects and (snapshots or not changes.emptied)]

    def exists(self, number: int) -> None:
        """The object is written to in a way that is not one of the steps."""
        self._changes(number).exists = True

    def _write(self, offset: int, data: bytes) -> None:
        size = self._striping.object_size
        if offset + len(data) > self._size:
            data = data[:max(0, self._size - offset)]
        if not data:
            return
        self.bytes += len(data)
        within = offset % size
        if self._striping.count == 1 and within + len(data) <= size:
            self._put(offset // size, within, data)
            return
        for extent in self._striping.extents(offset, len(data)):
            self._put(extent.number, extent.offset, data[extent.at:extent.at + extent.length])

    def _put(self, number: int, offset: int, data: bytes) -> None:
        changes = self._changes(number)
        changes.exists = True
        changes.steps.append(Step(offset, data))

    def _changes(self, number: int) -> Changes:
        changes = self.objects.get(number)
        if changes is None:
            changes = self.objects[number] = Changes(self._may_exist(number))
        return changes

    def _may_exist(self, number: int) -> bool:
        """Whether the image may show something there, by an object or by the parent."""
        if number < self._parent_objects:
            return True
        if self._cells is None or not self._trusted or number >= len(self._cells):
            return True
        return self._cells[number] != ObjectState.NONEXISTENT

    def _rounded(self, extent: ObjectExtent, granularity: int) -> Optional[ObjectExtent]:
        """What is left of an extent whose ends do not fill a piece of `granularity` bytes."""
        size = self._striping.object_size
        piece = min(granularity, size)
        start, end = extent.offset, extent.offset + extent.length
        if piece and (piece < size or end < size):
            start, end = -(-start // piece) * piece, end // piece * piece
        return extent._replace(offset=start, length=end - start) if start < end else None

    def _free(self, extent: ObjectExtent) -> None:
        known = self.objects.get(extent.number)
        if not (known.exists if known is not None else self._may_exist(extent.number)):
            return
        changes = self._changes(extent.number)
        if extent.offset + extent.length < self._striping.object_size:
            changes.steps.append(Step(extent.offset, length=extent.length))
        elif extent.offset:
            changes.steps.append(Step(extent.offset))
        else:
            changes.steps.clear()
            changes.emptied = True
            # Of a clone an empty object stays: without it the parent would show.
            changes.exists = extent.number < self._parent_objects

    # --- the object map -------------------------------------------------------------------------

    def states_before(self) -> Dict[int, int]:
        """The cells to set before the objects are written."""
        if self._cells is None:
            return {}
        found = {}
        for number, changes in self.objects.items():
            if number >= len(self._cells):
                continue
            state = ObjectState.EXISTS if changes.exists else ObjectState.PENDING
            now = self._cells[number]
            if now != state and (changes.exists or now != ObjectState.NONEXISTENT):
                found[number] = int(state)
        return found

    def states_after(self) -> Dict[int, int]:
        """The cells to set once they are written."""
        if self._cells is None:
            return {}
        return {number: int(ObjectState.NONEXISTENT) for number, changes in self.objects.items()
                if changes.removed and number < len(self._cells)
                and self._cells[number] != ObjectState.NONEXISTENT}


def parts(event: Discard, striping: Striping, size: int) -> Iterator[Discard]:
    """What of a discard is in an image of `size` bytes, as several.

    None of them touches more than OBJECTS_AT_ONCE objects by far.
    """
    step = max(1, OBJECTS_AT_ONCE // striping.count) * striping.period
    offset, end = event.offset, min(event.offset + event.length, size)
    while offset < end:
        stop = min(end, (offset // step + 1) * step)
        yield event._replace(offset=offset, length=stop - offset)
        offset = stop


def repeats(event: WriteSame, size: int) -> Iterator[WriteSame]:
    """What of a write-same is in an image of `size` bytes, as several that a window takes."""
    pattern = len(event.pattern)
    step = max(1, FIRST_BYTES // pattern) * pattern
    offset, end = event.offset, event.offset + event.length
    while offset < min(end, size):
        yield event._replace(offset=offset, length=min(step, end - offset))
        offset += step


def ranges(states: Dict[int, int]) -> List[Tuple[int, int, int]]:
    """Cells as (first, behind the last, state)."""
    found: List[Tuple[int, int, int]] = []
    for number in sorted(states):
        state = states[number]
        if found and found[-1][1] == number and found[-1][2] == state:
            found[-1] = (found[-1][0], number + 1, state)
        else:
            found.append((number, number + 1, state))
    return found
