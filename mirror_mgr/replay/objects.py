"""Copies the data objects of one sync, snapshot by snapshot.

Object n of the copy is object n of the source, so striping needs no thought here.  Per object, the
segments are written in ascending order, each with the snapshot context of the local snapshots below
its own: then every local snapshot shows the source at the snapshot it stands for.

What is written sets a state rather than adding to one, so a sync that was cut off is simply
repeated from where its progress says.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, Iterable, List, Optional, Protocol, Sequence, Tuple

from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import NotFound
from ..wire.header import ImageHeader
from ..wire.snapset import Delta, DeltaKind, Snapset, delta
from .budget import Budget
from .copyup import CopyUp
from .extents import Extent, Piece, changed_pieces, chunks, pieces, to_read
from .lanes import for_each
from .maps import Segment

_CHUNK = 4 << 20
_READS_AN_OBJECT = 64


class ListSnaps(Protocol):
    """What clones the objects of the source have; see cluster.snapsets."""

    def __call__(self, oid: str) -> Awaitable[Optional[Snapset]]:
        ...


@dataclass
class Statistics:
    """Counts of one sync; bytes as they crossed the link and as they were written."""

    objects: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass
class Source:
    """The objects of the image at the primary site."""

    pool: Pool
    header: ImageHeader
    list_snaps: Optional[ListSnaps]
    at: Dict[int, Pool] = field(default_factory=dict)

    def at_snapshot(self, snap_id: int) -> Pool:
        if snap_id not in self.at:
            self.at[snap_id] = self.pool.at_snapshot(snap_id)
        return self.at[snap_id]

    def close(self) -> None:
        for pool in self.at.values():
            pool.close()
        self.at.clear()


class ObjectCopier:
    """Brings objects of the copy from snapshot `start` of the source through all `segments`.

    `fresh`: the copy has no objects yet.  `compare`: what the copy holds is not known to be the
    state at `start`, so its own content decides what is written.  `check` raises when writing must
    end.  `copy_up` is there for a clone.  `written` notes, by segment, which objects were, and
    `seen` which were found, where that is to be noted in object maps (`takes_notes`).
    """

    def __init__(self, source: Source, target: Pool, target_header: ImageHeader, start: int,
                 segments: Sequence[Segment], local_snaps: Iterable[int], budget: Budget,
                 check: Callable[[], None], fresh: bool, compare: bool,
                 copy_up: Optional[CopyUp] = None, takes_notes: bool = True) -> None:
        self.statistics = Statistics()
        self.seen: Dict[int, bytearray] = {
            index: bytearray(segment.objects) for index, segment in enumerate(segments)
            if takes_notes and segment.remote_map is None}
        self.written = [bytearray(len(segment.touched) if takes_notes else 0)
                        for segment in segments]
        self._source = source
        self._target_header = target_header
        self._start = start
        self._segments = segments
        self._budget = budget
        self._check = check
        self._fresh = fresh
        self._compare = compare
        self._copy_up = copy_up
        ids = list(local_snaps)
        self._has_older = any(i < segments[0].local_snap for i in ids) if segments else False
        self._target = target
        self._targets: List[Pool] = [
            target.with_snap_context([i for i in ids if i < segment.local_snap])
            for segment in segments]

    def close(self) -> None:
        for pool in self._targets:
            pool.close()
        self._source.close()

    async def copy(self, number: int) -> None:
        """Copy one object."""
        oid = self._source.header.data_object(number)
        if self._simple and not self._compare:
            await self._copy_newest(number, oid)
        elif self._compare or self._source.list_snaps is None:
            if self._copy_up is not None and number < self._copy_up.objects:
                await self._copy_up_before_comparing(self._copy_up, number, oid)
            await self._copy_by_comparing(number, oid)
        else:
            changes = self._changes(await self._source.list_snaps(oid))
            if self._copy_up is not None and number < self._copy_up.objects:
                await self._copy_up_before(self._copy_up, number, changes)
            for index, change in enumerate(changes):
                await self._apply(index, number, change)
        self.statistics.objects += 1

    @property
    def _simple(self) -> bool:
        """One snapshot into an empty copy: whole objects, and what is absent stays absent."""
        return self._fresh and len(self._segments) == 1

    async def _copy_newest(self, number: int, oid: str) -> None:
        for chunk in chunks(Extent(0, self._source.header.object_size), _CHUNK):
            if await self._copy_fresh(number, oid, chunk) < chunk.length:
                return

    async def _copy_fresh(self, number: int, oid: str, chunk: Extent) -> int:
        """Copy a part of an object to where nothing is yet; return how many bytes there were."""
        source = self._source.at_snapshot(self._segments[0].remote_snap)
        await self._budget.acquire(chunk.length)
        try:
            data = await source.read(oid, chunk.length, chunk.offset)
            if data is None or chunk.offset and not data:
                return 0
            self._note_existing(0, number)
            self.statistics.bytes_read += len(data)
            size, operation = len(data), self._fresh_operation(chunk.offset, data)
            # The operation has a copy of its own; a second one would count twice in memory.
            del data
            await self._write(0, number, operation)
            return size
        finally:
            self._budget.release(chunk.length)

    def _fresh_operation(self, offset: int, data: bytes) -> Operation:
        operation = Operation().create()
        runs = pieces(offset, data)
        if not runs or runs[-1].data is None:
            operation.truncate(offset + len(data))
        self._add(operation, [run for run in runs if run.data is not None])
        return operation

    # --- clones ------------------------------------------------------------------------------

    async def _copy_up_before(self, copy_up: CopyUp, number: int,
                              changes: Sequence[Delta]) -> None:
        """Have the parent's content in an object that is absent here and present there.

        Where the primary copied up since the last sync, its older snapshots have the object now.
        """
        first = next((i for i, change in enumerate(changes) if change.exists), None)
        if first is None or not await copy_up.lacks(number):
            return
        nobody_looks = first == 0 and not self._has_older
        if nobody_looks and changes[0].kind == DeltaKind.WHOLE:
            return
        await self._fill(copy_up, number, first)

    async def _fill(self, copy_up: CopyUp, number: int, first: int) -> None:
        """Copy up an object that the segment `first` is the first to have at the primary."""
        if await copy_up.fill(number):
            for index in range(first):
                self._note_existing(index, number)
            if not self._has_older:
                self._note_written(0, number)

    async def _copy_up_before_comparing(self, copy_up: CopyUp, number: int, oid: str) -> None:
        for index, segment in enumerate(self._segments):
            if await self._source.at_snapshot(segment.remote_snap).stat(oid) is None:
                continue
            if (self._has_older or index) and await copy_up.lacks(number):
                await self._fill(copy_up, number, index)
            return

    # --- by deltas ---------------------------------------------------------------------------

    def _changes(self, snapset: Optional[Snapset]) -> List[Delta]:
        """What each segment does to an object; nothing where there never was one."""
        if snapset is None:
            return []
        older = [self._start] + [segment.remote_snap for segment in self._segments]
        return [delta(snapset, before, after) for before, after in zip(older, older[1:])]

    async def _apply(self, index: int, number: int, change: Delta) -> None:
        if change.kind == DeltaKind.REMOVED:
            await self._remove(index, number)
            return
        if change.exists:
            self._note_existing(index, number)
        if change.kind != DeltaKind.UNCHANGED:
            await self._fetch_and_write(index, number, change.extents, change.size)

    async def _fetch_and_write(self, index: int, number: int, extents: Sequence[Tuple[int, int]],
                               size: int) -> None:
        """Write these extents as the source has them, into an object of `size` bytes."""
        operation = Operation().create().truncate(size)
        if not extents:
            await self._write(index, number, operation)
        for batch in _batches(to_read(extents, _READS_AN_OBJECT)):
            volume = sum(extent.length for extent in batch)
            await self._budget.acquire(volume)
            try:
                await self._read_into(operation, index, number, batch)
                await self._write(index, number, operation)
            finally:
                self._budget.release(volume)
            operation = Operation().create()

    async def _read_into(self, operation: Operation, index: int, number: int,
                         extents: Sequence[Extent]) -> None:
        source = self._source.at_snapshot(self._segments[index].remote_snap)
        oid = self._source.header.data_object(number)
        found = await asyncio.gather(*(
            source.read(oid, extent.length, extent.offset) for extent in extents))
        for extent, data in zip(extents, found):
            if data:
                self.statistics.bytes_read += len(data)
                self._add(operation, pieces(extent.offset, data))

    async def _copy_by_comparing(self, number: int, oid: str) -> None:
        size = self._source.header.object_size
        await self._budget.acquire(2 * size)
        try:
            old = await self._target.read(self._target_header.data_object(number), size)
            for index, segment in enumerate(self._segments):
                new = await self._source.at_snapshot(segment.remote_snap).read(oid, size)
                self.statistics.bytes_read += len(new or b"")
                await self._write_difference(index, number, old, new)
                old = new
        finally:
            self._budget.release(2 * size)

    async def _write_difference(self, index: int, number: int, old: Optional[bytes],
                                new: Optional[bytes]) -> None:
        if new is None:
            if old is not None:
                await self._remove(index, number)
            return
        self._note_existing(index, number)
        if old == new:
            return
        operation = Operation().create()
        if old is None or len(old) != len(new):
            operation.truncate(len(new))
        self._add(operation, changed_pieces(0, old or b"", new))
        await self._write(index, number, operation)

    def _note_existing(self, index: int, number: int) -> None:
        seen = self.seen.get(index)
        if seen is not None and number < len(seen):
            seen[number] = 1

    def _note_written(self, index: int, number: int) -> None:
        if number < len(self.written[index]):
            self.written[index][number] = 1

    def _add(self, operation: Operation, found: Iterable[Piece]) -> None:
        for piece in found:
            if piece.data is None:
                operation.zero(piece.offset, piece.length)
            else:
                operation.write(piece.offset, piece.data)
                self.statistics.bytes_written += piece.length

    async def _write(self, index: int, number: int, operation: Operation) -> None:
        self._check()
        self._note_written(index, number)
        await self._targets[index].operate(self._target_header.data_object(number), operation)

    async def _remove(self, index: int, number: int) -> None:
        try:
            await self._write(index, number, Operation().remove())
        except NotFound:
            pass


def _batches(extents: Sequence[Extent]) -> Iterable[List[Extent]]:
    """Group reads so that no group is above _CHUNK bytes."""
    batch: List[Extent] = []
    for extent in extents:
        for part in chunks(extent, _CHUNK):
            if batch and sum(e.length for e in batch) + part.length > _CHUNK:
                yield batch
                batch = []
            batch.append(part)
    if batch:
        yield batch


class Progress:
    """How far a run over ascending object numbers is; `total` is how many there are."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._active: Dict[int, None] = {}
        self._next = 0

    @property
    def contiguous(self) -> int:
        """Every object of the run below this number is finished."""
        return next(iter(self._active), self._next)

    @property
    def percent(self) -> float:
        return 100.0 * self.done / self.total if self.total else 100.0

    def begin(self, number: int) -> None:
        self._active[number] = None
        self._next = number + 1

    def end(self, number: int) -> None:
        del self._active[number]
        self.done += 1


async def copy_all(copier: ObjectCopier, numbers: Iterable[int], progress: Progress) -> None:
    """Copy all these objects, several at a time; the first error ends the others and is raised."""
    async def copy(number: int) -> None:
        progress.begin(number)
        await copier.copy(number)
        progress.end(number)

    await for_each(numbers, copy)
