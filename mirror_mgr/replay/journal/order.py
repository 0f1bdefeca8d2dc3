"""Puts the entries of a journal's data objects into the one order they were written in.  Pure.

Entry n of a tag is in splay offset n modulo the width; there, objects follow each other in steps of
the width.  A tag ends without a word: the next one begins with its entry 0, at splay offset 0.
"""

from typing import List, NamedTuple, Optional

from ...errors import MalformedData
from ...wire.journal import ObjectPosition, Positions
from ...wire.journal_entry import Crc, Entry, parse


class Placed(NamedTuple):
    """An entry with the number of the object that it is in."""

    object_number: int
    entry: Entry

    @property
    def position(self) -> ObjectPosition:
        return ObjectPosition(self.object_number, self.entry.tag_tid, self.entry.entry_tid)


class Stream:
    """One splay offset: the object that is being read, and what was read and not yet taken."""

    def __init__(self, number: int, crc: Crc) -> None:
        self.number = number
        self.read_to = 0
        self._crc = crc
        self._buffer = b""
        self._at = 0
        self._front: Optional[Entry] = None
        self._behind = 0

    @property
    def buffered(self) -> int:
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """`data` follows what was read of the object."""
        self._buffer = self._buffer[self._at:] + data
        self._behind -= self._at
        self._at = 0
        self.read_to += len(data)

    def front(self) -> Optional[Entry]:
        """The first entry that was not taken, None when it is not read yet; raise MalformedData."""
        if self._front is None:
            found = parse(self._buffer, self._at, self._crc)
            if found is None:
                return None
            self._front, self._behind = found
        return self._front

    def take(self) -> None:
        """The front is done with."""
        self._front = None
        self._at = self._behind
        if self._at == len(self._buffer):
            self._buffer, self._at = b"", 0

    def leave(self, width: int) -> None:
        """The object has ended: on with the next.  Raise MalformedData if an entry is cut off."""
        if self.buffered:
            raise MalformedData(f"journal object {self.number} ends within an entry")
        self.number += width
        self.read_to = 0


class Order:
    """`positions` are the reader's own: it goes on after the newest of them.

    `minimum_set` is the oldest set of objects that there is.
    """

    def __init__(self, width: int, minimum_set: int, positions: Positions, crc: Crc) -> None:
        self.width = width
        self.tag: Optional[int] = positions[0].tag_tid if positions else None
        self.next = positions[0].entry_tid + 1 if positions else 0
        starts = {p.object_number % width: p.object_number for p in positions}
        self.streams: List[Stream] = [
            Stream(starts.get(offset, minimum_set * width + offset), crc)
            for offset in range(width)]

    @property
    def waiting(self) -> int:
        """The splay offset that has the next entry."""
        return self.next % self.width

    def set_of(self, index: int) -> int:
        return self.streams[index].number // self.width

    def front(self, index: int) -> Optional[Entry]:
        """The first entry of a splay offset that is not behind us."""
        stream = self.streams[index]
        while True:
            entry = stream.front()
            if entry is None or not self._is_behind(entry):
                return entry
            stream.take()

    def _is_behind(self, entry: Entry) -> bool:
        if self.tag is None:
            return False
        return entry.tag_tid < self.tag or (
            entry.tag_tid == self.tag and entry.entry_tid < self.next)

    def take(self) -> Optional[Placed]:
        """The next entry, None when it is not there yet.

        Raise MalformedData when a later one of its tag is in its place.
        """
        index = self.next % self.width
        entry = self.front(index)
        if entry is None or entry.tag_tid != self.tag:
            return None
        if entry.entry_tid != self.next:
            raise MalformedData(f"journal entry {self.tag}/{self.next} is missing")
        stream = self.streams[index]
        stream.take()
        self.next += 1
        return Placed(stream.number, entry)

    def begins_tag(self) -> Optional[int]:
        """The tag that begins next, as far as was read."""
        entry = self.front(0)
        if entry is None or entry.tag_tid == self.tag:
            return None
        if entry.entry_tid != 0:
            raise MalformedData(f"journal entry {entry.tag_tid}/0 is missing")
        return entry.tag_tid

    def begin(self, tag: int) -> None:
        """Go on with this tag; what is left of those before it was never acknowledged."""
        self.tag, self.next = tag, 0
