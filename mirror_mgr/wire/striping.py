"""Which objects the bytes of an image are in (``osdc/Striper.cc``, release 16).  Pure."""

from typing import Iterator, List, NamedTuple

from .header import ImageHeader


class ObjectExtent(NamedTuple):
    """``offset`` in object ``number``; ``at`` where these bytes are in the range asked for."""

    number: int
    offset: int
    length: int
    at: int


class Striping:
    """Of an image: sizes in bytes."""

    def __init__(self, header: ImageHeader) -> None:
        self.object_size = header.object_size
        self.count = header.stripe_count
        self.unit = header.stripe_unit if self.count > 1 else self.object_size

    @property
    def period(self) -> int:
        """After as many bytes the image goes on in new objects."""
        return self.object_size * self.count

    def extents(self, offset: int, length: int) -> List[ObjectExtent]:
        """Where a range of the image is, in ascending order of the image."""
        found = []
        at = 0
        while at < length:
            block, within = divmod(offset + at, self.unit)
            stripe, place = divmod(block, self.count)
            row, stripe_in_object = divmod(stripe, self.object_size // self.unit)
            size = min(self.unit - within, length - at)
            found.append(ObjectExtent(row * self.count + place,
                                      stripe_in_object * self.unit + within, size, at))
            at += size
        return found

    def runs(self, offset: int, length: int) -> List[ObjectExtent]:
        """As :meth:`extents`, with what is contiguous in an object as one; ``at`` of its start.

        That takes as long as there are objects, however small the units are.
        """
        found: List[ObjectExtent] = []
        at = 0
        while at < length:
            row, within = divmod(offset + at, self.period)
            size = min(self.period - within, length - at)
            found.extend(self._runs_in_row(row, within, size, at))
            at += size
        return found

    def _runs_in_row(self, row: int, start: int, length: int, at: int) -> Iterator[ObjectExtent]:
        """Of a range of the objects that one period goes round."""
        end = start + length
        first, last = start // self.unit, (end - 1) // self.unit
        for block in range(first, min(first + self.count - 1, last) + 1):
            newest = last - (last - block) % self.count
            begin = block // self.count * self.unit + max(0, start - block * self.unit)
            stop = newest // self.count * self.unit + min(self.unit, end - newest * self.unit)
            yield ObjectExtent(row * self.count + block % self.count, begin, stop - begin,
                               at + max(0, block * self.unit - start))
