"""The replay process as a whole: its connection, its pools, and what it tells of itself."""

import asyncio
import logging
import os
import time
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from ..cluster.connection import Connection
from ..errors import Fenced, MirrorError
from ..replay.budget import Budget
from ..replay.mirroring import read_mirroring
from ..waiting import heard
from ..wire.constants import MirrorMode
from . import memory, protocol, settings
from .image import Gate, Gates, ImageReplayer
from .missing import Kept
from .pool import PoolReplayer, image_spec
from .removal_rules import Delays
from .service import ServiceEntry
from .status import Syncing
from .stops import ManualStops

log = logging.getLogger(__name__)

_TELL_SECONDS = 2.0
_RECONNECT_SECONDS = 2.0
_CLOSE_SECONDS = 10.0
# A pool whose OSDs are away answers when they are back.
_ANSWER_SECONDS = 10.0
_MIB = 1 << 20
_BYTES_IN_FLIGHT_MIB = 16
_LOOKING = 64
_CONCURRENT_SYNCS = 64

Say = Callable[[protocol.Message], None]


class Worker:
    """Replays its share of every mirrored pool until cancelled, or this client is blocklisted.

    `connect` makes a connection to the local cluster; it is called again where that fails.  `say`
    takes messages for the manager.  `stops` are, by pool, what an administrator has stopped.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], entity: str, say: Say,
                 options: Mapping[str, Any], dead: FrozenSet[str] = frozenset(),
                 stops: Optional[Dict[int, ManualStops]] = None) -> None:
        self.budget = Budget(_BYTES_IN_FLIGHT_MIB * _MIB)
        self._gates = Gates(asyncio.Semaphore(_LOOKING), Gate(_CONCURRENT_SYNCS))
        self._delays = Delays()
        self._connect = connect
        self._entity = entity
        self._say = say
        self._dead = dead
        self._pools: Dict[int, Tuple[PoolReplayer, "asyncio.Task[None]"]] = {}
        self._asked: Dict[int, "asyncio.Task[bool]"] = {}
        self._news = asyncio.Event()
        self._told: Dict[str, Tuple[Any, ...]] = {}
        self._fenced = False
        self.stops: Dict[int, ManualStops] = stops or {}
        self._syncs_by_conf: Optional[int] = None
        self._local: Optional[Connection] = None
        self.set_options(options)

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Change what is named; for pools that are being replayed as well.

        `bytes_in_flight_mib`: budget of data held at one time; `concurrent_syncs`: images;
        `missing_image_seconds`, `removed_copy_seconds`: see removal_rules.Delays.
        """
        if "bytes_in_flight_mib" in options:
            self.budget.resize(int(options["bytes_in_flight_mib"]) * _MIB)
        if "concurrent_syncs" in options:
            self._gates.syncing = Gate(int(options["concurrent_syncs"]))
        if "missing_image_seconds" in options:
            self._delays.missing = float(options["missing_image_seconds"])
        if "removed_copy_seconds" in options:
            self._delays.trash = float(options["removed_copy_seconds"])

    def refresh(self, images: Sequence[str] = ()) -> None:
        """Look at pools again at once, and at the images with these global ids."""
        self._news.set()
        for pool in self.pools:
            pool.refresh()
            for _, replayer in pool.replayers():
                if replayer.mirrored.global_id in images:
                    replayer.wake()

    async def run(self) -> None:
        """Raise Fenced once this client was blocklisted: then the process has to end.

        What such a client has in flight could land when its entry has expired.
        """
        telling = asyncio.ensure_future(self._heartbeats())
        tidying = asyncio.ensure_future(
            memory.keep_small(self.budget, memory.rss_bytes, memory.trim))
        try:
            while True:
                await self._live_once()
                await asyncio.sleep(_RECONNECT_SECONDS)
        finally:
            telling.cancel()
            tidying.cancel()

    async def _live_once(self) -> None:
        """The life of one connection to the local cluster."""
        try:
            local = await self._connect()
        except MirrorError as error:
            log.error("%s", error)
            return
        self._say(protocol.WorkerHello(os.getpid(), local.address, str(local.instance_id)))
        log.info("connected as %s, instance %d at %s", self._entity, local.instance_id,
                 local.address)
        self._fenced = False
        self._local = local
        try:
            await self._replay(local, ServiceEntry(local, self._entity))
        except Fenced:
            self._fenced = True
            log.warning("this client was blocklisted; beginning anew as another")
            raise
        finally:
            self._local = None
            for asked in self._asked.values():
                asked.cancel()
            self._asked.clear()
            await self._end_pools()
            if not self._fenced:
                closing = asyncio.get_running_loop().run_in_executor(None, local.close)
                await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)

    async def _replay(self, local: Connection, entry: ServiceEntry) -> None:
        looked = float("-inf")
        while True:
            asked = self._news.is_set()
            self._news.clear()
            if self._fenced:
                raise Fenced("")
            self._follow_conf()
            try:
                if asked or time.monotonic() - looked > settings.refresh_seconds(local.conf_get):
                    looked = time.monotonic()
                    await self._refresh_pools(local)
                await entry.update(self.pools)
            except Fenced:
                raise
            except MirrorError as error:
                log.warning("%s", error)
            await heard(self._news, _TELL_SECONDS)

    def _follow_conf(self) -> None:
        """Take over a change of Ceph's own option; what the manager says later counts again."""
        asked = settings.concurrent_syncs(self.conf_get)
        if asked != self._syncs_by_conf:
            self._syncs_by_conf = asked
            self.set_options({"concurrent_syncs": asked or _CONCURRENT_SYNCS})

    async def _refresh_pools(self, local: Connection) -> None:
        wanted = await self._mirrored_pools(local)
        for pool_id in list(self._pools):
            if pool_id not in wanted:
                await self._end_pool(pool_id)
        for pool_id, name in wanted.items():
            if pool_id not in self._pools:
                replayer = PoolReplayer(
                    local, pool_id, name, self.budget, self._gates, self._dead,
                    self.stops.setdefault(pool_id, ManualStops()), self._delays)
                task = asyncio.ensure_future(replayer.run())
                task.add_done_callback(self._pool_ended)
                self._pools[pool_id] = (replayer, task)
            self._pools[pool_id][0].name = name

    async def _mirrored_pools(self, local: Connection) -> Dict[int, str]:
        """Pools with mirroring; without it in the default namespace there are no peers.

        What a pool that does not answer was before, it stays.
        """
        names = await local.pool_names()
        for pool_id in names.keys() - self._asked.keys():
            self._asked[pool_id] = asyncio.ensure_future(self._is_mirrored(local, pool_id))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=_ANSWER_SECONDS)
        answered = {i: self._asked.pop(i) for i, asked in list(self._asked.items()) if asked.done()}
        mirrored = {i for i, asked in answered.items() if asked.result()}
        silent = self._asked.keys() & names.keys()
        if silent:
            log.warning("no answer from pools %s", ", ".join(sorted(names[i] for i in silent)))
        return {i: n for i, n in names.items() if i in mirrored | (silent & self._pools.keys())}

    async def _is_mirrored(self, local: Connection, pool_id: int) -> bool:
        try:
            return (await read_mirroring(local.pool(pool_id))).mode != MirrorMode.DISABLED
        except Fenced:
            raise
        except MirrorError as error:
            log.warning("pool %d: %s", pool_id, error)
            return pool_id in self._pools

    async def _end_pool(self, pool_id: int) -> None:
        _, task = self._pools.pop(pool_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _end_pools(self) -> None:
        tasks = [task for _, task in self._pools.values()]
        self._pools.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    def _pool_ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        if isinstance(error, Fenced):
            self._fenced = True
        else:
            log.error("pool replayer ended; it starts again", exc_info=error)
            for pool_id, (_, other) in list(self._pools.items()):
                if other is task:
                    del self._pools[pool_id]
        self._news.set()

    # --- for the admin socket -------------------------------------------------------------------

    @property
    def pools(self) -> List[PoolReplayer]:
        return [pool for pool, _ in self._pools.values()]

    def conf_get(self, option: str) -> str:
        """An option of Ceph; empty while there is no connection."""
        return self._local.conf_get(option) if self._local is not None else ""

    def counters(self) -> Dict[str, int]:
        """Of the whole process, for the manager as well."""
        histories = [replayer.history for pool in self.pools for _, replayer in pool.replayers()]
        return {
            "rss_bytes": memory.rss_bytes(),
            "bytes_in_flight": self.budget.used,
            "bytes_copied": sum(h.total_bytes for h in histories),
            "syncs": sum(h.snapshots for h in histories),
            "cpu_ms": int(time.process_time() * 1000),
        }

    # --- what the manager is told -----------------------------------------------------------------

    async def _heartbeats(self) -> None:
        while True:
            beat = self._heartbeat()
            try:
                self._say(beat)
            except MirrorError as error:
                # Whoever says nothing counts as hanging.
                log.error("%s", error)
                self._say(protocol.Heartbeat(counters=beat.counters))
            if len(beat.images) < protocol.IMAGES_PER_HEARTBEAT:
                await asyncio.sleep(protocol.HEARTBEAT_SECONDS)

    def _heartbeat(self) -> protocol.Heartbeat:
        pools = self.pools
        reports = {r.global_id: r for pool in pools for r in image_reports(pool)}
        changed = [r for gid, r in reports.items() if self._told.get(gid) != _key(r)]
        changed = changed[:protocol.IMAGES_PER_HEARTBEAT]
        removed = tuple(gid for gid in self._told if gid not in reports)
        for gid in removed:
            del self._told[gid]
        self._told.update((r.global_id, _key(r)) for r in changed)
        return protocol.Heartbeat(
            counters=self.counters(), images=tuple(changed), removed=removed,
            pools=tuple(r for pool in pools for r in pool_reports(pool)))


def _key(report: protocol.ImageReport) -> Tuple[Any, ...]:
    copied = None if report.current else report.copied
    return (report.spec, report.state, report.reason, copied, report.sync, report.current)


def image_reports(pool: PoolReplayer) -> List[protocol.ImageReport]:
    """What the manager is told of the pool's images."""
    return ([image_report(pool, namespace, r) for namespace, r in pool.replayers()]
            + [_report_of_kept(pool, namespace, kept) for namespace, kept in pool.kept()])


def _report_of_kept(pool: PoolReplayer, namespace: str, kept: Kept) -> protocol.ImageReport:
    return protocol.ImageReport(
        spec="/".join(filter(None, (pool.name, namespace, kept.record.name))),
        global_id=kept.global_id, state=kept.status.standing, reason=kept.status.reason,
        since=kept.record.since)


def image_report(pool: PoolReplayer, namespace: str,
                 replayer: ImageReplayer) -> protocol.ImageReport:
    now = replayer.status
    return protocol.ImageReport(
        spec=image_spec(pool.name, namespace, replayer),
        global_id=replayer.mirrored.global_id,
        state=now.standing,
        reason=now.reason,
        since=replayer.since,
        copied=replayer.copied_ns / 1e9 if replayer.copied_ns is not None else None,
        sync=_sync_report(replayer.syncing) if replayer.syncing else None,
        current=replayer.is_current)


def _sync_report(syncing: Syncing) -> protocol.SyncReport:
    return protocol.SyncReport(
        syncing.snapshot_id, syncing.percent, syncing.bytes_done, syncing.bytes_total,
        syncing.bytes_per_second, syncing.seconds_left)


def pool_reports(pool: PoolReplayer) -> List[protocol.PoolReport]:
    """One for the pool's default namespace and one for each other."""
    reports, troubles = [], pool.troubles()
    for namespace in {"": None, **pool.namespaces, **troubles}:
        replayers = [r for name, r in pool.replayers() if name == namespace]
        images = {"total": len(replayers)}
        for replayer in replayers:
            state = replayer.status.standing
            images[state] = images.get(state, 0) + 1
        reports.append(protocol.PoolReport(
            pool.pool_id, f"{pool.name}/{namespace}" if namespace else pool.name,
            pool.leader.leading, pool.leader.foreign, images,
            pool.peer_error or troubles.get(namespace),
            *_removals(pool, namespace)))
    return reports


def _removals(pool: PoolReplayer,
              namespace: str) -> Tuple[Tuple[protocol.RemovedReport, ...], int, int]:
    """Copies that stay for a while though their primary is gone; how many, and how many are held.

    Those that go last are named first.
    """
    found = [protocol.RemovedReport(kept.record.name, kept.image_id, kept.until, held=True)
             for name, kept in pool.kept() if name == namespace and kept.record.held]
    held = len(found)
    found += [protocol.RemovedReport(entry.name, image_id, entry.deferment_end_ns / 1e9)
              for image_id, entry in pool.deletions(namespace).kept.items()]
    found.sort(key=lambda one: -one.until)
    return tuple(found[:protocol.REMOVED_PER_POOL]), len(found), held
