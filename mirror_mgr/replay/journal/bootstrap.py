"""Makes the copy of an image that is mirrored by its journal, and its first content.

The content is that of a snapshot made for this, the sync point.  The copy's place in the primary's
journal is from before it: what the journal then says once more does no harm.
"""

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import Awaitable, Callable, Dict, List, Optional, Tuple

import rbd

from ...cluster.pool import Pool
from ...errors import AlreadyExists, NotFound, NotReady, ReadOnly
from ...wire import cls_rbd
from ...wire.constants import Feature, ImageMode, MirrorImageState, ObjectState, Protection
from ...wire.header import MIRRORING, ImageHeader, ParentLink
from ...wire.journal import JournalHeader, PeerClientData, PeerState, SyncPoint
from ...wire.mirror import MirrorImage
from ...wire.object_map import Mask, ObjectMap, from_first, how_many, merged, numbers
from ...wire.snapshot import Snapshot, UserNamespace
from ...wire.watch_notify import encode_image_updated
from .. import create, trash
from ..copyup import CopyUp, of_parent, seen_at_last
from ..hold import Hold
from ..image import Copy, Image
from ..maps import Segment, head_after, head_before, local_maps, touched_by
from ..objects import ObjectCopier, Progress, Source, Statistics, copy_all
from ..scan import Link
from ..shape import set_shape
from ..snapshot import Means
from .store import ImageJournal

log = logging.getLogger(__name__)

_NOT_COPIED = Feature.OPERATIONS | Feature.MIGRATING | Feature.NON_PRIMARY
_PROGRESS_SECONDS = 2.0


async def create_copy(pool: Pool, source: Image, header: ImageHeader, journal: ImageJournal,
                      global_id: str, find_name: Callable[[], Awaitable[str]], link: Link,
                      parent: Optional[ParentLink]) -> Copy:
    """Create the copy, empty, owned by the other site; return it.

    `parent` is what it is to be a clone of here, found by the `header`.  `find_name` returns what
    the primary is called now.  Until the copy is whole its mirror image is `creating`,
    by which whoever comes later knows that it may be cleared away.  Its journal is there before
    that: without one a daemon can't.  Raise AlreadyExists when another image has the name, NotReady
    when the primary has just got or lost its parent.
    """
    await _forget_last_try(pool, journal, link)
    await create.require_free(pool, await find_name())
    copy = Copy(pool, create.new_id(pool))
    await journal.register(link.local_uuid, PeerClientData(copy.id, PeerState.SYNCING))
    # What changed before, no entry of the journal will tell us.
    header = await _present_header(source, header.parent)
    name = await find_name()
    await ImageJournal(pool, copy.id).create(link.remote_uuid)
    await _set_state(copy, global_id, MirrorImageState.CREATING)
    await create.create_header(copy, source, header, header.features & ~_NOT_COPIED, parent)
    if header.metadata:
        await pool.call(copy.header_oid, cls_rbd.metadata_set(header.metadata))
    try:
        await create.add_to_directory(pool, name, copy.id)
    except AlreadyExists:
        await discard(copy, name, global_id, link)
        await journal.unregister(link.local_uuid)
        raise
    await _set_state(copy, global_id, MirrorImageState.ENABLED)
    # The other site is to register in the copy's journal before the copy may ever be promoted.
    await pool.notify(MIRRORING, encode_image_updated(copy.id, global_id))
    return copy


async def _present_header(source: Image, parent: Optional[ParentLink]) -> ImageHeader:
    header = await source.header()
    if header is None or header.parent != parent:
        raise NotReady("the image was changed at the primary site while its copy was being made")
    return header


async def _set_state(copy: Copy, global_id: str, state: MirrorImageState) -> None:
    await copy.pool.call(MIRRORING, cls_rbd.mirror_image_set(copy.id, MirrorImage(
        global_id, state, ImageMode.JOURNAL)))


async def discard(copy: Copy, name: str, global_id: str, link: Link) -> None:
    """Clear away a copy that is still `creating`.  May be repeated.

    It has no data yet.  Raise AlreadyExists when it is more than what :func:`create_copy` makes.
    """
    header, journal = await copy.header(), await ImageJournal(copy.pool, copy.id).header()
    if not is_half_made(header, journal, link):
        raise AlreadyExists(
            f"image {name!r} counts as a copy that is being made, but is in use; to keep it, "
            "disable its mirroring here with --force and rename it, or else remove it")
    await trash.move_to_trash(copy, name, global_id, 0, ImageMode.JOURNAL)


def is_half_made(header: Optional[ImageHeader], journal: Optional[JournalHeader],
                 link: Link) -> bool:
    """Whether an image that is `creating` is nothing but a copy that is not made yet.

    One that is being enabled here is not: its journal is its own.
    """
    if header is not None and header.snapshots:
        return False
    last = journal.last_tag if journal is not None else None
    return last.owner == link.remote_uuid if last is not None else header is None


async def _forget_last_try(pool: Pool, journal: ImageJournal, link: Link) -> None:
    """Take back the registration, and the journal that a try left which got no further.

    What image the registration names is the other site's word: one that exists is left alone.
    """
    header = await journal.header()
    known = header.peer(link.local_uuid) if header is not None else None
    if known is not None and known.image_id:
        await _remove_lone_journal(pool, known.image_id, link)
    await journal.unregister(link.local_uuid)


async def _remove_lone_journal(pool: Pool, image_id: str, link: Link) -> None:
    journal = ImageJournal(pool, image_id)
    header = await journal.header()
    if header is None or any(tag.owner != link.remote_uuid for tag in header.tags):
        return
    if await Image(pool, image_id).header() is None:
        await journal.remove()


class FirstSync:
    """Gives a new copy its first content.  `data` is what the primary's journal has of us.

    `fresh`: nobody wrote to the copy yet.
    """

    def __init__(self, copy: Copy, source: Image, journal: ImageJournal, data: PeerClientData,
                 link: Link, means: Means, hold: Hold,
                 fresh: bool) -> None:
        self.progress: Optional[Progress] = None
        self.statistics = Statistics()
        self._copy = copy
        self._source = source
        self._journal = journal
        self._data = data
        self._link = link
        self._means = means
        self._hold = hold
        self._fresh = fresh

    async def run(self) -> None:
        """May be repeated after a failure at any point; finished objects are not copied again."""
        remote, point = await self._sync_point()
        local = await self._local_header()
        pairs = await self._make_snapshots(local, remote, point)
        await self._note(snap_seqs=dict(pairs))
        await self._copy_content(remote, pairs)
        if local.snap_limit != remote.snap_limit:
            await self._copy.pool.call(
                self._copy.header_oid, cls_rbd.snapshot_set_limit(remote.snap_limit))
        await self._remove_snapshot(point.name)
        await self._note(sync_points=(), state=PeerState.REPLAYING)

    # --- the sync point -------------------------------------------------------------------------

    async def _sync_point(self) -> Tuple[ImageHeader, Snapshot]:
        """The snapshot to copy from, made unless a try before this one did so."""
        for point in self._data.sync_points[1:]:
            await self._remove_snapshot(point.snap_name)
        await self._note(sync_points=self._data.sync_points[:1])
        for point in self._data.sync_points:
            remote = await self._remote_header()
            found = _named(remote, point.snap_name)
            if found is not None:
                return remote, found
        name = f".rbd-mirror.{self._link.local_uuid}.{uuid.uuid4()}"
        await self._note(sync_points=(SyncPoint(name),), sync_object_count=0)
        await self._source.pool.connection.run(
            _create_snapshot, self._source.pool, self._source.id, name)
        remote = await self._remote_header()
        found = _named(remote, name)
        if found is None:
            raise NotReady("the sync point was removed at the primary")
        return remote, found

    async def _remove_snapshot(self, name: str) -> None:
        """Remove a sync point at the primary; one that was demoted meanwhile keeps it."""
        try:
            await self._source.pool.connection.run(
                _remove_snapshot, self._source.pool, self._source.id, name)
        except NotFound:
            pass
        except ReadOnly as error:
            log.info("%s", error)

    async def _local_header(self) -> ImageHeader:
        header = await self._copy.header()
        if header is None:
            raise NotReady("the copy was removed while it was being made")
        return header

    async def _remote_header(self) -> ImageHeader:
        header = await self._source.header()
        if header is None:
            raise NotReady("the primary was removed while it was being copied")
        return header

    async def _note(self, **changes: object) -> None:
        data = self._data.replaced(**changes)
        if data != self._data or data.snap_seqs != self._data.snap_seqs:
            await self._journal.update(self._link.local_uuid, data)
            self._data = data

    # --- snapshots ------------------------------------------------------------------------------

    async def _make_snapshots(self, local: ImageHeader, remote: ImageHeader,
                              point: Snapshot) -> List[Tuple[int, int]]:
        """Make the primary's snapshots here; return ids of theirs with those of ours.

        Those that the primary has no longer are of a sync point that is gone.
        """
        wanted = [s for s in remote.user_snapshots if s.id <= point.id]
        by_name = {s.name: s.id for s in local.user_snapshots}
        for snapshot in reversed(local.user_snapshots):
            if snapshot.name not in {s.name for s in wanted}:
                await self._copy.remove_snapshot(local, snapshot)
        missing = [s for s in wanted if s.name not in by_name]
        ids = await self._copy.data_pool(local).new_snap_ids(len(missing))
        for snapshot, snap_id in zip(missing, ids):
            local = await set_shape(self._copy, local, snapshot, remote)
            if local.features & Feature.OBJECT_MAP:
                # Whoever goes on with this sync, be it a daemon, takes it that there is one.
                count = local.object_count(snapshot.size)
                await self._copy.save_map(ObjectMap.filled(count, ObjectState.EXISTS), snap_id)
            await self._copy.add_snapshot(snapshot.name, snap_id, UserNamespace())
            if snapshot.protection == Protection.PROTECTED:
                await self._copy.protect(snap_id, Protection.PROTECTED)
            by_name[snapshot.name] = snap_id
        await set_shape(self._copy, local, point, remote)
        return [(s.id, by_name[s.name]) for s in wanted]

    # --- content --------------------------------------------------------------------------------

    @property
    def _first(self) -> int:
        """The first object that is not known to be copied whole."""
        points = self._data.sync_points
        noted = points[0].object_number if points else None
        return 0 if noted is None else noted + 1

    async def _copy_content(self, remote: ImageHeader, pairs: List[Tuple[int, int]]) -> None:
        local = await self._local_header()
        segments = await self._segments(local, remote, pairs)
        touched = merged(segment.touched for segment in segments)
        first = min(self._first, len(touched))
        has_maps = bool(local.features & Feature.OBJECT_MAP)
        if has_maps:
            await self._copy.save_map(head_before(ObjectMap(), segments))
        await self._note(sync_object_count=len(touched))
        copy_up = of_parent(self._copy, local, self._means.budget, self._hold.check)
        copier = self._copier(local, remote, segments, copy_up)
        try:
            await self._copy_objects(copier, from_first(touched, first))
        finally:
            copier.close()
            if copy_up is not None:
                await copy_up.close()
        if has_maps:
            await self._save_maps(local, segments, copier, first)
        await self._copy.notify()

    def _copier(self, local: ImageHeader, remote: ImageHeader, segments: List[Segment],
                copy_up: Optional[CopyUp]) -> ObjectCopier:
        pool = self._source.data_pool(remote)
        source = Source(pool, remote, self._means.list_snaps(pool.pool_id, pool.namespace))
        return ObjectCopier(
            source, self._copy.data_pool(local), local, 0, segments, local.snap_ids,
            self._means.budget, self._hold.check, fresh=self._fresh, compare=not self._fresh,
            copy_up=copy_up, takes_notes=bool(local.features & Feature.OBJECT_MAP))

    async def _segments(self, local: ImageHeader, remote: ImageHeader,
                        pairs: List[Tuple[int, int]]) -> List[Segment]:
        maps: Dict[int, Optional[ObjectMap]] = {}
        for theirs, _ in pairs:
            maps[theirs] = await self._source.load_map(remote, theirs)
        segments: List[Segment] = []
        previous: Optional[ObjectMap] = ObjectMap()
        count = remote.max_object_count
        # Copy-ups add objects to snapshots of the primary at any time: no map tells for sure.
        is_clone = local.parent is not None or remote.parent is not None
        for theirs, ours in pairs:
            snapshot = remote.snapshot(theirs)
            assert snapshot is not None
            segments.append(Segment(
                theirs, ours, snapshot.size, remote.object_count(snapshot.size),
                touched_by(previous, [maps[theirs]], count), None if is_clone else maps[theirs]))
            previous = maps[theirs]
        return segments

    async def _copy_objects(self, copier: ObjectCopier, touched: Mask) -> None:
        self.progress, self.statistics = Progress(how_many(touched)), copier.statistics
        await self._hold.during(copy_all(copier, numbers(touched), self.progress),
                                self._record(self.progress))

    async def _record(self, progress: Progress) -> None:
        """Note now and then the last object up to which all are copied."""
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            last = progress.contiguous - 1
            if last >= self._first:
                [point] = self._data.sync_points
                await self._note(sync_points=(replace(point, object_number=last),))

    async def _save_maps(self, local: ImageHeader, segments: List[Segment], copier: ObjectCopier,
                         first: int) -> None:
        if self._fresh:
            # The primary's maps name more than that: what was flattened, say, or freed in vain.
            segments = [replace(segment, written=bytes(written))
                        for segment, written in zip(segments, copier.written)]
        seen = {index: await seen_at_last(self._copy, local, segments[index], cells, first)
                for index, cells in copier.seen.items()}
        fast_diff = bool(local.features & Feature.FAST_DIFF)
        maps = local_maps(ObjectMap(), segments, fast_diff, seen=seen)
        for one, segment in zip(maps, segments):
            await self._copy.save_map(one, segment.local_snap)
        await self._copy.save_map(head_after(maps[-1], fast_diff))


def _named(header: ImageHeader, name: str) -> Optional[Snapshot]:
    return next((s for s in header.user_snapshots if s.name == name), None)


def _create_snapshot(pool: Pool, image_id: str, name: str) -> None:
    """Blocking; the client that holds the image's lock makes it."""
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.create_snap(name)


def _remove_snapshot(pool: Pool, image_id: str, name: str) -> None:
    with rbd.Image(pool.ioctx, image_id=image_id) as image:
        image.remove_snap(name)
