"""Which objects the bytes of an image are in (``osdc/Striper.cc``, release 16).  Pure."""

from typing import Dict, List, NamedTuple

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
        """As :meth:`extents`, with what is contiguous in an object as one; ``at`` of its start."""
        whole: Dict[int, List[ObjectExtent]] = {}
        for extent in self.extents(offset, length):
            of_object = whole.setdefault(extent.number, [])
            if of_object and of_object[-1].offset + of_object[-1].length == extent.offset:
                last = of_object[-1]
                of_object[-1] = last._replace(length=last.length + extent.length)
            else:
                of_object.append(extent)
        return [extent for of_object in whole.values() for extent in of_object]
