"""What `qa/bench` measures: Ceph's rbd-mirror daemon and our worker in turns, each in fresh pools.

Times on a shared machine drift: only ratios of one run mean anything.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import rbd
from rados import ObjectNotFound, ReadOpCtx

from mirror_mgr.wire.header import ImageHeader, header_oid, id_oid
from mirror_mgr.wire.snapshot import MirrorNamespace
from qa import benchfailover, benchjournal, benchschedule, choice
from qa.benchtable import failover_table, journal_table, schedule_table, table
from qa.errors import LabError
from qa.operations import Operation, recorded
from qa.releases import Releases
from qa.replayers import Daemon, Worker, usage
from qa.sites import Lab, Site
from qa.waiting import wait_for

MIB = 1 << 20
BLOCK = 4096
BIG = "big"
SYNC_SECONDS = 300.0
POLL_SECONDS = 0.01

Replayer = Union[Daemon, Worker]
Numbers = Dict[str, Any]
# Who asked for an operation, and the operation.
Recorded = Tuple[str, Operation]


@dataclass(frozen=True)
class Sizes:
    """How much is measured; sizes in bytes."""

    image: int = 2048 * MIB
    empty_syncs: int = 10
    writes: int = 500
    small_images: int = 100
    small_image: int = 8 * MIB
    scheduled_images: int = 300
    decided_images: int = 10_000
    idle_seconds: float = 30.0
    settle_seconds: float = 4.0
    journal: benchjournal.JournalSizes = benchjournal.JournalSizes()


QUICK = Sizes(
    image=64 * MIB, empty_syncs=2, writes=20, small_images=5, scheduled_images=5,
    idle_seconds=3.0, settle_seconds=2.0, journal=benchjournal.QUICK
)


class Header:
    """Reads the headers of one pool's images, each time with one RADOS operation.

    `reads` and `read_bytes` are what the OSDs count for that.
    """

    def __init__(self, site: Site, pool: str) -> None:
        self.reads = self.read_bytes = 0
        self._cluster = site.rados()
        self.client = self._cluster.get_instance_id()
        self.ioctx = self._cluster.open_ioctx(pool)
        self._ids: Dict[str, str] = {}

    def close(self) -> None:
        self.ioctx.close()
        self._cluster.shutdown()

    def read(self, name: str) -> Optional[ImageHeader]:
        """Return the image's header, None when there is no such image."""
        try:
            if name not in self._ids:
                self.reads += 1
                found = self.ioctx.read(id_oid(name))
                self.read_bytes += len(found)
                self._ids[name] = found[4:].decode()
            self.reads += 1
            with ReadOpCtx() as op:
                entries, _ = self.ioctx.get_omap_vals(op, "", "", 1000)
                self.ioctx.operate_read_op(op, header_oid(self._ids[name]))
                omap = dict(entries)
            self.read_bytes += encoded_size(omap)
            return ImageHeader.from_omap(omap)
        except ObjectNotFound:
            return None

    def mirror_namespaces(self, name: str) -> Dict[int, MirrorNamespace]:
        """Return what the image's mirror snapshots say, by snapshot id."""
        header = self.read(name)
        snapshots = header.mirror_snapshots if header else ()
        return {s.id: s.namespace for s in snapshots if isinstance(s.namespace, MirrorNamespace)}


def encoded_size(omap: Dict[str, bytes]) -> int:
    """Return the bytes of the answer to omap-get-vals: a map, and whether there is more."""
    return 5 + sum(8 + len(key) + len(value) for key, value in omap.items())


class Turn:
    """One of the two replayers in a fresh pool of its own."""

    def __init__(self, lab: Lab, replayer: Replayer, pool: str, sizes: Sizes) -> None:
        self.site_a, self.site_b = lab.sites["site-a"], lab.sites["site-b"]
        self.replayer = replayer
        self.pool = pool
        self.sizes = sizes
        self.results: Dict[str, Numbers] = {}
        self.operations: Dict[str, List[Recorded]] = {}

    def run(self, everything: bool) -> Dict[str, Numbers]:
        """Measure the initial sync, and all the rest too when asked to; return it by phase."""
        make_pool(self.site_a, self.site_b, self.pool)
        with ExitStack() as stack:
            stack.callback(remove_pool, (self.site_a, self.site_b), self.pool)
            self.a, self.b = Header(self.site_a, self.pool), Header(self.site_b, self.pool)
            stack.callback(self.a.close)
            stack.callback(self.b.close)
            self._fill()
            idle = self._idle(self.sizes.idle_seconds / 3)
            self.replayer.start()
            stack.callback(self._stop)
            self._wait_known()
            self._initial()
            if everything:
                self._empty(idle)
                self._delta()
                self._small_create()
                self._small()
        return self.results

    def _stop(self) -> None:
        if self.replayer.pid:
            self.replayer.stop()
            self.replayer.pid = 0

    # --- phases -------------------------------------------------------------------------------

    def _initial(self) -> None:
        with self._phase("initial") as numbers:
            with rbd.Image(self.a.ioctx, BIG) as image:
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
            enabled = time.monotonic()
            self._until(lambda: bool(self.b.mirror_namespaces(BIG)))
            begun = time.monotonic()
            snap_id = max(self.a.mirror_namespaces(BIG))
            self._until(lambda: self._is_complete(BIG, snap_id))
            ended = time.monotonic()
            numbers["seconds_until_begun"] = begun - enabled
            numbers["seconds"] = ended - begun
            numbers["mib_per_second"] = self.sizes.image / MIB / (ended - begun)

    def _empty(self, idle: Numbers) -> None:
        """Sync snapshots with nothing in them.

        What the snapshot itself costs is measured while nobody replays; what is there all the time
        is measured too, without a replayer and with an idle one.
        """
        command = self._snapshots_alone()
        time.sleep(self.sizes.settle_seconds)
        idle_replayer = self._idle(self.sizes.idle_seconds)
        syncs = []
        with self._phase("empty") as numbers, self._counted(numbers):
            for _ in range(self.sizes.empty_syncs):
                syncs.append(self._sync(BIG))
                time.sleep(self.sizes.settle_seconds)
        numbers["each"] = syncs
        for clock in syncs[0]:
            numbers[clock] = statistics.median(sync[clock] for sync in syncs)
        for site in ("a", "b"):
            raw = numbers[site]["op"] / len(syncs)
            apart = numbers["elapsed"] / len(syncs)
            others = command[site]["op"] + idle[site]["op"] / idle["elapsed"] * apart
            own_idle = (
                idle_replayer[site]["op"] / idle_replayer["elapsed"]
                - idle[site]["op"] / idle["elapsed"]
            )
            numbers[site].update(
                raw_op=raw,
                command_op=command[site]["op"],
                net_op=raw - others,
                idle_op_per_second=own_idle,
                sync_op=raw - others - own_idle * apart,
                net_out_bytes=numbers[site]["op_out_bytes"] / len(syncs),
            )
        self._record_one()

    def _record_one(self) -> None:
        """Keep a list of all operations of one more empty sync."""
        found: Dict[str, List[Operation]] = {"a": [], "b": []}
        with recorded(self.site_a, found["a"]), recorded(self.site_b, found["b"]):
            begun = time.time()
            self._sync(BIG)
            time.sleep(1.0)
            ended = time.time()
        # With the snapshot command's own: it also removes what the daemon only unlinks.
        own = (self.a.client, self.b.client)
        for site, operations in found.items():
            self.operations[site] = [
                ("command" if o.client in own else "replayer", o)
                for o in operations
                if begun <= o.at <= ended and not is_look(o, own)
            ]

    def _snapshots_alone(self) -> Numbers:
        """Return what a snapshot costs the OSDs while no replayer runs."""
        self.replayer.stop()
        numbers: Numbers = {}
        with self._counted(numbers):
            for _ in range(2):
                snap_id = self._snapshot(BIG)
        self.replayer.start()
        self._until(lambda: self._is_synced(BIG, snap_id))
        return {site: {k: v / 2 for k, v in numbers[site].items()} for site in ("a", "b")}

    def _delta(self) -> None:
        blocks = random.sample(range(self.sizes.image // BLOCK), self.sizes.writes)
        with rbd.Image(self.a.ioctx, BIG) as image:
            for block in blocks:
                image.write(os.urandom(BLOCK), block * BLOCK)
            image.flush()
        time.sleep(self.sizes.settle_seconds)
        with self._phase("delta") as numbers, self._counted(numbers):
            numbers.update(self._sync(BIG))
            time.sleep(self.sizes.settle_seconds)
        numbers["changed_bytes"] = len(blocks) * BLOCK
        raw = numbers["a"]["op_out_bytes"]
        numbers["raw_out_bytes"] = raw
        numbers["net_out_bytes"] = raw - self.results["empty"]["a"]["net_out_bytes"]

    def _small_create(self) -> None:
        """Make the small images and let them be copied once."""
        def make(name: str) -> None:
            rbd.RBD().create(self.a.ioctx, name, self.sizes.small_image)
            with rbd.Image(self.a.ioctx, name) as image:
                image.write(os.urandom(BLOCK), 0)
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)

        with self._phase("small images, first sync") as numbers:
            start = time.monotonic()
            with ThreadPoolExecutor(10) as pool:
                list(pool.map(make, self._small_names()))
            self._wait_all({n: max(self.a.mirror_namespaces(n)) for n in self._small_names()})
            numbers["seconds"] = time.monotonic() - start

    def _small(self) -> None:
        for name in self._small_names():
            with rbd.Image(self.a.ioctx, name) as image:
                image.write(os.urandom(BLOCK), BLOCK)
        time.sleep(self.sizes.settle_seconds)
        with self._phase("small") as numbers:
            start = time.monotonic()
            with ThreadPoolExecutor(len(self._small_names())) as pool:
                snap_ids = list(pool.map(self._snapshot, self._small_names()))
            made = time.monotonic()
            self._wait_all(dict(zip(self._small_names(), snap_ids)))
            numbers["seconds"] = time.monotonic() - start
            numbers["seconds_after_snapshots"] = time.monotonic() - made

    def _small_names(self) -> List[str]:
        return [f"small-{number}" for number in range(self.sizes.small_images)]

    # --- what phases are made of ----------------------------------------------------------------

    def _fill(self) -> None:
        rbd.RBD().create(self.a.ioctx, BIG, self.sizes.image)
        with rbd.Image(self.a.ioctx, BIG) as image:
            for offset in range(0, self.sizes.image, 4 * MIB):
                image.write(os.urandom(4 * MIB), offset)
            image.flush()

    def _wait_known(self) -> None:
        """Wait until site-a knows the replayer, as older snapshots never reach it."""
        def known() -> bool:
            peers = self.site_a.rbd_json("mirror", "pool", "info", self.pool)["peers"]
            return any(peer["mirror_uuid"] for peer in peers)

        wait_for(known, seconds=SYNC_SECONDS)

    def _snapshot(self, name: str) -> int:
        with rbd.Image(self.a.ioctx, name) as image:
            return int(image.mirror_image_create_snapshot())

    def _sync(self, name: str) -> Numbers:
        """Make a snapshot and wait until it is copied and all is tidy; return the times in seconds.

        The replayer hears of the snapshot before the command returns, and the daemon leaves the
        removal of older ones to the next command, while the worker does it itself: so times since
        the return say little. What means the same for both is the time from the taking of the
        snapshot until it is copied.
        """
        started = time.time()
        with rbd.Image(self.a.ioctx, name) as image:
            snap_id = int(image.mirror_image_create_snapshot())
            returned = time.time()
        self._until(lambda: self._is_complete(name, snap_id))
        copied = time.time()
        self._until(lambda: self._is_synced(name, snap_id))
        ended = time.time()
        header = self.a.read(name)
        snapshot = header.snapshot(snap_id) if header else None
        assert snapshot is not None, f"{name}: snapshot {snap_id} is gone from site-a"
        return {
            "command_seconds": returned - started,
            "seconds": ended - returned,
            "seconds_taken_to_copied": copied - snapshot.timestamp_ns / 1e9,
            "seconds_taken_to_unlinked": ended - snapshot.timestamp_ns / 1e9,
        }

    def _wait_all(self, snap_ids: Dict[str, int]) -> None:
        for name, snap_id in snap_ids.items():
            self._until(partial(self._is_complete, name, snap_id))

    def _is_complete(self, name: str, snap_id: int) -> bool:
        return any(
            n.primary_snap_id == snap_id and n.complete
            for n in self.b.mirror_namespaces(name).values()
        )

    def _is_synced(self, name: str, snap_id: int) -> bool:
        """Tell whether the snapshot is copied whole, and the older ones are free of the peer."""
        return self._is_complete(name, snap_id) and not any(
            n.peer_uuids for id, n in self.a.mirror_namespaces(name).items() if id < snap_id
        )

    def _until(self, predicate: Any) -> None:
        wait_for(predicate, seconds=SYNC_SECONDS, interval=POLL_SECONDS)

    @contextmanager
    def _phase(self, name: str) -> Iterator[Numbers]:
        """Add what the replayer uses meanwhile to the numbers of the phase."""
        print(f"{self.replayer.name}: {name}", flush=True)
        numbers = self.results.setdefault(name, {})
        before = usage(self.replayer.pid)
        yield numbers
        after = usage(self.replayer.pid)
        numbers["cpu_seconds"] = after.cpu_seconds - before.cpu_seconds
        numbers["rss"], numbers["peak_rss"] = after.rss, after.peak_rss

    def _idle(self, seconds: float) -> Numbers:
        numbers: Numbers = {}
        with self._counted(numbers):
            time.sleep(seconds)
        return numbers

    @contextmanager
    def _counted(self, numbers: Numbers) -> Iterator[None]:
        """Add what the OSDs serve meanwhile, without our own looks at headers."""
        start = time.monotonic()
        own = [(header.reads, header.read_bytes) for header in (self.a, self.b)]
        before = self.site_a.osd_counters(), self.site_b.osd_counters()
        yield
        after = self.site_a.osd_counters(), self.site_b.osd_counters()
        numbers["elapsed"] = time.monotonic() - start
        for site, header, old, new, (reads, read_bytes) in zip(
            "ab", (self.a, self.b), before, after, own
        ):
            numbers[site] = {name: new[name] - old[name] for name in new}
            numbers[site]["op"] -= header.reads - reads
            numbers[site]["op_r"] -= header.reads - reads
            numbers[site]["op_out_bytes"] -= header.read_bytes - read_bytes


def make_pool(site_a: Site, site_b: Site, name: str) -> None:
    """Create the pool at both sites and let site-b mirror that of site-a."""
    for site in (site_a, site_b):
        site.create_pool(name)
        site.rbd("mirror", "pool", "enable", name, "image", "--site-name", site.name)
    token = site_a.rbd("mirror", "pool", "peer", "bootstrap", "create", name)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(token)
        file.flush()
        site_b.rbd("mirror", "pool", "peer", "bootstrap", "import", name, file.name)


def remove_pool(sites: Sequence[Site], name: str) -> None:
    """Remove the pool and wait until the OSDs are done with that."""
    for site in sites:
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")

    def done() -> bool:
        dumps = (json.loads(s.ceph("tell", "osd.0", "perf", "dump", "osd")) for s in sites)
        return not any(dump["osd"]["numpg_removing"] for dump in dumps)

    time.sleep(2.0)
    wait_for(done, seconds=SYNC_SECONDS)


def run(lab: Lab, sizes: Sizes, repeat: int) -> Dict[str, Any]:
    """Let both take turns; return the numbers by replayer, a list of turns each."""
    site_b = lab.sites["site-b"]
    order: List[Replayer] = [Daemon(site_b), Worker(site_b)]
    found: Dict[str, Any] = {replayer.name: [] for replayer in order}
    found["operations"] = {}
    for number in range(repeat):
        for replayer in order:
            turn = Turn(lab, replayer, f"bench-{replayer.name}-{number}", sizes)
            found[replayer.name].append(turn.run(everything=number == 0))
            if turn.operations:
                found["operations"][replayer.name] = turn.operations
        order.reverse()
    enable_module(lab)
    found["failover"] = benchfailover.measure(lab, sizes.small_images)
    found["schedule"] = schedules(lab, sizes)
    found["journal"] = benchjournal.measure(lab, sizes.journal, repeat)
    return found


def schedules(lab: Lab, sizes: Sizes) -> Dict[str, Any]:
    """Measure the snapshot schedules alone."""
    return {"minute": benchschedule.measure(lab, sizes.scheduled_images),
            "decide": benchschedule.decide(sizes.decided_images)}


def enable_module(lab: Lab) -> None:
    """Have our commands at both sites, but none of the managers' workers."""
    for site in lab.sites.values():
        site.ceph("config", "set", "mgr", "mgr/mirror_mgr/workers", "0", "--force")
        site.ceph("mgr", "module", "enable", "mirror_mgr", "--force")
    for site in lab.sites.values():
        wait_for(partial(knows_commands, site), seconds=SYNC_SECONDS)


def knows_commands(site: Site) -> bool:
    return site.run("ceph", "rbd-mirror", "worker", "ls").returncode == 0


def main() -> int:
    """Do what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works")
    parser.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="initial syncs, and turns in journal mode, of each")
    parser.add_argument("--output", metavar="FILE", help="write all numbers as JSON")
    parser.add_argument("--operations", action="store_true",
                        help="list each RADOS operation of one empty sync")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--schedules", action="store_true",
                      help="nothing but the snapshot schedules")
    part.add_argument("--journal", action="store_true", help="nothing but the journal mode")
    parser.add_argument("--lab", metavar="DIR", help="a lab that is up, without mirror_mgr in it")
    choice.add_release(parser)
    args = parser.parse_args()
    releases = choice.settle("bench", args.release, args.lab)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sizes = QUICK if args.quick else Sizes()
    try:
        with ExitStack() as stack:
            lab = the_lab(args.lab, stack, releases)
            if args.schedules or args.journal:
                enable_module(lab)
            if args.schedules:
                found = {"schedule": schedules(lab, sizes)}
            elif args.journal:
                found = {"journal": benchjournal.measure(lab, sizes.journal, args.repeat)}
            else:
                found = run(lab, sizes, args.repeat)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(tables(found, sizes)))
    if args.operations and "operations" in found:
        print(listing(found["operations"]))
    if args.output:
        Path(args.output).write_text(json.dumps({"sizes": asdict(sizes), **found}, indent=1) + "\n")
    return 0


def tables(found: Dict[str, Any], sizes: Sizes) -> Iterator[str]:
    """Return a table for each part that was measured."""
    if "daemon" in found:
        yield table(found["daemon"], found["worker"])
    if "failover" in found:
        yield failover_table(found["failover"], sizes.small_images)
    if "schedule" in found:
        yield schedule_table(found["schedule"]["minute"], found["schedule"]["decide"],
                             sizes.scheduled_images, sizes.decided_images)
    if "journal" in found:
        yield journal_table(found["journal"]["daemon"], found["journal"]["worker"])


def is_look(operation: Operation, own: Sequence[int]) -> bool:
    """Tell whether the operation is one of our looks at a header, which librbd never does so."""
    return operation.client in own and operation.steps.startswith("omap-get-vals")


def listing(operations: Dict[str, Dict[str, List[Recorded]]]) -> str:
    """Return the operations of one empty sync, a line each, with milliseconds from its start."""
    lines = []
    for name, sites in operations.items():
        start = min(o.at for found in sites.values() for _, o in found)
        for site, found in sites.items():
            lines.append(f"{name}, site-{site}: {len(found)} operations")
            lines += [f"  {1000 * (o.at - start):7.0f}  {who:<8}  {o.kind}" for who, o in found]
    return "\n".join(lines)


def the_lab(directory: Optional[str], stack: ExitStack, releases: Optional[Releases]) -> Lab:
    """Return the lab in the directory, or one that is gone after the run."""
    if directory:
        return Lab.attach(directory)
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
    return stack.enter_context(Lab(Path(scratch) / "lab", module=False, releases=releases))


if __name__ == "__main__":
    sys.exit(main())
