"""One mirrored image: looks at both sides, does what the plan says, tells how it stands."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Callable, List, Literal, Optional, Union

from .. import states
from ..cluster.pool import Pool, Watch
from ..errors import Busy, Fenced, MalformedData, MirrorError, NotFound, NotReady, OutOfSpace
from ..replay import create, naming, parent, resync, scan, trash, unlink
from ..replay.image import Copy, Image, mirrored_as
from ..replay.snapshot import Means, SnapshotSync, remove_superfluous
from ..waiting import heard
from ..wire import cls_rbd
from ..wire.constants import Feature, ImageMode, MirrorImageState, StatusState
from ..wire.header import DIRECTORY, MIRRORING, ImageHeader, ParentLink
from ..wire.snapshot import Snapshot
from ..wire.watch_notify import ImageOp, decode_image
from . import settings, status
from .status import ImageStatus, Meter, SyncHistory, Syncing

log = logging.getLogger(__name__)

_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_YIELD_SECONDS = 2.0
# How often a clone looks whether its parent is there.
_PARENT_SECONDS = 3.0
# How often a copy that waits for its name looks whether it is free.
NAME_SECONDS = 3.0
# A mirror snapshot is announced twice, before and after it is complete.
_SETTLE_SECONDS = 0.03
# How often it is looked whether a full pool has room again.
_FULL_SECONDS = 5.0
# A sync is worth telling of when it takes longer than this.
_TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Mirrored:
    """An image as the two `rbd_mirroring` objects name it; `local_id` None: no copy yet."""

    global_id: str
    remote_id: str
    local_id: Optional[str]
    local_state: Optional[MirrorImageState]
    mode: ImageMode = ImageMode.SNAPSHOT


class Gate(asyncio.Semaphore):
    """Lets `size` through at one time; counts those that are through and those that wait."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size
        self.running = self.waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            await super().acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        return True

    def release(self) -> None:
        self.running -= 1
        super().release()


@dataclass
class Gates:
    """How many images of a worker may do a thing at one time."""

    looking: asyncio.Semaphore
    syncing: Gate


class ImageReplayer:
    """Replays one snapshot-mode image until cancelled.

    `publish` is called with each new status.  `since` is when the image came to stand as it does;
    `syncing` is None when nothing is copied; `copied_ns` is when the primary was as the copy is,
    None before anything is known of that; `newest_ns` is when it took its newest mirror snapshot.
    """

    def __init__(self, local: Pool, remote: Pool, link: scan.Link, means: Callable[[], Means],
                 mirrored: Mirrored, gates: Gates,
                 publish: Callable[["ImageReplayer"], None]) -> None:
        self.mirrored = mirrored
        self.name = ""
        self._is_name_known = False
        # The name that the copy is to have as soon as no other image has it.
        self._awaited_name: Optional[str] = None
        self.status: ImageStatus = status.starting()
        self.since = time.time()
        self.syncing: Optional[Syncing] = None
        self.copied_ns: Optional[int] = None
        self.newest_ns = 0
        self.history = SyncHistory()
        self._local = local.fork()
        self._source = Image(remote, mirrored.remote_id)
        self._link = link
        self._means = means
        self._gates = gates
        self._publish = publish
        self._copy = Copy(self._local, mirrored.local_id) if mirrored.local_id else None
        self._created = mirrored.local_state != MirrorImageState.CREATING
        self._watch: Optional[Watch] = None
        self._news = asyncio.Event()
        self._failures = 0
        self._requested: Optional[int] = None
        self._note = ""
        self._synced_to: Optional[int] = None
        self._only_remote = False
        self._flushes: List["asyncio.Future[None]"] = []

    @property
    def copy_id(self) -> Optional[str]:
        """The id of the local image, None while there is none."""
        return self._copy.id if self._copy else None

    @property
    def is_current(self) -> bool:
        """Whether the copy is known to have, at this moment, all that the primary has."""
        return False

    @property
    def as_found(self) -> Mirrored:
        """The image as a replayer that takes over from this one finds it."""
        state = MirrorImageState.ENABLED if self._created else MirrorImageState.CREATING
        return replace(self.mirrored, local_id=self.copy_id,
                       local_state=state if self._copy else None)

    def wake(self) -> None:
        """Look at the image again soon."""
        self._only_remote = False
        self._news.set()

    def _header_notified(self, payload: bytes) -> None:
        """The primary's header: a change is news, its clients' talk about the lock is not."""
        try:
            if decode_image(payload).op != ImageOp.HEADER_UPDATE:
                return
        except MalformedData:
            pass
        if not self._news.is_set():
            self._only_remote = True
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._news.set)

    def wake_if_stopped(self) -> None:
        """Look again at an image whose header is not watched: only the poll tells of news there."""
        if self._watch is None:
            self.wake()

    async def run(self) -> None:
        """Until cancelled; raise Fenced when this client was blocklisted."""
        self._publish(self)
        try:
            while True:
                self._news.clear()
                flushes = len(self._flushes)
                pause = await self._attempt()
                if pause:
                    _end_all(self._flushes[:flushes])
                    del self._flushes[:flushes]
                if not await heard(self._news, pause):
                    self._only_remote = False
        finally:
            _end_all(self._flushes)
            await self._unwatch()
            self._local.close()

    async def stand_still(self) -> None:
        """In place of :meth:`run`: only say that an administrator stopped the image."""
        try:
            await self._know_name()
        except Fenced:
            raise
        except Exception as error:
            log.info("image %s: its name is not known: %s", self.mirrored.global_id, error)
        self._tell(status.stopped_by_hand())
        try:
            await asyncio.Event().wait()
        finally:
            _end_all(self._flushes)
            self._local.close()

    async def flush(self) -> None:
        """Wait until what the primary has now is here, or it is clear that it can't be."""
        if self.status.state in (StatusState.STARTING_REPLAY, StatusState.REPLAYING):
            done: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
            self._flushes.append(done)
            self.wake()
            await done

    async def _attempt(self) -> float:
        """Look and act once; return the seconds until the next look if nothing happens before."""
        try:
            again = await self._step()
            self._failures = 0
            if again:
                return 0.0
            pause = settings.check_seconds(self._local.connection.conf_get)
            return pause if self._awaited_name is None else min(pause, NAME_SECONDS)
        except Fenced:
            raise
        except (NotReady, Busy) as error:
            log.info("image %s: %s", self.name, error)
            self._note = str(error)
            self._tell(replace(self.status, standing=states.WAITING, reason=self._note,
                               details={**self.status.details, "note": self._note}))
            # Whoever needs the image gets the time to take it, whatever news comes in.
            await asyncio.sleep(_YIELD_SECONDS)
        except OutOfSpace as error:
            self._tell(status.failed(str(error)))
            return _FULL_SECONDS
        except MirrorError as error:
            self._tell(status.failed(str(error)))
        except Exception as error:
            log.exception("image %s: please report this as a bug", self.name)
            self._tell(status.failed(f"internal error: {error}; see the worker's log"))
        pause = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
        self._failures += 1
        return pause

    async def _step(self) -> bool:
        """One look and what follows from it; whether to look again at once."""
        only_remote, self._only_remote = self._only_remote, False
        async with self._gates.looking:
            remote = await self._remote_header()
            if only_remote and self._has_nothing_new(remote):
                return False
            local = await self._local_header()
        if local is not None and self._is_resync_wanted(local, remote):
            await self._drop_copy()
            return True
        if local is not None and not local.features & Feature.NON_PRIMARY:
            await self._forget_resync(local)
        elif local is not None and _newest_complete(local) is not None:
            await self._first_snapshot_made()
        plan = scan.plan(self.mirrored.global_id, local, remote, self._link)
        await self._clean_up(plan, local, remote)
        if plan.drop_local:
            return True  # the local header is another one now
        action = plan.action
        if isinstance(action, scan.Sync):
            if not await self._sync(action, local, remote):
                return False
            if self._awaited_name is not None:
                return True
            return self._news.is_set() or scan.mirror(action.end).is_demoted
        if not isinstance(action, scan.Idle):
            self._synced_to = None
            # Who is not the copy now may be renamed here by anybody before it is.
            self._is_name_known, self._awaited_name = False, None
        else:
            await self._take_awaited_name()
        if isinstance(action, scan.NeedsSnapshot) and await self._request(action):
            return True
        await self._tell_standing(action, local, remote)
        return False

    def _has_nothing_new(self, remote: ImageHeader) -> bool:
        """Whether the primary is where the last sync left it: then the copy need not be read."""
        if self._synced_to is None or remote.features & Feature.NON_PRIMARY:
            return False
        return not any(s.id > self._synced_to and scan.mirror(s).complete
                       for s in remote.mirror_snapshots)

    async def _remote_header(self) -> ImageHeader:
        """Read the primary's header, watched first so that no change is missed."""
        await self._ensure_watch()
        remote = await self._source.header()
        if remote is None:
            raise NotFound("remote image does not exist")
        return remote

    async def _local_header(self) -> Optional[ImageHeader]:
        await self._know_name()
        if self._copy is None:
            await self._find_copy()
        if self._copy is None:
            return None
        local = await self._copy.header()
        if not self._created and (local is None or not local.mirror_snapshots):
            await create.discard(self._local, self._copy.id, self.mirrored.global_id, self.name)
            self._copy = None
            return None
        if local is None:
            raise NotFound(f"image {self.name!r} is mirrored but has no header here; "
                           "disable and enable its mirroring")
        return local

    async def _find_copy(self) -> None:
        """One that was begun in a try that was cut short, after the pool was listed."""
        image_id = await mirrored_as(self._local, self.mirrored.global_id)
        if image_id is None:
            return
        try:
            entry = cls_rbd.decode_mirror_image_get(await self._local.call(
                MIRRORING, cls_rbd.mirror_image_get(image_id)))
        except NotFound:
            return
        if entry.mode == self.mirrored.mode and entry.state in (
                MirrorImageState.ENABLED, MirrorImageState.CREATING):
            self._copy = Copy(self._local, image_id)
            self._created = entry.state != MirrorImageState.CREATING

    async def _know_name(self) -> None:
        if not self._is_name_known:
            await self._learn_name()
            self._is_name_known = True
            if self._copy is not None:
                waits_for = naming.waits_for(self.name, self._copy.id)
                if waits_for is not None or self._awaited_name == self.name:
                    self._awaited_name = waits_for

    async def _learn_name(self) -> str:
        self.name = await self._find_name()
        return self.name

    async def _take_awaited_name(self) -> None:
        """Give the copy the name of its primary, if that was another image's and is free now."""
        if self._awaited_name is None or self._copy is None:
            return
        self.name = await naming.rename(self._copy, self.name, self._awaited_name)
        if self.name == self._awaited_name:
            self._awaited_name = None
            await self._copy.notify()

    async def _find_name(self) -> str:
        if self._copy is not None:
            try:
                return cls_rbd.decode_dir_get_name(await self._local.call(
                    DIRECTORY, cls_rbd.dir_get_name(self._copy.id)))
            except NotFound:
                pass
        return cls_rbd.decode_dir_get_name(await self._source.pool.call(
            DIRECTORY, cls_rbd.dir_get_name(self._source.id)))

    def _is_resync_wanted(self, local: ImageHeader, remote: ImageHeader) -> bool:
        """Whether `rbd mirror image resync` was asked for and there is a primary to copy anew from.

        Without one the copy may be the last good one: it is kept.
        """
        return (resync.is_asked(local, self._link.local_uuid)
                and bool(local.features & Feature.NON_PRIMARY)
                and not remote.features & Feature.NON_PRIMARY
                and any(scan.mirror(s).complete for s in remote.mirror_snapshots))

    async def _forget_resync(self, local: ImageHeader) -> None:
        if self._copy is not None and resync.is_asked(local, self._link.local_uuid):
            log.info("image %s: it was promoted, so the resync asked for before is off", self.name)
            await resync.forget(self._local, self._copy.id, self._link.local_uuid)

    async def _drop_copy(self) -> None:
        assert self._copy is not None
        self._tell(status.resyncing())
        await trash.move_to_trash(self._copy, self.name, self.mirrored.global_id,
                                  trash.delay_seconds(self._local.connection))
        self._copy = None
        self._created = False

    async def _clean_up(self, plan: scan.Plan, local: Optional[ImageHeader],
                        remote: ImageHeader) -> None:
        if self._copy is not None and local is not None:
            for snapshot in plan.drop_local:
                await remove_superfluous(self._copy, local, snapshot)
            if plan.drop_local:
                await self._copy.notify()
        for snapshot in plan.unlink_remote:
            await self._unlink(remote, snapshot)

    async def _unlink(self, remote: ImageHeader, snapshot: Snapshot) -> None:
        await unlink.unlink(self._source, remote, snapshot, self._link.peer_uuid, self._watch)

    async def _request(self, action: scan.NeedsSnapshot) -> bool:
        """Have the primary make the snapshot without which the copy would never start."""
        if self._requested == action.snap_id:
            return False
        self._requested = action.snap_id
        await unlink.request_snapshot(self._source)
        return True

    async def _sync(self, action: scan.Sync, local: Optional[ImageHeader],
                    remote: ImageHeader) -> bool:
        """Carry out a sync; False when its time has not come."""
        await self._local.require_room()
        if self._copy is None:
            link = await self._parent(remote, parent.needed_overlap(remote, action.end))
            if isinstance(link, (scan.Waiting, scan.Broken)):
                self._wait_for_parent(link)
                return False
            # Since it was looked up last the primary may have been renamed.
            await self._learn_name()
            self._copy = await create.create(self._local, self._source, remote,
                                             self.mirrored.global_id, self.name, link)
            self._created = False
        if local is None:
            local = await self._local_header_after_creation()
        sync = SnapshotSync(self._copy, self._source, self.mirrored.global_id, self.name,
                            self._link, self._means(), action, local, remote)
        if self._gates.syncing.locked():
            self._note = "other images are synced first, as concurrent_syncs orders"
            self._tell(self._replaying(remote, self.copied_ns, sync.inherited))
        async with self._gates.syncing:
            self._note = ""
            started = time.monotonic()
            telling = asyncio.ensure_future(self._tell_progress(sync, action, remote))
            try:
                self.name = await sync.run(self._first_snapshot_made)
                self._awaited_name = sync.awaited_name
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                self.syncing = None
        self.history.add(sync.report.statistics.bytes_read, time.monotonic() - started)
        self._tell(self._replaying(remote, action.end.timestamp_ns, sync.inherited))
        self._synced_to = action.end.id
        await asyncio.gather(sync.finish(), self._unlink_older(remote, action))
        return True

    async def _parent(self, remote: ImageHeader, overlap: Optional[int]
                      ) -> Union[None, ParentLink, scan.Waiting, scan.Broken]:
        """What a new copy is to be a clone of, None for nothing; or why it can't be yet.

        `overlap`: how many bytes of the parent it is to show.
        """
        if remote.parent is None or not overlap:
            return None
        return await parent.find(self._local, self._source.pool, remote.parent, overlap)

    def _wait_for_parent(self, missing: Union[scan.Waiting, scan.Broken]) -> None:
        broken = isinstance(missing, scan.Broken)
        self._tell(status.failed(missing.reason) if broken else status.waiting(missing.reason))
        asyncio.get_running_loop().call_later(_PARENT_SECONDS, self._news.set)

    async def _local_header_after_creation(self) -> ImageHeader:
        assert self._copy is not None
        header = await self._copy.header()
        if header is None:
            raise NotReady("the copy was removed while it was being made")
        return header

    async def _first_snapshot_made(self) -> None:
        if not self._created:
            assert self._copy is not None
            await create.enable(self._copy, self.mirrored.global_id)
            self._created = True

    async def _unlink_older(self, remote: ImageHeader, action: scan.Sync) -> None:
        for snapshot in scan.superseded(remote, action.end.id, self._link):
            await self._unlink(remote, snapshot)

    # --- the watch on the primary's header ------------------------------------------------------

    async def _ensure_watch(self) -> None:
        if self._watch is None:
            try:
                self._watch = await self._source.pool.watch(
                    self._source.header_oid, self._header_notified, self._watch_lost)
            except OutOfSpace:
                log.info("image %s: its pool at the primary is full; it is polled", self.name)

    def _watch_lost(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.ensure_future(watch.close())
        self.wake()

    async def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()

    # --- status ---------------------------------------------------------------------------------

    async def _tell_standing(self, action: scan.Action, local: Optional[ImageHeader],
                             remote: ImageHeader) -> None:
        base = _newest_complete(local)
        if isinstance(action, scan.Stopped):
            # A promotion at the other site waits for watches like ours to end.
            await self._unwatch()
            self._tell(self._stopped(action.reason, local, remote))
        elif isinstance(action, scan.Broken):
            self.copied_ns = None if action.split_brain and base and scan.mirror(
                base).is_primary else _copied_ns(base, remote)
            cure = f"; make it anew: {self._resync_command}" if action.resync else ""
            self._tell(status.failed(action.reason + cure, action.split_brain))
        else:
            self._note = _what_is_missing(action) or await self._name_in_the_way()
            self._tell(self._replaying(
                remote, _copied_ns(base, remote),
                scan.inherited(self.mirrored.global_id, base)))

    @property
    def _resync_command(self) -> str:
        pool = self._local.connection.pool_name(self._local.pool_id)
        spec = "/".join(filter(None, (pool, self._local.namespace, self.name)))
        return f"ceph rbd-mirror image resync {spec}"

    def _stopped(self, reason: str, local: Optional[ImageHeader],
                 remote: ImageHeader) -> ImageStatus:
        if reason == scan.LOCAL_IS_PRIMARY:
            return status.primary(self._split(local, remote))
        if reason == scan.NO_PRIMARY:
            return status.no_primary()
        return (status.demoted(reason) if reason.startswith("remote image")
                else status.stopped(reason))

    def _split(self, local: Optional[ImageHeader], remote: ImageHeader) -> str:
        """What makes the image, which is primary here, one half of a split-brain."""
        if not remote.features & Feature.NON_PRIMARY:
            return status.PRIMARY_AT_BOTH
        if local is not None and scan.has_its_own_changes(remote, local, self._link.turned()):
            return status.HAS_ITS_OWN_CHANGES
        return ""

    async def _name_in_the_way(self) -> str:
        if self._awaited_name is None:
            return ""
        return await naming.why_not(self._local, self._awaited_name)

    def _replaying(self, remote: ImageHeader, local_ns: Optional[int],
                   inherited: bool) -> ImageStatus:
        self.copied_ns = local_ns
        snapshots = remote.mirror_snapshots
        self.newest_ns = snapshots[-1].timestamp_ns if snapshots else 0
        return status.replaying(self.history, self.newest_ns, local_ns, inherited, self.syncing,
                                self._note)

    async def _tell_progress(self, sync: SnapshotSync, action: scan.Sync,
                             remote: ImageHeader) -> None:
        source = remote.snapshot(action.start)
        meter = Meter(action.end.id, action.end.timestamp_ns, time.monotonic())
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            done = sync.report.progress
            self.syncing = meter.measure(
                time.monotonic(), done.done if done else 0, done.total if done else 1,
                sync.report.statistics.bytes_read)
            self._tell(self._replaying(
                remote, source.timestamp_ns if action.base and source else None, sync.inherited))

    def _tell(self, new: ImageStatus) -> None:
        if (new.state, new.text) != (self.status.state, self.status.text):
            log.info("image %s (%s): %s", self.name, self.mirrored.global_id, new.text)
        if new.standing != self.status.standing:
            self.since = time.time()
        if new.details:
            new = replace(new, details={**new.details, "standing": new.standing,
                                        "standing_since": int(self.since)})
        if new != self.status or new.details != self.status.details:
            self.status = new
            self._publish(self)


def _what_is_missing(action: scan.Action) -> str:
    if isinstance(action, scan.Waiting):
        return action.reason
    if isinstance(action, scan.NeedsSnapshot):
        return "the primary's next mirror snapshot: there is none that was taken for this site"
    return ""


def _newest_complete(local: Optional[ImageHeader]) -> Optional[Snapshot]:
    """The mirror snapshot that says what the copy has whole."""
    if local is None:
        return None
    return next((s for s in reversed(local.mirror_snapshots) if scan.mirror(s).complete), None)


def _copied_ns(base: Optional[Snapshot], remote: ImageHeader) -> Optional[int]:
    """When the primary was as `base` is; by the copy's own clock where its snapshot is gone."""
    if base is None:
        return None
    namespace = scan.mirror(base)
    source = remote.snapshot(namespace.primary_snap_id) if namespace.is_non_primary else None
    return (source or base).timestamp_ns


def _end_all(waiting: List["asyncio.Future[None]"]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
