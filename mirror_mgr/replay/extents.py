"""Which bytes of an object are to be written, from its old and new content.  Pure."""

from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

# The size of the pieces that are compared and, where all zero, freed instead of written.
BLOCK = 65536
SMALL_BLOCK = 4096
_ZEROS = bytes(BLOCK)


class Extent(NamedTuple):
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Piece(NamedTuple):
    """New content at an offset; `data` None stands for `length` zeros."""

    offset: int
    length: int
    data: Optional[bytes]


def is_zero(data: bytes, start: int, end: int) -> bool:
    """Whether data[start:end], at most BLOCK bytes, is all zero."""
    if data[start] or data[end - 1]:
        return False
    return data[start:end] == _ZEROS[:end - start]


def pieces(offset: int, data: bytes) -> List[Piece]:
    """Given content that starts at `offset`, return it cut into runs that are data or zeros."""
    runs: List[Tuple[int, int, bool]] = []
    for start, end in _blocks(offset, len(data)):
        zero = is_zero(data, start, end)
        if runs and runs[-1][2] == zero:
            runs[-1] = (runs[-1][0], end, zero)
        else:
            runs.append((start, end, zero))
    if len(runs) == 1 and not runs[0][2]:
        return [Piece(offset, len(data), data)]
    return [Piece(offset + start, end - start, None if zero else data[start:end])
            for start, end, zero in runs]


def changed_pieces(offset: int, old: bytes, new: bytes) -> List[Piece]:
    """Given old and new content at `offset`, return what differs.

    Where `old` is shorter it counts as zeros, as a read beyond an object's end does.
    """
    if len(old) < len(new):
        old = old + bytes(len(new) - len(old))
    runs: List[Extent] = []
    for start, end in _blocks(offset, len(new)):
        if old[start:end] == new[start:end]:
            continue
        for fine, fine_end in _split(start, end, SMALL_BLOCK):
            if old[fine:fine_end] == new[fine:fine_end]:
                continue
            if runs and runs[-1].end == fine:
                runs[-1] = Extent(runs[-1].offset, fine_end - runs[-1].offset)
            else:
                runs.append(Extent(fine, fine_end - fine))
    return [piece for run in runs
            for piece in pieces(offset + run.offset, new[run.offset:run.end])]


def merge(extents: Iterable[Tuple[int, int]], gap: int) -> List[Extent]:
    """Join extents, given ascending, that lie at most `gap` bytes apart."""
    joined: List[Extent] = []
    for offset, length in extents:
        if joined and offset - joined[-1].end <= gap:
            end = max(joined[-1].end, offset + length)
            joined[-1] = Extent(joined[-1].offset, end - joined[-1].offset)
        else:
            joined.append(Extent(offset, length))
    return joined


def to_read(extents: Sequence[Tuple[int, int]], most: int) -> List[Extent]:
    """The reads that fetch these extents: exact, unless that takes more than `most` of them."""
    gap = 0
    found = merge(extents, gap)
    while len(found) > most:
        gap = max(SMALL_BLOCK, gap * 4)
        found = merge(extents, gap)
    return found


def chunks(extent: Extent, size: int) -> Iterator[Extent]:
    """Cut an extent into pieces of at most `size` bytes."""
    for start in range(extent.offset, extent.end, size):
        yield Extent(start, min(size, extent.end - start))


def _blocks(offset: int, length: int) -> Iterator[Tuple[int, int]]:
    """Ranges within the content that end at multiples of BLOCK in the object."""
    start = 0
    while start < length:
        end = min(length, start + BLOCK - (offset + start) % BLOCK)
        yield start, end
        start = end


def _split(start: int, end: int, size: int) -> Iterator[Tuple[int, int]]:
    while start < end:
        stop = min(end, start + size)
        yield start, stop
        start = stop
