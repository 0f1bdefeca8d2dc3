"""Copy-up: an object that a clone's copy lacks gets what the parent shows in its place.

librbd does so before the first write to an object of a clone.  Written with no snapshot context, it
shows in every snapshot that lacked the object, and nothing that can be read changes.  So must we:
what is written for a later snapshot would end what older ones see of the parent once that is
detached (deep-flatten), and a delta between two snapshots of the primary counts on it.
"""

from typing import Awaitable, Callable, Collection, Iterable, List, NamedTuple, Optional, Set

from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import AlreadyExists
from ..wire.header import ImageHeader
from ..wire.object_map import numbers
from .budget import Budget
from .extents import pieces
from .image import Copy
from .lanes import for_each
from .maps import Segment
from .parent import ParentReader


class Stripe(NamedTuple):
    """A range of an object, where it lies in the image; all in bytes."""

    object_offset: int
    image_offset: int
    length: int


def stripes(header: ImageHeader, number: int, size: int) -> List[Stripe]:
    """Which ranges of an image of `size` bytes the object `number` has; ascending."""
    unit = header.stripe_unit or header.object_size
    if header.stripe_count == 1:
        unit = header.object_size
    group, place = divmod(number, header.stripe_count)
    rows = header.object_size // unit
    found = []
    for row in range(rows):
        offset = ((group * rows + row) * header.stripe_count + place) * unit
        if offset < size:
            found.append(Stripe(row * unit, offset, min(unit, size - offset)))
    return found


class CopyUp:
    """Fills objects of a copy, the overlap of which with its parent is `overlap` bytes.

    `check` raises when writing must end.  `announce` is called with each object that is about to
    be filled.  `filled` are the objects that were.
    """

    def __init__(self, parent: ParentReader, target: Pool, header: ImageHeader, overlap: int,
                 budget: Budget, check: Callable[[], None],
                 announce: Optional[Callable[[int], Awaitable[None]]] = None) -> None:
        self.filled: Set[int] = set()
        self.objects = header.object_count(overlap)
        self._parent = parent
        self._header = header
        self._overlap = overlap
        self._budget = budget
        self._check = check
        self._announce = announce
        self._target = target.with_snap_context([])

    async def close(self) -> None:
        self._target.close()
        await self._parent.close()

    def shrinking(self, overlap: int) -> Iterable[int]:
        """The objects of which less is seen of the parent when the overlap becomes that."""
        return (number for number in range(self.objects)
                if stripes(self._header, number, overlap)
                != stripes(self._header, number, self._overlap))

    async def lacks(self, number: int) -> bool:
        """Whether the copy has no such object now."""
        return await self._target.stat(self._header.data_object(number)) is None

    async def fill(self, number: int) -> bool:
        """Give a lacking object what the parent shows; False where that is nothing but zeros."""
        await self._budget.acquire(self._header.object_size)
        try:
            operation = Operation().create(exclusive=True)
            empty = True
            for stripe in stripes(self._header, number, self._overlap):
                data = await self._parent.read(stripe.image_offset, stripe.length)
                for piece in pieces(stripe.object_offset, data):
                    if piece.data is not None:
                        operation.write(piece.offset, piece.data)
                        empty = False
            if empty:
                return False
            return await self._write(number, operation)
        finally:
            self._budget.release(self._header.object_size)

    async def _write(self, number: int, operation: Operation) -> bool:
        if self._announce is not None:
            await self._announce(number)
        self._check()
        try:
            await self._target.operate(self._header.data_object(number), operation)
        except AlreadyExists:
            return False
        self.filled.add(number)
        return True


async def fill_all(copy_up: CopyUp, wanted: Iterable[int]) -> None:
    """Fill those of the objects that lack."""
    async def fill(number: int) -> None:
        if await copy_up.lacks(number):
            await copy_up.fill(number)

    await for_each(wanted, fill)


async def existing(pool: Pool, header: ImageHeader, candidates: Collection[int]) -> Set[int]:
    """Which of the objects are there in a pool as it reads."""
    found = set()

    async def look(number: int) -> None:
        if await pool.stat(header.data_object(number)) is not None:
            found.add(number)

    await for_each(candidates, look)
    return found


async def existing_at(copy: Copy, header: ImageHeader, candidates: Collection[int],
                      snap_id: Optional[int]) -> Set[int]:
    """Which of these objects a copy has at a snapshot, or now."""
    data = copy.data_pool(header)
    pool = data.fork() if snap_id is None else data.at_snapshot(snap_id)
    try:
        return await existing(pool, header, candidates)
    finally:
        pool.close()


async def seen_at_last(copy: Copy, header: ImageHeader, segment: Segment, seen: bytes,
                       done: int) -> bytes:
    """Given which objects a copier found at the end of a segment, return which there are.

    The first `done` were copied before and not looked at again: they count as existing.  Not so in
    a clone, where an object less shows the parent.
    """
    done = min(done, len(seen))
    known = bytearray(b"\1" * done + bytes(seen[done:]))
    if header.parent is not None:
        earlier = list(numbers(segment.touched[:done]))
        there = await existing_at(copy, header, earlier, segment.local_snap)
        for number in earlier:
            known[number] = number in there
    return bytes(known)


def of_parent(copy: Copy, header: ImageHeader, budget: Budget, check: Callable[[], None],
              announce: Optional[Callable[[int], Awaitable[None]]] = None) -> Optional[CopyUp]:
    """What fills objects of a copy from its parent; None for one that shows nothing of a parent."""
    parent = header.parent
    if parent is None or not parent.head_overlap:
        return None
    return CopyUp(ParentReader(copy.pool, parent), copy.data_pool(header), header,
                  parent.head_overlap, budget, check, announce)
