"""Copy-up: an object that a clone's copy lacks gets what the parent shows in its place.

librbd does so before the first write to an object of a clone.  Written with no snapshot context, it
shows in every snapshot that lacked the object, and nothing that can be read changes.  So must we:
what is written for a later snapshot would end what older ones see of the parent once that is
detached (deep-flatten), and a delta between two snapshots of the primary counts on it.
"""

from typing import Callable, Collection, Iterable, List, NamedTuple, Set

from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import AlreadyExists
from ..wire.header import ImageHeader
from .budget import Budget
from .extents import pieces
from .lanes import for_each
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

    `check` raises when writing must end.  `filled` are the objects that were.
    """

    def __init__(self, parent: ParentReader, target: Pool, header: ImageHeader, overlap: int,
                 budget: Budget, check: Callable[[], None]) -> None:
        self.filled: Set[int] = set()
        self.objects = header.object_count(overlap)
        self._parent = parent
        self._header = header
        self._overlap = overlap
        self._budget = budget
        self._check = check
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
                operation.release()
                return False
            return await self._write(number, operation)
        finally:
            self._budget.release(self._header.object_size)

    async def _write(self, number: int, operation: Operation) -> bool:
        try:
            self._check()
        except BaseException:
            operation.release()
            raise
        try:
            await self._target.operate(self._header.data_object(number), operation)
        except AlreadyExists:
            return False
        self.filled.add(number)
        return True


async def fill_all(copy_up: CopyUp, numbers: Iterable[int]) -> None:
    """Fill those of the objects that lack."""
    async def fill(number: int) -> None:
        if await copy_up.lacks(number):
            await copy_up.fill(number)

    await for_each(numbers, fill)


async def existing(pool: Pool, header: ImageHeader, numbers: Collection[int]) -> Set[int]:
    """Which of the objects are there in a pool as it reads."""
    found = set()

    async def look(number: int) -> None:
        if await pool.stat(header.data_object(number)) is not None:
            found.add(number)

    await for_each(numbers, look)
    return found
