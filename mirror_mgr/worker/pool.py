"""One mirrored pool: its peer, its namespaces, its images."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import (
    Callable,
    Collection,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Optional,
    Tuple,
    Type,
)

from ..cluster.connection import Connection
from ..cluster.pool import Pool
from ..errors import Fenced, MirrorError, NotReady
from ..replay import trash
from ..replay.budget import Budget
from ..replay.mirroring import Pairs, called, read_mirroring, read_pairs
from ..replay.scan import Link
from ..replay.snapshot import Means
from ..waiting import heard
from ..wire.constants import (
    ImageMode,
    MirrorImageState,
    MirrorMode,
    PeerDirection,
    StatusState,
)
from ..wire.header import MIRRORING
from ..wire.mirror import MirrorImage, MirrorPeer, MirrorPool
from . import peer as peers
from . import settings
from .image import Gate, Gates, ImageReplayer, Mirrored
from .journal_image import JournalImageReplayer
from .leader import Leader
from .missing import Kept, MissingPrimaries
from .removal_rules import Delays
from .roster import slot_of
from .statuses import StatusBoard
from .stops import ManualStops
from .team import Team

log = logging.getLogger(__name__)

PING_SECONDS = 30.0
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


_REPLAYERS: Dict[ImageMode, Type[ImageReplayer]] = {
    ImageMode.SNAPSHOT: ImageReplayer, ImageMode.JOURNAL: JournalImageReplayer}


def image_name(replayer: ImageReplayer) -> str:
    """What an image is called; by its id at the primary while its name is not known."""
    return replayer.name or replayer.mirrored.remote_id


def image_spec(pool: str, namespace: str, replayer: ImageReplayer) -> str:
    """The image as commands name it."""
    return "/".join(filter(None, (pool, namespace, image_name(replayer))))


@dataclass
class Replaying:
    """An image that is being replayed and the task that does it."""

    replayer: ImageReplayer
    task: "asyncio.Task[None]"


class NamespaceReplayer:
    """This worker's images of one namespace; lives as long as the connection to the peer.

    :ivar trouble: why none of them is replayed; None where that is not so
    """

    def __init__(self, name: str, local: Pool, remote: Pool, link: Link,
                 means: Callable[[], Means], gates: Gates, stops: ManualStops,
                 delays: Delays, news: Callable[[], None],
                 ended: Callable[["asyncio.Task[None]"], None]) -> None:
        self.name = name
        self.images: Dict[str, Replaying] = {}
        self.trouble: Optional[str] = None
        self.remote_count = 0
        self.local_count = 0
        self._local = local
        self._remote = remote
        self._link = link
        self._means = means
        self._gates = gates
        self._stops = stops
        self._ended = ended
        self.deletions = trash.Sweep()
        self._sweeping: Optional["asyncio.Task[None]"] = None
        self._retried = float("-inf")
        self._swept: FrozenSet[int] = frozenset()
        self._unreadable: FrozenSet[str] = frozenset()
        self._changing = asyncio.Lock()
        self.boards = (StatusBoard(local, "", news), StatusBoard(remote, link.local_uuid, news))
        self._tasks = [asyncio.ensure_future(board.run()) for board in self.boards]
        for task in self._tasks:
            task.add_done_callback(ended)
        own = self.boards[0]
        self.missing = MissingPrimaries(local, remote, link, delays, own.set, own.remove)

    @property
    def source(self) -> str:
        """The peer's namespace that it is replayed from."""
        return self._remote.namespace

    async def refresh(self, slots: FrozenSet[int]) -> None:
        """Start and end image replayers as the two sides' lists of images ask for.

        Only images of these slots are ours; nothing is done to others any more on return.
        """
        async with self._changing:
            await self._refresh(slots)

    async def _refresh(self, slots: FrozenSet[int]) -> None:
        await self._stop_sweeping_beyond(slots)
        local, remote = await asyncio.gather(
            read_mirroring(self._local), read_mirroring(self._remote))
        if local.source(self.name) != self.source:
            return  # it has just been paired with another one, and this replayer is over
        self._look_for_trouble(remote)
        wanted = {m.global_id: m for m in pair_up(local, remote) if slot_of(m.global_id) in slots}
        self.local_count, self.remote_count = len(local.images), len(remote.images)
        self._complain_of(local.unreadable | remote.unreadable)
        over = []
        for global_id, running in self.images.items():
            mirrored = wanted.get(global_id)
            if mirrored is None or not _same(running.replayer, mirrored):
                over.append(global_id)
            else:
                running.replayer.wake_if_stopped()
        await asyncio.gather(*(self._end(global_id) for global_id in over))
        for global_id, mirrored in wanted.items():
            if global_id not in self.images:
                self._start(mirrored)
        await self.missing.look(orphaned(local, remote), len(local.images),
                                lambda global_id: slot_of(global_id) in slots)
        await self._drop_empty_entries(local, slots)
        self._sweep(local, slots)

    def _look_for_trouble(self, remote: MirrorPool) -> None:
        """That one of the same name is not mirrored there is how it is where all is primary here.
        """
        trouble = None if remote.is_mirrored or self.source == self.name else (
            f"it is mirrored with the {called(self.source)} of its pool at site "
            f"{self._remote.connection.name!r}, where that is not mirrored; enable it there, or "
            "disable this one and enable it with another (--remote-namespace)")
        if trouble is not None and trouble != self.trouble:
            log.warning("%s: %s", called(self.name), trouble)
        self.trouble = trouble

    def _complain_of(self, unreadable: FrozenSet[str]) -> None:
        for image_id in sorted(unreadable - self._unreadable):
            log.warning("image %s: what %s says of its mirroring can't be read; disable and "
                        "enable it at its primary site", image_id, MIRRORING)
        self._unreadable = unreadable

    async def _drop_empty_entries(self, local: MirrorPool, slots: FrozenSet[int]) -> None:
        """Of images whose removal was cut off right before its last step."""
        for image_id, image in local.images.items():
            if image.state == MirrorImageState.DISABLING and slot_of(image.global_id) in slots:
                try:
                    await trash.drop_empty_entry(self._local, image_id)
                except Fenced:
                    raise
                except MirrorError as error:
                    log.warning("image %s: %s", image.global_id, error)

    def _sweep(self, local: MirrorPool, slots: FrozenSet[int]) -> None:
        if self._sweeping is not None and not self._sweeping.done():
            return
        conf_get = self._local.connection.conf_get
        retry = time.monotonic() - self._retried > settings.delete_retry_seconds(conf_get)
        if retry:
            self._retried = time.monotonic()
        self._swept = slots
        self._sweeping = asyncio.ensure_future(trash.sweep(
            self._local, local.images, settings.concurrent_deletions(conf_get), retry,
            self.deletions, lambda key: slot_of(key) in slots))
        self._sweeping.add_done_callback(self._ended)

    async def _stop_sweeping_beyond(self, slots: FrozenSet[int]) -> None:
        if self._sweeping is not None and not self._swept <= slots:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def renew(self, global_ids: Iterable[str]) -> None:
        """Start image replayers anew, or have them stand still where that was asked for."""
        async with self._changing:
            for global_id in global_ids:
                running = self.images.get(global_id)
                if running is not None:
                    await self._end(global_id)
                    self._start(running.replayer.as_found)

    def _start(self, mirrored: Mirrored) -> None:
        replayer = _REPLAYERS[mirrored.mode](self._local, self._remote, self._link, self._means,
                                             mirrored, self._gates, self._publish)
        stopped = self._stops.is_stopped(mirrored.global_id)
        task = asyncio.ensure_future(replayer.stand_still() if stopped else replayer.run())
        task.add_done_callback(self._ended)
        self.images[mirrored.global_id] = Replaying(replayer, task)

    async def _end(self, global_id: str) -> None:
        running = self.images.pop(global_id)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
        for board in self.boards:
            board.remove(global_id)

    def _publish(self, replayer: ImageReplayer) -> None:
        for board in self.boards:
            board.set(replayer.mirrored.global_id, replayer.status)

    async def close(self) -> None:
        tasks = [running.task for running in self.images.values()] + self._tasks
        if self._sweeping is not None:
            tasks.append(self._sweeping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.images.clear()


def pair_up(local: MirrorPool, remote: MirrorPool) -> List[Mirrored]:
    """The mirrored images of the other site, each with what this site has of it."""
    here = {image.global_id: (image_id, image) for image_id, image in local.images.items()}
    found = []
    for remote_id, image in remote.images.items():
        if image.state != MirrorImageState.ENABLED:
            continue
        local_id, mine = here.get(image.global_id, (None, None))
        if mine is not None and (mine.mode != image.mode or mine.state not in (
                MirrorImageState.ENABLED, MirrorImageState.CREATING)):
            continue
        found.append(Mirrored(image.global_id, remote_id, local_id, mine.state if mine else None,
                              image.mode))
    return found


def _same(running: ImageReplayer, wanted: Mirrored) -> bool:
    """Whether the replayer that runs is for these images; it may just have made the copy."""
    return ((running.mirrored.remote_id, running.mirrored.mode)
            == (wanted.remote_id, wanted.mode)
            and running.copy_id in (None, wanted.local_id))


def orphaned(local: MirrorPool, remote: MirrorPool) -> Dict[str, MirrorImage]:
    """Copies whose primary is mirrored no more, by their local ids.

    None where mirroring is off there as a whole: that says nothing of the images.  Nor
    where it can't be read which image one of its entries is for.
    Those that are being disabled already are not ours to go on with.
    """
    if not remote.is_mirrored or remote.unreadable:
        return {}
    known = {image.global_id for image in remote.images.values()}
    return {image_id: image for image_id, image in local.images.items()
            if image.global_id not in known and image.state in (
                MirrorImageState.ENABLED, MirrorImageState.CREATING)}


class PoolReplayer:
    """Replays a share of one pool's images while a worker of ours holds the pool's leader lock.

    `name` is for whoever knows of a new one to set.
    """

    def __init__(self, local: Connection, pool_id: int, name: str, budget: Budget, gates: Gates,
                 dead: FrozenSet[str], stops: ManualStops, delays: Delays) -> None:
        self.pool_id = pool_id
        self.name = name
        self.stops = stops
        self.peer: Optional[MirrorPeer] = None
        self.peer_error: Optional[str] = None
        self.since = time.time()
        self.namespaces: Dict[str, NamespaceReplayer] = {}
        self._pairs = Pairs({}, {})
        self._local = local
        self._budget = budget
        self._dead = dead
        self._gates = gates
        self._delays = delays
        self._news = asyncio.Event()
        self._tx_peers: FrozenSet[str] = frozenset()
        self._failure: Optional[BaseException] = None
        self.team = Team(local.pool(pool_id), self.refresh, dead)
        self.leader = Leader(local.pool(pool_id), self.team, self.refresh, dead)

    def refresh(self) -> None:
        """Look at the pool again at once."""
        self._news.set()

    @property
    def instance_id(self) -> str:
        """Of the local connection, as the daemon counts its instances."""
        return str(self._local.instance_id)

    # --- what an administrator asks for; without a global id: of every image ----------------------

    async def stop(self, global_id: Optional[str] = None) -> None:
        """Replay no more until :meth:`start`."""
        await self._obey(global_id, True)

    async def start(self, global_id: Optional[str] = None) -> None:
        """Replay what was stopped."""
        await self._obey(global_id, False)

    async def restart(self, global_id: Optional[str] = None) -> None:
        """Replay from the beginning: everything that is known of an image is looked up anew."""
        self._set_stopped(global_id, False)
        await self._renew(self._chosen(global_id))

    async def flush(self, global_id: Optional[str] = None) -> None:
        """Wait until what the primaries have now is here, or it is clear that it can't be."""
        await asyncio.gather(*(replayer.flush() for replayer in self._chosen(global_id)))

    def release_leader(self) -> None:
        """Leave the lead of the pool to another worker or daemon, if there is one."""
        self.leader.release()

    @property
    def syncing(self) -> Gate:
        """What all syncs of the worker go through."""
        return self._gates.syncing

    @property
    def admin_socket(self) -> str:
        """Where the client of the local cluster listens; empty for nowhere."""
        return self._local.conf_get("admin_socket")

    @property
    def concurrent_deletions(self) -> int:
        return settings.concurrent_deletions(self._local.conf_get)

    async def _obey(self, global_id: Optional[str], stopped: bool) -> None:
        before = {r for r in self._chosen(global_id)
                  if self.stops.is_stopped(r.mirrored.global_id) != stopped}
        self._set_stopped(global_id, stopped)
        await self._renew(before)

    def _set_stopped(self, global_id: Optional[str], stopped: bool) -> None:
        if global_id is None:
            self.stops.set_all(stopped)
        else:
            self.stops.set(global_id, stopped)

    def _chosen(self, global_id: Optional[str]) -> List[ImageReplayer]:
        return [replayer for _, replayer in self.replayers()
                if global_id in (None, replayer.mirrored.global_id)]

    async def _renew(self, replayers: Collection[ImageReplayer]) -> None:
        global_ids = [replayer.mirrored.global_id for replayer in replayers]
        await asyncio.gather(*(one.renew(global_ids) for one in self.namespaces.values()))

    # --- the pool's life --------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; raise Fenced when the local client was blocklisted."""
        leading = asyncio.ensure_future(self.leader.run())
        leading.add_done_callback(self._ended)
        failures = 0
        try:
            while True:
                self._news.clear()
                pause = settings.refresh_seconds(self._local.conf_get)
                try:
                    self._raise_failure()
                    if self.leader.led:
                        await self._replay_while_fit()
                    failures = 0
                except MirrorError as error:
                    if isinstance(error, Fenced) and self._is_local(error):
                        raise
                    self._complain(str(error))
                    failures += 1
                except Exception as error:
                    log.exception("pool %r: please report this as a bug", self.name)
                    self._complain(f"internal error: {error}; see the worker's log")
                    failures += 1
                if failures:
                    self._news.clear()
                    pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1]
                await self._wait(pause)
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await self.team.close()

    async def _replay_while_fit(self) -> None:
        """Replay until that fails, or must end at once whatever is under way."""
        tasks = [asyncio.ensure_future(one) for one in (
            self._replay(), self.leader.until_led_no_more(), self.team.lost.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()

    async def _replay(self) -> None:
        """Reach the peer and replay until it is lost."""
        local_pool = self._local.pool(self.pool_id)
        mirroring = await read_mirroring(local_pool)
        peer = self.peer = peers.choose(mirroring)
        if peer is None:
            self.peer_error = None
            return
        site = await peers.PeerSite.connect(
            await peers.credentials(self._local, self.pool_id, peer), self.name, peer,
            mirroring.mirror_uuid)
        try:
            await self._replay_from(site, peer, mirroring.mirror_uuid)
        except MirrorError as error:
            # Said before the clean-up, which takes its time when the site is dead.
            self._complain(str(error))
            raise
        finally:
            await self._close_namespaces()
            await self.team.leave()
            # A dead site takes its time to be let go of: nobody waits for that.
            asyncio.get_running_loop().run_in_executor(None, site.close)

    async def _replay_from(self, site: peers.PeerSite, peer: MirrorPeer, local_uuid: str) -> None:
        remote, remote_id = site.connection, site.pool_id
        pinged = float("-inf")
        link: Optional[Link] = None
        while True:
            self._news.clear()
            self._raise_failure()
            if time.monotonic() - pinged > PING_SECONDS:
                known, link = link, await self._say_hello(remote, remote_id, local_uuid, link)
                pinged = time.monotonic()
                if known is None:
                    await self.team.join()
            mirroring = await read_mirroring(self._local.pool(self.pool_id))
            if (not peers.same(peers.choose(mirroring), peer)
                    or mirroring.mirror_uuid != local_uuid):
                self._news.set()
                return
            self._tx_peers = frozenset(
                p.uuid for p in mirroring.peers if p.direction != PeerDirection.RX)
            assert link is not None
            slots = await self.team.share(
                self.leader.leading if settings.only_leader_replays(self._local.conf_get) else None)
            await self._refresh_namespaces(site, remote_id, link, slots)
            await self.team.free(slots)
            self.peer_error = None
            await self._wait(settings.refresh_seconds(self._local.conf_get))

    async def _say_hello(self, remote: Connection, remote_id: int, local_uuid: str,
                         known: Optional[Link]) -> Link:
        """Ping the peer; return who is who.  A change of that ends the replay of the pool."""
        await peers.ping(remote, remote_id, await peers.site_name(self._local), local_uuid)
        theirs = await read_mirroring(remote.pool(remote_id))
        if theirs.mode == MirrorMode.DISABLED:
            raise NotReady(f"mirroring of pool {self.name!r} is disabled at site {remote.name!r}")
        ours = next((p.uuid for p in theirs.peers if p.mirror_uuid == local_uuid), None)
        if ours is None:
            raise NotReady(f"site {remote.name!r} does not list this site as a peer of "
                           f"pool {self.name!r}")
        link = Link(local_uuid, theirs.mirror_uuid, ours)
        if known is not None and known != link:
            raise NotReady(f"site {remote.name!r} changed its mirroring of pool {self.name!r}")
        return link

    async def _refresh_namespaces(self, site: peers.PeerSite, remote_id: int, link: Link,
                                  slots: FrozenSet[int]) -> None:
        pairs = self._pairs = await read_pairs(self._local, self.pool_id)
        for name, namespace in list(self.namespaces.items()):
            if pairs.sources.get(name) != namespace.source:
                await self.namespaces.pop(name).close()
        for name, source in pairs.sources.items():
            if name not in self.namespaces:
                self.namespaces[name] = NamespaceReplayer(
                    name, self._local.pool(self.pool_id, name),
                    site.connection.pool(remote_id, source), link, lambda: self._means(site),
                    self._gates, self.stops, self._delays, self.refresh, self._ended)
            await self.namespaces[name].refresh(slots)

    def _means(self, site: peers.PeerSite) -> Means:
        return Means(self._budget, site.list_snaps, self._tx_peers, self._dead,
                     settings.progress_seconds(self._local.conf_get))

    async def _close_namespaces(self) -> None:
        namespaces, self.namespaces = self.namespaces, {}
        self._pairs = Pairs({}, {})
        await asyncio.gather(*(one.close() for one in namespaces.values()))

    async def _wait(self, seconds: float) -> None:
        await heard(self._news, seconds)

    def _complain(self, text: str) -> None:
        if text != self.peer_error:
            log.warning("pool %r: %s", self.name, text)
        self.peer_error = text

    # --- failures of tasks ----------------------------------------------------------------------

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self.refresh()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _is_local(self, error: Fenced) -> bool:
        return f"site {self._local.name!r}" in str(error)

    # --- for the service map and the manager ------------------------------------------------------

    def replayers(self) -> List[Tuple[str, ImageReplayer]]:
        """Every image of the pool with its namespace."""
        return [(name, running.replayer) for name, namespace in self.namespaces.items()
                for running in namespace.images.values()]

    def kept(self) -> List[Tuple[str, Kept]]:
        """Copies whose primary is gone and that are still there, each with its namespace."""
        return [(name, kept) for name, namespace in self.namespaces.items()
                for kept in namespace.missing.kept.values()]

    def troubles(self) -> Dict[str, str]:
        """By namespace, why nothing of it is replayed; that is not told of a whole pool's trouble.
        """
        found = dict(self._pairs.refused)
        found.update((name, one.trouble) for name, one in self.namespaces.items() if one.trouble)
        return found

    def deletions(self, namespace: str) -> trash.Sweep:
        """What of a namespace is to be removed from the trash."""
        one = self.namespaces.get(namespace)
        return one.deletions if one else trash.Sweep()

    def counts(self, namespace: str) -> Dict[str, int]:
        """The counters that the dashboard reads; those of the whole pool tells who leads it."""
        one = self.namespaces.get(namespace)
        images = [running.replayer for running in one.images.values()] if one else []
        counts = {
            "image_assigned_count": len(images),
            "image_error_count": sum(r.status.state == StatusState.ERROR for r in images),
            "image_warning_count": sum(r.status.state == StatusState.UNKNOWN for r in images),
        }
        if self.leader.leading:
            counts["image_local_count"] = one.local_count if one else 0
            counts["image_remote_count"] = one.remote_count if one else 0
        return counts
