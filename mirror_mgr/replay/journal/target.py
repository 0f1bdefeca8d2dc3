"""The copy while its journal is replayed: its header, its object map, and writes of its objects."""

import asyncio
from typing import Awaitable, Dict, List, Mapping, Optional, Sequence, Tuple

from ...cluster.operation import Operation
from ...cluster.pool import Pool
from ...errors import MirrorError, NotFound, NotReady
from ...wire import cls_rbd
from ...wire.constants import Feature, HeaderFlag, ObjectState
from ...wire.header import ImageHeader, object_map_oid
from ...wire.journal_event import CompareAndWrite
from ...wire.object_map import ObjectMap
from ...wire.striping import ObjectExtent, Striping
from ..budget import Budget
from ..copyup import of_parent
from ..hold import Hold
from ..image import Copy
from .overlap import Overlap
from .window import Changes, Window, ranges

# Beyond one changed range in as many objects the whole map is written.
_CELLS_A_RANGE = 512
# What an OSD answers to a comparison that fails: this, and where the difference is.
_MISMATCH = 4095


class Target:
    """To be opened anew after each change of the header.

    The object map is kept in memory, ahead of what is written: nobody else changes it as long as
    the image's lock is held.
    """

    def __init__(self, copy: Copy, hold: Hold, budget: Budget) -> None:
        self.copy = copy
        self._hold = hold
        self._budget = budget
        self._header: Optional[ImageHeader] = None
        self._data: Optional[Pool] = None
        self._striping: Optional[Striping] = None
        self._cells: Optional[bytearray] = None
        self._overlap: Optional[Overlap] = None

    @property
    def header(self) -> ImageHeader:
        assert self._header is not None
        return self._header

    @property
    def keeps_hidden(self) -> bool:
        """Whether the copy has snapshots that are there for clones alone."""
        return self._header is not None and any(s.is_hidden for s in self._header.snapshots)

    @property
    def data(self) -> Pool:
        """The data pool, with the snapshots of the copy as its context."""
        assert self._data is not None
        return self._data

    @property
    def striping(self) -> Striping:
        assert self._striping is not None
        return self._striping

    @property
    def object_map(self) -> Optional[ObjectMap]:
        """As it is when all windows are written; None where there is none."""
        return None if self._cells is None else ObjectMap(bytes(self._cells))

    async def open(self) -> None:
        header = await self.copy.header()
        if header is None:
            raise NotReady("the copy was removed while its journal was replayed")
        await self.close()
        self._header = header
        self._striping = Striping(header)
        self._data = self.copy.data_pool(header).with_snap_context(header.snap_ids)
        self._cells = await self._load_cells(header)
        copy_up = of_parent(self.copy, header, self._budget, self._hold.check, self._name_copied_up)
        if copy_up is not None:
            self._overlap = Overlap(self.copy, header, copy_up)

    async def close(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()
        overlap, self._overlap = self._overlap, None
        if overlap is not None:
            await overlap.close()

    async def _load_cells(self, header: ImageHeader) -> Optional[bytearray]:
        if not header.features & Feature.OBJECT_MAP:
            return None
        found = await self.copy.stored_map(header, header.size)
        count = header.object_count(header.size)
        if found is None or len(found) < count:
            # What a map does not tell of may exist: else a discard would leave it.
            found = (found or ObjectMap()).resized(count, ObjectState.EXISTS)
            self._hold.check()
            await self.copy.save_map(found)
        return bytearray(found.resized(count).cells)

    def window(self) -> Window:
        parent_objects = 0 if self._overlap is None else self._overlap.objects
        return Window(self.striping, self.header.size, self._cells, self._trusted, parent_objects)

    @property
    def _trusted(self) -> bool:
        return not self.header.flags & HeaderFlag.OBJECT_MAP_INVALID

    def window_beyond_end(self) -> Window:
        """A window that also frees what is in the last objects behind the image's end."""
        size = 2 ** 64
        return Window(self.striping, size, self._cells, self._trusted)

    async def save_map(self, object_map: ObjectMap) -> None:
        """Replace the object map as a whole."""
        self._cells = bytearray(object_map.cells)
        await self.copy.save_map(object_map)

    def begin(self, window: Window) -> "asyncio.Task[None]":
        """Write a window; the one before it must be done.  The next may be collected meanwhile."""
        before, after = window.states_before(), window.states_after()
        return asyncio.ensure_future(self._write_window(
            window, self._changed(before), self._changed(after)))

    async def compare_and_write(self, extents: Sequence[ObjectExtent],
                                event: CompareAndWrite) -> None:
        """Once everything before it is written; where the copy holds something else, nothing is.

        The primary wrote nothing there either.
        """
        for extent in extents:
            self._hold.check()
            part = slice(extent.at, extent.at + extent.length)
            operation = Operation().compare(extent.offset, event.compare[part]).write(
                extent.offset, event.data[part])
            try:
                await self.data.operate(self.header.data_object(extent.number), operation)
            except MirrorError as error:
                if error.errno < _MISMATCH:
                    raise

    def _changed(self, states: Dict[int, int]) -> "_MapChange":
        """Set cells, and return what tells the OSD to."""
        assert self._cells is not None or not states
        for number, state in states.items():
            assert self._cells is not None
            self._cells[number] = state
        found = ranges(states)
        if self._cells is not None and len(found) * _CELLS_A_RANGE > len(self._cells):
            return _MapChange([], ObjectMap(bytes(self._cells)))
        return _MapChange(found, None)

    async def _write_window(self, window: Window, before: "_MapChange",
                            after: "_MapChange") -> None:
        self._hold.check()
        await self._change_map(before)
        if self._overlap is not None:
            await self._overlap.fill(window.showing_parent(self._overlap.has_snapshots))
        await self._budget.acquire(window.bytes)
        try:
            self._hold.check()
            await self._write_objects(window.objects)
            await self._change_map(after)
        finally:
            self._budget.release(window.bytes)

    # --- clones ---------------------------------------------------------------------------------

    async def fill_beyond(self, size: int) -> None:
        """Before the image shrinks: what its snapshots show of a parent stays as it is."""
        if self._overlap is not None:
            await self._overlap.fill_beyond(size)

    async def flatten(self) -> None:
        """Give the image all that it shows of its parent, and end that."""
        parent = self.header.parent
        if parent is None or parent.head_overlap is None:
            return
        if self._overlap is not None:
            await self._overlap.fill(range(self._overlap.objects))
        await self.copy.detach_parent(self.header)

    async def _name_copied_up(self, number: int) -> None:
        """In the object maps, before the object is filled."""
        assert self._overlap is not None
        is_old = await self._overlap.name_in_snapshots(number)
        cells = self._cells
        if (cells is None or number >= len(cells)
                or cells[number] != ObjectState.NONEXISTENT):
            return
        # librbd says EXISTS when it flattens, and finds fault with that in its own check.
        fast_diff = bool(self.header.features & Feature.FAST_DIFF)
        state = ObjectState.EXISTS_CLEAN if is_old and fast_diff else ObjectState.EXISTS
        await self._change_map(self._changed({number: int(state)}))

    # --- the object map -------------------------------------------------------------------------

    async def _change_map(self, change: "_MapChange") -> None:
        if change.whole is not None:
            await self.copy.save_map(change.whole)
        oid = object_map_oid(self.copy.id)
        await _all(*(self.copy.pool.call(oid, cls_rbd.object_map_update(*one))
                     for one in change.ranges))

    async def _write_objects(self, objects: Mapping[int, Changes]) -> None:
        changed = [(number, operation_of(changes)) for number, changes in objects.items()]
        written = [(number, operation) for number, operation in changed if operation is not None]
        errors = await self.data.operate_all(
            [(self.header.data_object(number), operation) for number, operation in written])
        for (number, _), error in zip(written, errors):
            absent = isinstance(error, NotFound) and objects[number].removed
            if error is not None and not absent:
                raise error


class _MapChange:
    """Ranges of cells to set, or the whole map to write."""

    def __init__(self, changed: List[Tuple[int, int, int]], whole: Optional[ObjectMap]) -> None:
        self.ranges = changed
        self.whole = whole


def operation_of(changes: Changes) -> Optional[Operation]:
    """All that happens to an object, as one atomic change of it."""
    if changes.removed:
        return Operation().remove()
    cut, steps = changes.settled()
    if cut is None and not steps:
        return None
    operation = Operation()
    if cut is not None:
        if changes.emptied or any(step.data is not None for step in changes.steps):
            # Of what is written and then cut off an object stays.  A removal within a larger
            # operation fails as a whole where there is none.
            operation.create()
        operation.truncate(cut)
    for offset, data, length in steps:
        if data is not None:
            operation.write(offset, data)
        elif length is not None:
            operation.zero(offset, length)
    return operation


async def _all(*calls: Awaitable[object]) -> None:
    """Wait for all, also when one fails; then raise its error."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
