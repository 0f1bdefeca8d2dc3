"""One sync of a snapshot-mode image: from one mirror snapshot of the primary to a later one."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Awaitable, Callable, Collection, Dict, FrozenSet, List, Optional, Set, Tuple

from ..errors import NotReady
from ..wire import image_state
from ..wire.constants import NOSNAP, Feature, ObjectState, Protection, SnapState
from ..wire.header import ImageHeader
from ..wire.object_map import (
    AllFrom,
    Mask,
    ObjectMap,
    from_first,
    how_many,
    merged,
    numbers,
)
from ..wire.snapshot import MirrorNamespace, Namespace, Snapshot, UserNamespace
from . import state as copied_state
from .budget import Budget
from .copyup import CopyUp, existing_at, fill_all, of_parent, seen_at_last
from .hold import Hold
from .image import Copy, Image
from .maps import (
    Segment,
    head_after,
    head_before,
    local_maps,
    marked_in,
    may_be_rolled_back,
    touched_by,
    with_copied_up,
)
from .objects import ListSnaps, ObjectCopier, Progress, Source, Statistics, copy_all
from .rollback import roll_back
from .scan import Link, Sync, attempt_name, demoted_id, inherited, mirror, snapshot_name
from .shape import set_shape


@dataclass(frozen=True)
class Means:
    """What a sync works with, the same for all images of a pool.

    `list_snaps` makes, for a data pool of the primary, the call that lists an object's clones; None
    where this release of librados does not let us.  `tx_peers` are the local pool's peers that
    take snapshots from here.  `dead` are addresses of predecessors known to be gone.  How far a
    sync is, is noted every `progress_seconds`.
    """

    budget: Budget
    list_snaps: Callable[[int, str], Optional[ListSnaps]]
    tx_peers: FrozenSet[str] = frozenset()
    dead: Collection[str] = ()
    progress_seconds: float = 2.0


@dataclass
class Report:
    """How a running sync does; read by the status."""

    snapshot: Snapshot
    progress: Optional[Progress] = None
    statistics: Statistics = field(default_factory=Statistics)

    @property
    def percent(self) -> float:
        return self.progress.percent if self.progress else 0.0


class SnapshotSync:
    """Carries out a `Sync` of scan.plan for a copy.

    `local` and `remote` are the headers that the plan was made from, `local` the one that `copy`
    read last.  `name` is the copy's name now, `awaited_name` the one that it could not be given.
    """

    def __init__(self, copy: Copy, source: Image, global_id: str, name: str, link: Link,
                 means: Means, sync: Sync, local: ImageHeader, remote: ImageHeader) -> None:
        self.copy = copy
        self.source = source
        self.global_id = global_id
        self.name = name
        self.link = link
        self.means = means
        self.sync = sync
        self.local = local
        self.remote = remote
        self.report = Report(sync.end)
        self.awaited_name: Optional[str] = None
        self._hold = Hold(copy.pool, copy.id, local)
        self._segments: List[Segment] = []
        self._base_map: Optional[ObjectMap] = None
        self._saved_maps: List[ObjectMap] = []
        self._newest_id = local.snap_seq
        self._target_id = 0
        self._attempt_id = 0
        self._demoted_id = 0
        self._changed = False

    @property
    def _is_demotion(self) -> bool:
        return mirror(self.sync.end).is_demoted

    @property
    def _has_maps(self) -> bool:
        return bool(self.local.features & Feature.OBJECT_MAP)

    @property
    def _fast_diff(self) -> bool:
        return bool(self.local.features & Feature.FAST_DIFF)

    @property
    def _is_clone(self) -> bool:
        """Copy-ups add objects to snapshots of the primary at any time: no map tells for sure."""
        return self.local.parent is not None or self.remote.parent is not None

    async def run(self, on_first_snapshot: Callable[[], Awaitable[None]]) -> str:
        """Copy up to the end snapshot and mark it complete; return the copy's name after that.

        `on_first_snapshot` is called when the copy may count as mirrored: its mirror snapshot and
        the image state are there.  Raise NotReady when another client needs the image; what is done
        is not done again.
        """
        await self.copy.data_pool(self.local).require_room()
        blobs = await self.source.image_state_blobs(self.sync.end.id)
        await self._hold.acquire(self.means.dead)
        self.copy.held_by(self._hold)
        try:
            return await self._hold.during(self._run_held(blobs, on_first_snapshot))
        finally:
            self.copy.held_by(None)
            await self._hold.release()

    async def _run_held(self, blobs: List[bytes],
                        on_first_snapshot: Callable[[], Awaitable[None]]) -> str:
        """All that changes the copy, from the first change until it is complete."""
        if await self.copy.header() != self.local:
            raise NotReady("another client changed the local image meanwhile")
        state = image_state.decode(blobs)
        if self.sync.rebase:
            await self._rebase()
        await self._copy_up_lost_overlap()
        seqs = await self._make_snapshots()
        await self.copy.write_image_state(self._target_id, blobs)
        await self._drop_promotable()
        if not self._is_demotion:
            await on_first_snapshot()
        copied = await self._copy_data()
        header = self.local
        if copied or self.sync.resume is not None or len(self._segments) > 1:
            header = await self._own_header()
        self.name, self._changed = await copied_state.apply(
            self.copy, header, self.name, state, self.remote, seqs)
        self.awaited_name = None if self.name == state.name else state.name
        if self._changed:
            await self._own_header()
        objects = header.object_count(self.sync.end.size)
        if self._is_demotion:
            await self._show_demotion(blobs, seqs, objects)
            await on_first_snapshot()
        else:
            await self.copy.complete(self._target_id, objects)
        return self.name

    @property
    def inherited(self) -> bool:
        """Whether the copy stands on what a daemon wrote."""
        return inherited(self.global_id, self.sync.base)

    async def finish(self) -> None:
        """Remove what the sync has made superfluous here, and tell who has the image open."""
        header = await self._own_header() if self._is_demotion else self.local
        superfluous = [s for s in header.mirror_snapshots
                       if s.id != self._target_id and _prunable(s)]
        merged = self._merged_ids(superfluous)
        if not self._is_demotion and any(s.id not in merged for s in superfluous):
            header = await self._own_header()
        for snapshot in superfluous:
            await remove_superfluous(self.copy, header, snapshot, snapshot.id in merged)
        await self.copy.notify()

    def _merged_ids(self, superfluous: List[Snapshot]) -> Set[int]:
        """Snapshots whose marks the next one's object map has already.

        Not where one that is removed, or was, may leave its own marks to one of these first.
        """
        heir = self._heir
        if heir is None:
            return {self._attempt_id}
        if self._changed or any(s.id < heir.id for s in superfluous):
            return set()
        return {heir.id, self._attempt_id}

    # --- snapshots ---------------------------------------------------------------------------

    async def _rebase(self) -> None:
        """Capture the image as it is in a mirror snapshot of ours.

        The snapshot that the C++ daemon makes shows the data from before its sync: a forced
        promotion in the middle of our sync would return to that.
        """
        base = self.sync.base
        assert base is not None
        if self.local.size != base.size:
            raise NotReady("the copy was left in the middle of a resize")
        [snap_id] = await self.copy.data_pool(self.local).new_snap_ids(1)
        head = await self.copy.load_map(self.local) if self._has_maps else None
        if head is not None:
            await self.copy.save_map(head, snap_id)
        await self.copy.write_image_state(snap_id, await self.copy.image_state_blobs(base.id))
        name = snapshot_name(self.global_id, self.link.remote_uuid, self.sync.start, False)
        await self._add_snapshot(name, snap_id, mirror(base))
        if head is not None:
            await self.copy.save_map(head_after(head, self._fast_diff))
        self.local = await self._own_header()
        captured = self.local.snapshot(snap_id)
        assert captured is not None
        self.sync = replace(self.sync, base=captured, rebase=False)

    async def _make_snapshots(self) -> Dict[int, int]:
        """Make the local snapshots of this sync, or find those of the attempt that is resumed.

        Return the map of the primary's user snapshots to the copy's.
        """
        users = [s for s in self.remote.user_snapshots
                 if self.sync.start < s.id < self.sync.end.id]
        resume = self.sync.resume
        if resume is not None:
            made = dict(mirror(resume).snap_seqs)
            self._target_id = resume.id
            self._demoted_id = demoted_id(resume) or 0
            await self._set_shape(self.sync.end)
            await self._plan_segments([(s, made[s.id]) for s in users if s.id in made])
            return {k: v for k, v in made.items() if v != NOSNAP}
        await self._remove_leftovers()
        ids = await self._new_ids(len(users) + 1)
        self._target_id = ids[-1]
        if self.sync.restore and self.sync.base is not None:
            # A write may have waited for the lock while the image was demoted here (librbd, all
            # releases): it landed later, was never copied, and no delta would tell of it.
            self.local = await roll_back(self.copy, self.local, self.sync.base,
                                         halfway=self.sync.dirty)
        pairs = list(zip(users, ids))
        await self._plan_segments(pairs)
        for snapshot, snap_id in pairs:
            await self._add_user_snapshot(snapshot, snap_id)
        await self._set_shape(self.sync.end)
        seqs = self._older_pairs()
        seqs.update((snapshot.id, snap_id) for snapshot, snap_id in pairs)
        await self._add_mirror_snapshot(seqs)
        return seqs

    async def _new_ids(self, count: int) -> List[int]:
        """Ids for so many snapshots, ascending; a demotion has one more, which comes last."""
        ids = await self.copy.data_pool(self.local).new_snap_ids(count + self._is_demotion)
        if self._is_demotion:
            self._demoted_id = ids.pop()
        return ids

    async def _add_snapshot(self, name: str, snap_id: int, namespace: Namespace) -> None:
        await self.copy.add_snapshot(name, snap_id, namespace)
        self._newest_id = snap_id

    async def _remove_leftovers(self) -> None:
        """User snapshots that an attempt made before it had a mirror snapshot to show for it."""
        newest = self.sync.base.id if self.sync.base else 0
        for snapshot in reversed(self.local.user_snapshots):
            if snapshot.id > newest:
                await self.copy.remove_snapshot(self.local, snapshot)

    async def _add_user_snapshot(self, snapshot: Snapshot, snap_id: int) -> None:
        await self._set_shape(snapshot)
        await self._add_snapshot(snapshot.name, snap_id, UserNamespace())
        if snapshot.protection == Protection.PROTECTED:
            await self.copy.protect(snap_id, Protection.PROTECTED)

    async def _add_mirror_snapshot(self, seqs: Dict[int, int]) -> None:
        """Say that the image is written to from now on.

        Also of a demotion as an ordinary copy: librbd promotes, with no force, an image whose
        newest mirror snapshot is demoted, be it complete or not.
        """
        name = self._name
        if self._is_demotion:
            name = attempt_name(name, self._demoted_id, self.sync.dirty)
        await self._add_snapshot(name, self._target_id, MirrorNamespace(
            state=SnapState.NON_PRIMARY, complete=False, peer_uuids=frozenset(),
            primary_mirror_uuid=self.link.remote_uuid, primary_snap_id=self.sync.end.id,
            snap_seqs=self._with_end(seqs)))

    @property
    def _name(self) -> str:
        return snapshot_name(self.global_id, self.link.remote_uuid, self.sync.end.id,
                             not self.inherited)

    def _with_end(self, seqs: Dict[int, int]) -> Dict[int, int]:
        return {**seqs, self.sync.end.id: NOSNAP}

    async def _drop_promotable(self) -> None:
        """Incomplete copies of a demotion, as a daemon begins them: librbd would promote them."""
        for snapshot in self.local.mirror_snapshots:
            if mirror(snapshot).is_demoted and not mirror(snapshot).complete:
                await self.copy.remove_snapshot(self.local, snapshot, merged=True)

    async def _show_demotion(self, blobs: List[bytes], seqs: Dict[int, int], objects: int) -> None:
        """Have the image count as demoted, and by that as promotable, once all of it is here."""
        await self.copy.write_image_state(self._demoted_id, blobs)
        header = await self._own_header()
        if header.features & Feature.OBJECT_MAP:
            copied = await self.copy.stored_map(header, self.sync.end.size, self._target_id)
            if copied is not None:
                await self.copy.save_map(copied, self._demoted_id)
        # Another name than that of an ordinary copy of it, which a daemon may have made.
        await self._add_snapshot(f"{self._name}.demoted", self._demoted_id, MirrorNamespace(
            state=SnapState.NON_PRIMARY_DEMOTED, complete=True, peer_uuids=self.means.tx_peers,
            primary_mirror_uuid=self.link.remote_uuid, primary_snap_id=self.sync.end.id,
            last_copied_object_number=objects, snap_seqs=self._with_end(seqs)))
        self._attempt_id, self._target_id = self._target_id, self._demoted_id

    def _older_pairs(self) -> Dict[int, int]:
        """User snapshots up to the start: by the base's own record, else by name."""
        base = self.sync.base
        if base is None:
            return {}
        known = mirror(base).snap_seqs if mirror(base).is_non_primary else {}
        ours = {s.id: s for s in self.local.user_snapshots if s.id < base.id}
        by_name = {s.name: s.id for s in ours.values()}
        pairs = {}
        for snapshot in self.remote.user_snapshots:
            if snapshot.id > self.sync.start:
                continue
            local_id = known.get(snapshot.id)
            if local_id is None or local_id not in ours:
                local_id = by_name.get(snapshot.name)
            if local_id is not None:
                pairs[snapshot.id] = local_id
        return pairs

    async def _set_shape(self, snapshot: Snapshot) -> None:
        header = await set_shape(self.copy, self.local, snapshot, self.remote,
                                 self._old_snapshots_need_parent)
        if header.snap_seq != self.local.snap_seq:  # it was read anew
            header = self._checked(header)
        self.local = _still_copy(header)

    @property
    def _old_snapshots_need_parent(self) -> bool:
        """Whether deep-flatten would take content from snapshots: a daemon copies nothing up.

        Such a copy stays a clone that shows nothing of its parent until those snapshots are gone.
        """
        return self.inherited and any(s.parent_overlap for s in self.local.user_snapshots)

    async def _own_header(self) -> ImageHeader:
        """As it is now, with no snapshot that is not ours."""
        return self._checked(await self.copy.header())

    def _checked(self, header: Optional[ImageHeader]) -> ImageHeader:
        header = _still_copy(header)
        if header.snap_seq != self._newest_id:
            raise NotReady("another client made a snapshot of the local image meanwhile")
        return header

    # --- what to copy ------------------------------------------------------------------------

    async def _plan_segments(self, pairs: List[Tuple[Snapshot, int]]) -> None:
        """Find out, from object maps, which objects each segment may touch."""
        base_map, maps = await self._load_maps()
        previous_id, previous = self.sync.start, base_map
        count = max(self.remote.max_object_count, self.local.max_object_count)
        for snapshot, local_id in pairs + [(self.sync.end, self._target_id)]:
            chain = [maps[s.id] for s in self.remote.snapshots
                     if previous_id < s.id <= snapshot.id]
            self._segments.append(Segment(
                snapshot.id, local_id, snapshot.size, self.remote.object_count(snapshot.size),
                touched_by(previous, chain, count),
                None if self._is_clone else maps[snapshot.id]))
            previous_id, previous = snapshot.id, maps[snapshot.id]
        if self.sync.dirty:
            await self._suspect_all_written(count)
        await self._suspect_rolled_back(maps, count)

    async def _load_maps(self) -> Tuple[Optional[ObjectMap], Dict[int, Optional[ObjectMap]]]:
        """The map before the first segment, and those of the primary's snapshots in the sync."""
        end = self.sync.end.id  # it may be the start: a copy that has it and does not say so
        later = [s.id for s in self.remote.snapshots
                 if s.id == end or self.sync.start < s.id < end]
        before, *found = await asyncio.gather(
            self._load_base_map(), *(self.source.load_map(self.remote, i) for i in later))
        return before, dict(zip(later, found))

    async def _load_base_map(self) -> Optional[ObjectMap]:
        base = self.sync.base
        if base is None:
            self._base_map = ObjectMap() if self._has_maps else None
            return ObjectMap()
        if not self._has_maps:
            return await self.source.load_map(self.remote, self.sync.start)
        self._base_map = await self.copy.load_map(self.local, base.id)
        if self._base_map is None:
            count = self.local.object_count(base.size)
            self._base_map = ObjectMap.filled(count, ObjectState.EXISTS)
            return None
        return self._base_map

    async def _suspect_rolled_back(self, maps: Dict[int, Optional[ObjectMap]], count: int) -> None:
        """The primary's maps do not tell what a rollback to a user snapshot changed.

        Those are objects that had changed since that snapshot.
        """
        carried = await self._changed_since_rollback_point(maps, count)
        for index, segment in enumerate(self._segments):
            carried = merged([segment.touched, carried])
            self._segments[index] = replace(segment, touched=carried)

    async def _changed_since_rollback_point(self, maps: Dict[int, Optional[ObjectMap]],
                                            count: int) -> Mask:
        """What changed here since the oldest user snapshot that may have been rolled back to."""
        base = self.sync.base
        points = [s for s in self.local.user_snapshots if base is not None and s.id < base.id]
        if base is None or not points:
            return b""
        span = [s.id for s in self.local.snapshots if points[0].id <= s.id <= base.id]
        ours = dict(zip(span, await asyncio.gather(*(
            self.copy.load_map(self.local, snap_id) for snap_id in span))))
        for point in points:
            own = await self._map_rolled_back_to(point, ours[point.id])
            if own is None or any(theirs is not None and may_be_rolled_back(own, theirs)
                                  for theirs in maps.values()):
                later = [ours[snap_id] for snap_id in span if snap_id > point.id]
                return merged(AllFrom(0, count) if one is None else marked_in(one)
                              for one in later)
        return b""

    async def _map_rolled_back_to(self, point: Snapshot,
                                  own: Optional[ObjectMap]) -> Optional[ObjectMap]:
        """The map that an image rolled back to a user snapshot has got.

        That of a clone names objects that a copy-up added: the primary's own has them all.
        """
        if not self._is_clone:
            return own
        origin = next((theirs for theirs, ours in self._older_pairs().items()
                       if ours == point.id), None)
        return None if origin is None else await self.source.load_map(self.remote, origin)

    async def _suspect_all_written(self, count: int) -> None:
        """An attempt at a snapshot that is gone since may have written more than the maps tell."""
        head = await self.copy.load_map(self.local) if self._has_maps else None
        mask = AllFrom(0, count) if head is None else marked_in(head)
        self._segments = [replace(segment, touched=merged([segment.touched, mask]),
                                  remote_map=segment.remote_map) for segment in self._segments]

    # --- data --------------------------------------------------------------------------------

    @property
    def _heir(self) -> Optional[Snapshot]:
        """The snapshot whose marks the first segment inherits, as it is removed after the sync."""
        base = self.sync.base
        return base if base is not None and _prunable(base) else None

    async def _copy_data(self) -> bool:
        """Copy what may differ; False when nothing may."""
        touched = merged(segment.touched for segment in self._segments)
        touched = from_first(touched, self._done)
        await self._save_maps_before()
        if not how_many(touched):
            if self._done and self._has_maps:
                await self._save_head_map(self._local_maps({})[-1])
            return False
        copier = await self._copy_objects(touched)
        await self._check_source()
        await self._save_maps_after(copier)
        return True

    @property
    def _done(self) -> int:
        """Objects below this number were copied by the attempt that is resumed."""
        resume = self.sync.resume
        return mirror(resume).last_copied_object_number if resume is not None else 0

    async def _save_maps_before(self) -> None:
        if not self._has_maps:
            return
        assert self._base_map is not None
        maps = self._saved_maps = self._local_maps({})
        await asyncio.gather(*(
            self.copy.save_map(one, segment.local_snap)
            for one, segment in zip(maps, self._segments)))
        if any(how_many(s.touched) for s in self._segments):
            await self.copy.save_map(head_before(self._base_map, self._segments))
        elif len(maps[-1]) != len(self._base_map):
            await self._save_head_map(maps[-1])

    async def _save_maps_after(self, copier: ObjectCopier) -> None:
        if not self._has_maps:
            return
        # What an attempt before this one wrote is marked too.
        if self.sync.resume is None and not self.sync.dirty:
            self._segments = [replace(segment, written=bytes(written)) for segment, written
                              in zip(self._segments, copier.written)]
        seen = {index: await seen_at_last(self.copy, self.local, self._segments[index], cells,
                                          self._done)
                for index, cells in copier.seen.items()}
        maps = self._local_maps(seen)
        if maps != self._saved_maps:
            await asyncio.gather(*(
                self.copy.save_map(one, segment.local_snap)
                for one, segment in zip(maps, self._segments)))
        await self._save_head_map(maps[-1])

    async def _save_head_map(self, last: ObjectMap) -> None:
        await self.copy.save_map(head_after(last, self._fast_diff))

    def _local_maps(self, seen: Dict[int, bytes]) -> List[ObjectMap]:
        assert self._base_map is not None
        carried = marked_in(self._base_map) if self._heir is not None else b""
        return local_maps(self._base_map, self._segments, self._fast_diff, carried, seen)

    async def _copy_objects(self, touched: Mask) -> ObjectCopier:
        header = await self._own_header()
        copy_up = of_parent(self.copy, header, self.means.budget, self.copy.check)
        copier = self._copier(header, copy_up)
        try:
            await self._copy_and_note(copier, touched)
            await self._mark_copied_up(copy_up, touched)
            return copier
        finally:
            copier.close()
            if copy_up is not None:
                await copy_up.close()

    def _copier(self, header: ImageHeader, copy_up: Optional[CopyUp]) -> ObjectCopier:
        pool = self.source.data_pool(self.remote)
        source = Source(pool, self.remote,
                        self.means.list_snaps(pool.pool_id, pool.namespace))
        return ObjectCopier(
            source, self.copy.data_pool(header), header, self.sync.start, self._segments,
            header.snap_ids, self.means.budget, self.copy.check,
            fresh=self.sync.start == 0 and self.sync.resume is None and not self.sync.dirty,
            compare=self.sync.dirty, copy_up=copy_up, takes_notes=self._has_maps)

    # --- clones ------------------------------------------------------------------------------

    async def _copy_up_lost_overlap(self) -> None:
        """Before the image shows less of its parent, have its snapshots show that without it.

        As librbd does where it shrinks or flattens a clone.  A first sync needs it not: the
        primary's snapshots have had the same done to them.
        """
        parent = self.local.parent
        wanted = self._least_overlap()
        if (self.sync.base is None or parent is None or parent.head_overlap is None
                or parent.head_overlap <= wanted):
            return
        copy_up = of_parent(self.copy, self.local, self.means.budget, self.copy.check)
        assert copy_up is not None
        try:
            mask = bytearray(copy_up.objects)
            for number in copy_up.shrinking(wanted):
                mask[number] = 1
            await fill_all(copy_up, numbers(mask))
            await self._mark_copied_up(copy_up, bytes(mask))
        finally:
            await copy_up.close()

    def _least_overlap(self) -> int:
        return min(s.parent_overlap or 0 for s in (*self.remote.user_snapshots, self.sync.end)
                   if self.sync.start < s.id <= self.sync.end.id or s == self.sync.end)

    async def _mark_copied_up(self, copy_up: Optional[CopyUp], looked_at: Mask) -> None:
        """Have the object maps of older snapshots name what was copied up.

        An attempt before this one may have filled objects and died: those are looked for.
        """
        if copy_up is None or not self._has_maps:
            return
        first = self._segments[0].local_snap if self._segments else NOSNAP
        older = [s.id for s in self.local.snapshots if s.id < first]
        candidates = [n for n in numbers(looked_at[:copy_up.objects]) if n not in copy_up.filled]
        named: Set[int] = set()
        for snap_id in [*older, None] if first == NOSNAP else older:
            known = await self.copy.load_map(self.local, snap_id)
            if known is None:
                continue
            there = copy_up.filled | await existing_at(
                self.copy, self.local,
                [n for n in candidates if n < len(known) and not known[n]], snap_id)
            news = {n for n in there if n < len(known) and not known[n]}
            if news:
                with_news = with_copied_up(known, news, named if self._fast_diff else set())
                await self.copy.save_map(with_news, snap_id)
                if self.sync.base is not None and snap_id == self.sync.base.id:
                    self._base_map = with_news
            named |= news

    # --- the copying itself ------------------------------------------------------------------

    async def _copy_and_note(self, copier: ObjectCopier, touched: Mask) -> None:
        progress = Progress(how_many(touched))
        self.report.progress, self.report.statistics = progress, copier.statistics
        beside = () if self._is_demotion else (self._note(progress),)
        await self._hold.during(copy_all(copier, numbers(touched), progress), *beside)

    async def _note(self, progress: Progress) -> None:
        """Note now and then how far we are.

        The daemon resumes one object after the number noted, we at it: so the number of the last
        object that is finished serves both.  Of a demotion nothing is noted: a daemon would carry
        on with it as an ordinary copy, which nobody could promote; so it begins it anew.
        """
        noted = 0
        while True:
            await asyncio.sleep(self.means.progress_seconds)
            last = progress.contiguous - 1
            if last > noted:
                await self.copy.set_progress(self._target_id, last)
                noted = last

    async def _check_source(self) -> None:
        """Raise NotReady when the snapshot that was copied went away under us."""
        header = await self.source.header()
        if header is None or header.snapshot(self.sync.end.id) is None:
            raise NotReady("the primary removed the snapshot while it was being copied; "
                           "it is copied again from the next")


async def remove_superfluous(copy: Copy, header: ImageHeader, snapshot: Snapshot,
                             merged: bool = False) -> None:
    """Remove a mirror snapshot that a later one of the copy has made superfluous.

    As Image.remove_snapshot.  With an attempt at a demotion goes what was made ready for showing
    that, if it never came to it.
    """
    kept_for_it = demoted_id(snapshot)
    if kept_for_it is not None and header.snapshot(kept_for_it) is None:
        await copy.remove_snapshot_objects(header, kept_for_it)
    await copy.remove_snapshot(header, snapshot, merged=merged)


def _still_copy(header: Optional[ImageHeader]) -> ImageHeader:
    if header is None or not header.features & Feature.NON_PRIMARY:
        raise NotReady("the local image was promoted or removed meanwhile")
    return header


def _prunable(snapshot: Snapshot) -> bool:
    """A complete or abandoned copy that no peer waits for."""
    namespace = mirror(snapshot)
    return namespace.is_non_primary and not namespace.peer_uuids


