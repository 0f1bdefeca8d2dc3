"""What a clone's copy shows of its parent while its journal is replayed.

As librbd does, an object that the copy lacks gets what the parent shows in its place before it is
written to, and before the image shows less of its parent: in all snapshots that lack it as well.
"""

from typing import Iterable, List, Set, Tuple

from ...wire import cls_rbd
from ...wire.constants import Feature, ObjectState
from ...wire.header import ImageHeader, object_map_oid
from ..copyup import CopyUp, fill_all
from ..image import Copy


class Overlap:
    """`copy_up` is for the copy as its header says; what it fills is announced before.

    That is to have the object maps name the object: see :meth:`name_in_snapshots`.
    """

    def __init__(self, copy: Copy, header: ImageHeader, copy_up: CopyUp) -> None:
        self._copy = copy
        self._header = header
        self._copy_up = copy_up
        self._settled: Set[int] = set()
        self._cells: List[Tuple[int, bytearray]] = []
        self._loaded = False

    @property
    def objects(self) -> int:
        """The objects below this number may show the parent."""
        return self._copy_up.objects

    @property
    def has_snapshots(self) -> bool:
        """Whether snapshots of the copy show the parent too."""
        return any(s.parent_overlap for s in self._header.snapshots)

    async def close(self) -> None:
        await self._copy_up.close()

    async def fill(self, numbers: Iterable[int]) -> None:
        """Fill those of the objects that lack."""
        wanted = [n for n in numbers if n < self.objects and n not in self._settled]
        if wanted:
            await self._load_maps()
            await fill_all(self._copy_up, wanted)
            self._settled.update(wanted)

    async def fill_beyond(self, size: int) -> None:
        """Fill what snapshots would lose when the image shrinks to this size."""
        if self.has_snapshots:
            await self.fill(self._copy_up.shrinking(size))

    async def _load_maps(self) -> None:
        if self._loaded:
            return
        for snapshot in self._header.snapshots:
            if snapshot.parent_overlap:
                known = await self._copy.load_map(self._header, snapshot.id)
                if known is not None:
                    self._cells.append((snapshot.id, bytearray(known.cells)))
        self._loaded = True

    async def name_in_snapshots(self, number: int) -> bool:
        """Have the object maps of snapshots that lack an object name it; whether any now does.

        It counts as changed in the oldest.
        """
        state, named = ObjectState.EXISTS, False
        for snap_id, cells in self._cells:
            if number >= len(cells):
                continue
            if cells[number] == ObjectState.NONEXISTENT:
                cells[number] = state
                await self._copy.pool.call(
                    object_map_oid(self._copy.id, snap_id),
                    cls_rbd.object_map_update(number, number + 1, state))
            named = True
            if self._header.features & Feature.FAST_DIFF:
                state = ObjectState.EXISTS_CLEAN
        return named
