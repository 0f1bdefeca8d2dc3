"""Puts the entries of a journal's data objects into the one order they were written in.  Pure.

Entry n of a tag is in splay offset n modulo the width; there, objects follow each other in steps of
the width.  A tag ends without a word: the next one begins with its entry 0, at splay offset 0.
"""

from typing import Callable, List, NamedTuple, Optional

from ...errors import MalformedData
from ...wire.journal import ObjectPosition, Positions
from ...wire.journal_entry import LONGEST, PREAMBLE, Crc, Entry, WrongChecksum, parse

# Of what looks like entries within each other, so many bytes of one object are checked in vain.
_MOST_IN_VAIN = 256 << 20


class Placed(NamedTuple):
    """An entry with the number of the object that it is in."""

    object_number: int
    entry: Entry

    @property
    def position(self) -> ObjectPosition:
        return ObjectPosition(self.object_number, self.entry.tag_tid, self.entry.entry_tid)


class Damage(NamedTuple):
    """Bytes of an object that are no entry."""

    object_number: int
    offset: int
    why: str


class Stream:
    """One splay offset: the object that is being read, and what was read and not yet taken.

    `done` is the last entry that the reader is done with, in the object numbered `number`.  Bytes
    that are no entry are passed over: `damage` says what stood before the front.
    """

    def __init__(self, number: int, crc: Crc, done: Optional[ObjectPosition] = None,
                 longest: int = LONGEST) -> None:
        self.number = number
        self.read_to = 0
        self.damage: Optional[Damage] = None
        self._done = done
        self._crc = crc
        self._longest = longest
        self._buffer = b""
        self._at = 0
        self._front: Optional[Entry] = None
        self._behind = 0
        self._in_vain = 0

    @property
    def buffered(self) -> int:
        return len(self._buffer) - self._at

    @property
    def is_damaged(self) -> bool:
        """Whether the damage is ahead of what is done with."""
        return self.damage is not None and self._done is None

    def feed(self, data: bytes) -> None:
        """`data` follows what was read of the object."""
        self._buffer = self._buffer[self._at:] + data
        self._behind -= self._at
        self._at = 0
        self.read_to += len(data)

    def front(self) -> Optional[Entry]:
        """The first entry that was not taken, None when it is not read yet."""
        while self._front is None:
            try:
                found = parse(self._buffer, self._at, self._crc, self._longest)
            except MalformedData as error:
                self._pass_over(str(error))
                if isinstance(error, WrongChecksum):
                    self._give_up_after(error.size)
                continue
            if found is None:
                return None
            self._front, self._behind = found
            if self._done is not None and self._front[:2] >= self._done[1:]:
                self._done = self.damage = None
        return self._front

    def take(self) -> None:
        """The front is done with."""
        self._front = self.damage = None
        self._at = self._behind
        if self._at == len(self._buffer):
            self._buffer, self._at = b"", 0

    def at_end(self) -> bool:
        """No more is there now.  An entry is appended whole: one that is cut off is damage.

        Return whether an entry was found behind that.
        """
        if self.front() is not None:
            return False
        while self.buffered:
            self._pass_over("an entry is cut off")
            if self.front() is not None:
                return True
        return False

    def leave(self, width: int) -> None:
        """The object has ended: on with the next."""
        self.number += width
        self.read_to = self._in_vain = 0
        if self._done is not None:
            self._done = self.damage = None

    def _give_up_after(self, size: int) -> None:
        """Look no further in what was read of an object that takes too long to be looked through.
        """
        self._in_vain += size
        if self._in_vain > _MOST_IN_VAIN:
            self._at = len(self._buffer)

    def _pass_over(self, why: str) -> None:
        if self.damage is None:
            self.damage = Damage(self.number, self.read_to - self.buffered, why)
        place = self._buffer.find(PREAMBLE, self._at + 1)
        # The end may be the beginning of one.
        self._at = place if place >= 0 else max(
            self._at + 1, len(self._buffer) - len(PREAMBLE) + 1)


class Order:
    """`positions` are the reader's own: it goes on after the newest of them.

    Entries of tags before `since` are behind it too, where that was not noted in time.
    `minimum_set` is the oldest set of objects that there is.  `name` is what messages call an
    object.  An entry has `longest` bytes at most.
    """

    def __init__(self, width: int, minimum_set: int, positions: Positions, crc: Crc,
                 name: Callable[[int], str] = "journal object {}".format,
                 since: Optional[int] = None, longest: int = LONGEST) -> None:
        self.width = width
        self._name = name
        self.tag: Optional[int] = positions[0].tag_tid if positions else None
        self.next = positions[0].entry_tid + 1 if positions else 0
        if self.tag is not None and since is not None and self.tag < since:
            self.tag, self.next = since, 0
        done = {p.object_number % width: p for p in positions}
        self.streams: List[Stream] = [
            Stream(done[offset].object_number if offset in done else minimum_set * width + offset,
                   crc, done.get(offset), longest)
            for offset in range(width)]

    @property
    def waiting(self) -> int:
        """The splay offset that has the next entry."""
        return self.next % self.width

    def set_of(self, stream: Stream) -> int:
        return stream.number // self.width

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
        stream = self.streams[index]
        if entry.entry_tid != self.next:
            raise self._damaged(stream, f"{self.tag}/{self.next}")
        stream.take()
        self.next += 1
        return Placed(stream.number, entry)

    def begins_tag(self) -> Optional[int]:
        """The tag that begins next, as far as was read."""
        return self.begun_by(self.front(0))

    def begun_by(self, entry: Optional[Entry]) -> Optional[int]:
        """The tag that begins with this entry of splay offset 0, None if it is of ours."""
        if entry is None or entry.tag_tid == self.tag:
            return None
        if entry.entry_tid != 0:
            raise self._damaged(self.streams[0], f"{entry.tag_tid}/0")
        return entry.tag_tid

    def begin(self, tag: int) -> None:
        """Go on with this tag; what is left of those before it was never acknowledged.

        Raise MalformedData when damage may hide an entry that was.
        """
        if self.streams[self.waiting].is_damaged:
            raise self._damaged(self.streams[self.waiting])
        self.tag, self.next = tag, 0

    def check(self) -> None:
        """To be asked when there is no next entry: raise MalformedData if damage hides it."""
        for index, stream in enumerate(self.streams):
            entry = self.front(index)
            # The next one of its splay offset: nothing is lost before it.
            whole = (entry is not None and entry.tag_tid == self.tag
                     and entry.entry_tid < self.next + self.width)
            if stream.is_damaged and not whole:
                raise self._damaged(stream)

    def _damaged(self, stream: Stream, missing: str = "") -> MalformedData:
        damage = stream.damage
        if damage is None:
            return MalformedData(f"entry {missing} is missing in {self._name(stream.number)}")
        return MalformedData(f"{self._name(damage.object_number)} is damaged at offset "
                             f"{damage.offset}: {damage.why}")
