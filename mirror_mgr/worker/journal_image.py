"""One image that is mirrored by its journal: looks at both sides, makes and keeps the copy."""

import asyncio
import logging
import time
from typing import Any, Callable, List, Optional, Tuple

from ..cluster.crc32c import Crc32c
from ..cluster.pool import Watch
from ..errors import MalformedData, MirrorError, NotFound, NotReady
from ..replay import naming, parent, resync, scan, trash
from ..replay.hold import Hold
from ..replay.journal.bootstrap import FirstSync, create_copy, discard
from ..replay.journal.replay import History, JournalReplay, Report
from ..replay.journal.store import ImageJournal
from ..replay.journal.tags import is_linked, is_mirrored, is_primary, was_promoted_since
from ..waiting import heard
from ..wire import cls_rbd
from ..wire.constants import ImageMode
from ..wire.header import DIRECTORY, INFO, MIRRORING, ImageHeader
from ..wire.journal import (
    ClientState,
    JournalHeader,
    ObjectPosition,
    PeerClientData,
    PeerState,
    Tag,
)
from ..wire.mirror import MirrorImage
from ..wire.snapshot import Snapshot
from . import settings, status
from .image import NAME_SECONDS, ImageReplayer

log = logging.getLogger(__name__)

_TELL_SECONDS = 2.0
# A primary that was not seen for longer may have gone on.
_SEEN_SECONDS = 5.0
# A change of the copy's own journal is notified; should that get lost, it is found by then.
_LOOK_SECONDS = 30.0
# A copy that is no older than this counts as up to date, however much is written meanwhile.
_FRESH_NS = 5 * 10**9
# How often it is told that nothing has come.
_CURRENT_NS = 10 * 10**9
# A reader that rests looks that often at the least, where the primary answers.
_SILENT_NS = 30 * 10**9


class _Damaged(MalformedData):
    """With the cure in it: all but the header of the primary's journal."""


class JournalImageReplayer(ImageReplayer):
    """Replays one journal-mode image until cancelled."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._journal = ImageJournal(self._source.pool, self.mirrored.remote_id)
        self._watches: List[Watch] = []
        self._replay: Optional[JournalReplay] = None
        self.replayed = History()
        self._looked = float("-inf")
        self._local_news = asyncio.Event()
        self._stop: Optional[str] = None
        # The copy was made just now, and nobody wrote to it yet.
        self._fresh = False
        # Where the replay was when it found damage: until it is past that, that is its status.
        self._is_damaged = False
        # Why the copy has another name than its primary.
        self._name_note = ""
        self._damaged_at: Optional[ObjectPosition] = None

    # --- watches on both journals ---------------------------------------------------------------

    async def _ensure_watches(self) -> None:
        if not self._watches:
            self._watches.append(await self._journal.watch(
                self._primary_notified, self._watches_lost))
            if self._copy is not None:
                self._watches.append(await self._own_journal().watch(
                    self._own_notified, self._watches_lost))

    def _primary_notified(self) -> None:
        if self._replay is not None:
            self._replay.wake()
        else:
            self.wake()

    def _own_notified(self) -> None:
        self._local_news.set()
        self.wake()

    def _watches_lost(self) -> None:
        watches, self._watches = self._watches, []
        for watch in watches:
            asyncio.ensure_future(watch.close())
        self._own_notified()

    async def _unwatch(self) -> None:
        watches, self._watches = self._watches, []
        for watch in watches:
            await watch.close()

    def wake_if_stopped(self) -> None:
        """All that could be news is watched."""
        if not self._watches:
            self.wake()

    # --- looking --------------------------------------------------------------------------------

    def _own_journal(self) -> ImageJournal:
        assert self._copy is not None
        return ImageJournal(self._local, self._copy.id)

    async def _step(self) -> bool:
        try:
            return await self._look_and_act()
        except _Damaged:
            raise
        except MalformedData as error:
            if not is_mirrored(await self._image_there()):
                # A copy on its way into the trash: its journal is just being made.
                self._tell(status.demoted("remote image is not primary"))
                return False
            raise MalformedData(
                f"{error}; mend it, or have a new one made at its primary site: disable the "
                "image's mirroring, remove this object, disable the image's feature journaling, "
                "and enable its mirroring again") from None

    async def _look_and_act(self) -> bool:
        async with self._gates.looking:
            await self._settle_copy()
            await self._ensure_watches()
            remote = await self._remote_journal()
            local = await self._local_journal()
            if self._link.local_uuid not in remote.clients:
                remote = await self._register(local, remote)
        if local is not None and local.is_primary:
            self.copied_ns = None
            self._is_name_known, self._awaited_name = False, None
            await self._forget_resync_in(local)
            self._tell(status.primary(await self._split_of_journals(local, remote)))
            return False
        if (local is not None and local.image.resync_requested
                and await self._is_primary_there(remote)):
            await self._drop_copy()
            return True
        if not remote.is_primary and not self._follows(local, remote):
            self._tell(status.demoted("remote image is not primary"))
            return False
        if local is None:
            if not await self._is_primary_there(remote):
                self._tell(status.demoted("remote image is not primary"))
                return False
            return await self._create()
        await self._take_awaited_name()
        return await self._follow(local, remote)

    async def _settle_copy(self) -> None:
        """Know the copy and its name; clear away one whose creation was cut short."""
        if self._copy is None:
            await self._find_copy()
            if self._copy is not None:
                await self._unwatch()
        await self._know_name()
        if self._copy is not None and not self._created:
            await self._unwatch()
            await discard(self._copy, self.name, self.mirrored.global_id, self._link)
            self._copy, self._created = None, True

    def _follows(self, local: Optional[JournalHeader], remote: JournalHeader) -> bool:
        """Whether the copy has not all yet of a primary that was demoted."""
        last = local.last_tag if local is not None else None
        if last is None:
            return False
        uuids = self._link.local_uuid, self._link.remote_uuid
        return last.owner == self._link.remote_uuid or was_promoted_since(
            last, remote.image_tags, *uuids)

    async def _is_primary_there(self, remote: JournalHeader) -> bool:
        """As :func:`.is_primary`, given the other site's journal as it was read before."""
        return remote.is_primary and is_primary(remote.last_tag, await self._image_there())

    async def _forget_resync_in(self, local: JournalHeader) -> None:
        if self._copy is not None and local.image.resync_requested:
            log.info("image %s: it was promoted, so the resync asked for before is off", self.name)
            await resync.forget_in_journal(self._local, self._copy.id)

    async def _split_of_journals(self, local: JournalHeader,
                                 remote: JournalHeader) -> str:
        """What makes the image, which is primary here, one half of a split-brain."""
        if await self._is_primary_there(remote):
            return status.PRIMARY_AT_BOTH
        last = remote.last_tag
        if last is not None and not remote.is_primary and not is_linked(
                last, local.image_tags, self._link.remote_uuid, self._link.local_uuid):
            return status.HAS_ITS_OWN_CHANGES
        return ""

    async def _image_there(self) -> Optional[MirrorImage]:
        """What the other site says now of the image's mirroring; None if that has ended."""
        try:
            return cls_rbd.decode_mirror_image_get(await self._source.pool.call(
                MIRRORING, cls_rbd.mirror_image_get(self.mirrored.remote_id)))
        except NotFound:
            return None

    async def _remote_journal(self) -> JournalHeader:
        header = await self._journal.header()
        if header is None:
            raise NotFound("remote image does not exist, or has no journal")
        return header

    async def _local_journal(self) -> Optional[JournalHeader]:
        if self._copy is None:
            return None
        try:
            header = await self._own_journal().header()
        except MalformedData as error:
            raise _Damaged(
                f"{error}; mend it, or have the copy made anew: disable its mirroring here with "
                "--force, remove this object, then the copy") from None
        if header is None:
            raise NotFound(f"image {self.name!r} is mirrored but has no journal here; "
                           "disable and enable its mirroring")
        return header

    async def _register(self, local: Optional[JournalHeader],
                        remote: JournalHeader) -> JournalHeader:
        """Have the other site keep what we need of its journal.

        Also while we are primary: else the tags by which a failback finds its way would be gone.
        """
        if local is None and remote.is_primary:
            return remote  # creating the copy registers it
        await self._journal.register(
            self._link.local_uuid, PeerClientData(self._copy.id if self._copy else ""))
        return await self._remote_journal()

    # --- acting ---------------------------------------------------------------------------------

    async def _drop_copy(self) -> None:
        assert self._copy is not None
        self._tell(status.resyncing())
        await self._unwatch()
        await trash.move_to_trash(self._copy, self.name, self.mirrored.global_id,
                                  trash.delay_seconds(self._local.connection),
                                  ImageMode.JOURNAL)
        self._copy = None

    async def _create(self) -> bool:
        """Make the copy; False when its time has not come."""
        source = await self._source_header()
        link = await self._parent(source, parent.needed_overlap(source))
        if isinstance(link, (scan.Waiting, scan.Broken)):
            self._wait_for_parent(link)
            return False
        self._tell(status.bootstrapping("CREATE_LOCAL_IMAGE"))
        self._copy = await create_copy(
            self._local, self._source, source, self._journal, self.mirrored.global_id,
            self._learn_name, self._link, link)
        self._fresh = True
        await self._unwatch()
        return True

    async def _source_header(self) -> ImageHeader:
        header = await self._source.header()
        if header is None:
            raise NotFound("remote image does not exist")
        return header

    async def _follow(self, local: JournalHeader, remote: JournalHeader) -> bool:
        """The other site is primary, or was when we saw it last: make the copy what it says."""
        assert self._copy is not None
        peer, last = remote.peer(self._link.local_uuid), local.last_tag
        if peer is None or last is None:
            raise NotReady("the journals are being set up")
        if not self._belongs(peer, last, remote):
            self._tell(status.failed("split-brain detected", split_brain=True))
            return False
        header = await self._copy.header()
        if header is None:
            raise NotReady("the copy was removed meanwhile")
        options = await self._options()
        if remote.clients[self._link.local_uuid].state == ClientState.DISCONNECTED:
            return await self._disconnected(
                remote.is_primary and settings.resyncs_after_disconnect(options(header)))
        hold = Hold(self._local, self._copy.id, header)
        await hold.acquire(self._means().dead)
        try:
            for snapshot in await self._dispensable(header):
                await self._copy.remove_snapshot(header, snapshot)
            if peer.state == PeerState.SYNCING:
                remote = await self._sync_first(peer, last, hold)
            if not self._is_damaged:
                self._tell(status.starting())
            await self._replay_until_stopped(remote, last, hold, options)
        finally:
            await hold.release()
        return True

    async def _dispensable(self, header: ImageHeader) -> List[Snapshot]:
        """Snapshots of the copy that only clones kept, and that have none left at either site."""
        hidden = [s for s in header.snapshots if s.is_hidden and not s.child_count]
        if not hidden:
            return []
        kept = {s.namespace for s in (await self._source_header()).snapshots}
        return [s for s in hidden if s.namespace not in kept]

    async def _options(self) -> Callable[[ImageHeader], settings.ConfGet]:
        """What tells, given the copy's header, the options that hold for it."""
        conf_get = self._local.connection.conf_get
        try:
            pool = cls_rbd.decode_metadata_list(
                await self._local.connection.pool(self._local.pool_id).call(
                    INFO, cls_rbd.metadata_list(), 1 << 20))
        except NotFound:
            pool = {}
        return lambda header: settings.of_image(conf_get, pool, header.metadata)

    async def _disconnected(self, resync: bool) -> bool:
        if resync:
            await self._drop_copy()
        else:
            self._tell(status.disconnected(f"make it anew: {self._resync_command}"))
        return resync

    def _belongs(self, peer: PeerClientData, last: Tag, remote: JournalHeader) -> bool:
        assert self._copy is not None
        return peer.image_id == self._copy.id and is_linked(
            last, remote.image_tags, self._link.local_uuid, self._link.remote_uuid)

    async def _sync_first(self, peer: PeerClientData, last: Tag, hold: Hold) -> JournalHeader:
        """Give the copy its first content, unless another site's copy took its place already."""
        assert self._copy is not None
        if last.owner == self._link.remote_uuid:
            self._tell(status.bootstrapping("IMAGE_SYNC/NOTIFY_SYNC_REQUEST"))
            async with self._gates.syncing:
                started = time.monotonic()
                sync = FirstSync(self._copy, self._source, self._journal, peer, self._link,
                                 self._means(), hold, self._fresh)
                self._fresh = False
                telling = asyncio.ensure_future(self._tell_copying(sync))
                try:
                    await sync.run()
                finally:
                    telling.cancel()
                    await asyncio.gather(telling, return_exceptions=True)
            self.history.add(sync.statistics.bytes_read, time.monotonic() - started)
        else:
            await self._journal.update(
                self._link.local_uuid, peer.replaced(state=PeerState.REPLAYING))
        return await self._remote_journal()

    async def _tell_copying(self, sync: FirstSync) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            percent = sync.progress.percent if sync.progress is not None else None
            self._tell(status.bootstrapping("IMAGE_SYNC/COPY_IMAGE", percent))

    async def _replay_until_stopped(
            self, remote: JournalHeader, last: Tag, hold: Hold,
            options: Callable[[ImageHeader], settings.ConfGet]) -> None:
        assert self._copy is not None
        self._stop = None
        if self._awaited_name is None:
            self._name_note = ""
        replay = JournalReplay(
            self._copy, self.name, self._own_journal(), self._journal, remote, last, self._link,
            hold, self._means().budget, Crc32c(), self._check,
            lambda header: settings.replay_delay_seconds(options(header)), self.replayed)
        self._replay = replay
        beside = [asyncio.ensure_future(self._tell_replaying(replay)),
                  asyncio.ensure_future(self._look_at_own_journal())]
        try:
            await replay.run()
            self._tell(status.stopped("stopped"))
        except MalformedData as error:
            self._is_damaged, self._damaged_at = True, replay.report.position
            raise _Damaged(f"{error}; mend the journal at its primary site, or make the copy "
                           f"anew: {self._resync_command}") from None
        finally:
            self._replay = None
            self.name = replay.name
            self._is_name_known = False
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _check(self) -> None:
        if self._stop is not None:
            raise NotReady(self._stop)

    async def _look_at_own_journal(self) -> None:
        """Find out when the copy is promoted by force, or something is to be done to it first."""
        while True:
            self._local_news.clear()
            try:
                self._stop = self._stop or await self._reason_to_stop()
                if self._stop is not None and self._replay is not None:
                    self._replay.wake()
            except MirrorError as error:
                log.info("image %s: %s", self.name, error)
            await heard(self._local_news,
                        _LOOK_SECONDS if self._awaited_name is None else NAME_SECONDS)

    async def _reason_to_stop(self) -> Optional[str]:
        assert self._copy is not None
        journal = await self._own_journal().header()
        if journal is not None and journal.is_primary:
            return "force promoted"
        if journal is not None and journal.image.resync_requested:
            return "resync requested"
        if self._replay is not None and self._replay.keeps_hidden:
            header = await self._copy.header()
            if header is not None and await self._dispensable(header):
                return "snapshots that clones have kept are removed first"
        if await self._may_take_a_name():
            return "the copy is given the name of its primary first"
        return None

    async def _may_take_a_name(self) -> bool:
        """Whether another image had the name of the primary when that was renamed, and gave it up.

        While there is more in the journal the next name may be in it.
        """
        replay = self._replay
        if replay is None or not replay.report.current:
            return False
        name = cls_rbd.decode_dir_get_name(await self._source.pool.call(
            DIRECTORY, cls_rbd.dir_get_name(self._source.id)))
        self._awaited_name = None if name == replay.name else name
        self._name_note = await self._name_in_the_way()
        if self._awaited_name is None:
            return False
        return await naming.is_free(self._local, name)

    # --- status ---------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        seen = time.monotonic() - self._looked < _SEEN_SECONDS
        return seen and self._replay is not None and self._replay.report.current

    async def _tell_replaying(self, replay: JournalReplay) -> None:
        while True:
            try:
                await replay.reader.look()
                self._looked = time.monotonic()
            except MirrorError as error:
                log.info("image %s: %s", self.name, error)
            if replay.report.current or replay.report.position != self._damaged_at:
                self._is_damaged = False
            self._know_new_name(replay.name)
            if not self._is_damaged:
                self._tell_replay(replay)
            await asyncio.sleep(_TELL_SECONDS)

    def _know_new_name(self, name: str) -> None:
        assert self._copy is not None
        if name != self.name and naming.waits_for(name, self._copy.id):
            self._awaited_name = naming.waits_for(name, self._copy.id)
            self._local_news.set()
        self.name = name

    def _tell_replay(self, replay: JournalReplay) -> None:
        report = replay.report
        self.copied_ns, fresh = copied_time(report, self.copied_ns, time.time_ns())
        self._tell(status.replaying_journal(
            replay.reader.header, report, replay.rate.a_second(time.monotonic()),
            self.copied_ns, fresh, self._name_note))

    async def flush(self) -> None:
        """Wait until what the primary has now is here, or it is clear that it can't be."""
        replay = self._replay
        if replay is not None:
            await replay.caught_up()



def copied_time(report: Report, known: Optional[int], now: int) -> Tuple[Optional[int], bool]:
    """When the primary was as the copy is, and whether that is as good as now.

    `known` is what was told before.  A primary that does not answer may have gone on: then the time
    stands still.
    """
    if report.current:
        # Each status that differs from the last is written at both sites.
        if known is None or report.looked_ns - known > _CURRENT_NS:
            known = report.looked_ns
        return known, now - report.looked_ns < _SILENT_NS
    # By the primary's clock, which may be ahead.
    known = min(max(report.time_ns, known or 0), now) or None
    return known, known is not None and now - known < _FRESH_NS
