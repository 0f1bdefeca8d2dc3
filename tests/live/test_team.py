"""Several workers on one pool, by hand: who replays what, also when one of them dies or hangs."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Callable, Iterator, List

import pytest
import rados
import rbd

from mirror_mgr.worker.protocol import EXIT_FENCED, PoolReport
from qa.images import checksum, mirror_snapshots
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Worker, Workers

IMAGES = 40
MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("no_workers")


class Team:
    """A few workers at the pool, each started and ended by itself."""

    def __init__(self, primary: Site, copy: Site, pool: str, stack: ExitStack) -> None:
        self.primary, self.copy, self.pool = primary, copy, pool
        self._stack = stack
        self.workers: List[Worker] = []

    def start(self, count: int, slow: str = "0") -> None:
        """Start workers that take so many seconds for each write."""
        for _ in range(count):
            self.workers.append(self._stack.enter_context(
                Workers(self.copy, self.primary, self.pool)).crashing("--slow", slow))

    def kill(self, worker: Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    def images(self, worker: Worker) -> List[str]:
        """The global ids of what a worker replays of the pool."""
        return [gid for gid, image in worker.images.items()
                if image.spec.startswith(f"{self.pool}/")]

    def shares(self) -> List[int]:
        return [len(self.images(worker)) for worker in self.workers]

    def leader(self) -> Worker:
        [one] = [w for w in self.workers if any(pool.leader for pool in self.reports(w))]
        return one

    def reports(self, worker: Worker) -> List[PoolReport]:
        """What a worker says of the pool, as soon as it has found it."""
        return [report for report in worker.pools if report.name == self.pool]

    def wait_spread(self, images: int) -> float:
        """Wait until every image is replayed by exactly one worker, and each has some."""
        start = time.monotonic()
        wait_for(lambda: self._is_spread(images), self.describe)
        return time.monotonic() - start

    def _is_spread(self, images: int) -> bool:
        known = [gid for worker in self.workers for gid in self.images(worker)]
        return len(known) == len(set(known)) == images and all(self.shares())

    def describe(self) -> str:
        return "\n".join(f"{w.addresses}: {len(self.images(w))} images, {self.reports(w)}\n  "
                         + "\n  ".join(w.log[-15:]) for w in self.workers)


@pytest.fixture
def team(site_a: Site, site_b: Site, pool: str) -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(site_a, site_b, pool, stack)


class Images:
    """A number of small images at both sites, each site over one connection."""

    def __init__(self, team: Team, count: int, stack: ExitStack) -> None:
        self.team = team
        self.names = [f"image{number}" for number in range(count)]
        self._pools = []
        for site in (team.primary, team.copy):
            cluster = site.rados()
            stack.callback(cluster.shutdown)
            self._pools.append(stack.enter_context(cluster.open_ioctx(team.pool)))
        self.primary, self.copy = self._pools

    def create(self) -> None:
        self._each(self._create)

    def sync(self) -> None:
        """Write to each image, and wait until the copies have that."""
        self._each(self._write)
        wait_for(lambda: all(map(self.is_current, self.names)), self.team.describe, interval=0.5)
        self.compare()

    def is_current(self, name: str) -> bool:
        return self._newest(self.copy, name) == self._newest(self.primary, name)

    def incomplete(self, name: str) -> bool:
        """Whether a snapshot is being copied."""
        with rbd.Image(self.copy, name, read_only=True) as image:
            return not mirror_snapshots(image)[-1].complete

    def compare(self) -> None:
        for name in self.names:
            assert self._checksum(self.primary, name) == self._checksum(self.copy, name), name

    def _each(self, work: Callable[[str], None]) -> None:
        """At the same time: each snapshot waits for the monitors."""
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(work, self.names))

    def _create(self, name: str) -> None:
        rbd.RBD().create(self.primary, name, MIB, order=18)
        with rbd.Image(self.primary, name) as image:
            image.write(name.encode(), 0)
            image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)

    def _write(self, name: str) -> None:
        with rbd.Image(self.primary, name) as image:
            image.write(str(time.time_ns()).encode(), 4096)
            image.mirror_image_create_snapshot()

    @staticmethod
    def _newest(pool: rados.Ioctx, name: str) -> int:
        """The primary's newest mirror snapshot that is whole there; 0 for none."""
        try:
            with rbd.Image(pool, name, read_only=True) as image:
                return max((s.primary_id or s.id for s in mirror_snapshots(image) if s.complete),
                           default=0)
        except rbd.ImageNotFound:
            return 0

    @staticmethod
    def _checksum(pool: rados.Ioctx, name: str) -> str:
        with rbd.Image(pool, name, read_only=True) as image:
            return checksum(image)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_images_are_spread_and_move_on_when_workers_die(team: Team, stack: ExitStack) -> None:
    images = Images(team, IMAGES, stack)
    images.create()
    team.start(3)
    print(f"spread in {team.wait_spread(IMAGES):.1f} s: {team.shares()}")
    images.sync()

    leader = team.leader()
    follower = next(worker for worker in team.workers if worker is not leader)
    team.kill(follower)
    print(f"a dead worker's images moved in {team.wait_spread(IMAGES):.1f} s: "
          f"{team.shares()}")
    team.kill(leader)
    print(f"a dead leader's images moved in {team.wait_spread(IMAGES):.1f} s: "
          f"{team.shares()}")
    images.sync()


def test_where_images_are_not_shared_out_the_leader_has_them(
        team: Team, stack: ExitStack) -> None:
    images = Images(team, 8, stack)
    images.create()
    option = ("client", "rbd_mirror_image_policy_type")
    team.copy.ceph("config", "set", *option, "none")
    stack.callback(team.copy.ceph, "config", "rm", *option)
    team.start(2)

    def is_the_leader_s() -> bool:
        leaders = [one for one in team.workers if any(r.leader for r in team.reports(one))]
        return len(leaders) == 1 and sum(team.shares()) == len(team.images(leaders[0])) == 8

    wait_for(is_the_leader_s, team.describe)
    images.sync()
    team.kill(team.leader())
    wait_for(is_the_leader_s, team.describe)
    team.start(1)
    images.sync()
    assert is_the_leader_s(), team.describe()


def test_a_worker_that_hangs_in_a_sync_is_fenced_and_ends(
        team: Team, stack: ExitStack) -> None:
    images = Images(team, 1, stack)
    images.create()
    team.start(2, slow="0.25")
    wait_for(lambda: sum(team.shares()) == 1 and all(map(team.reports, team.workers)),
             team.describe)
    images.sync()
    [name] = images.names
    hanging = next(worker for worker in team.workers if team.images(worker))
    with rbd.Image(images.primary, name) as image:
        image.resize(64 * MIB)
        for offset in range(0, 64 * MIB, MIB):
            image.write(os.urandom(MIB), offset)
        image.mirror_image_create_snapshot()
    wait_for(lambda: images.incomplete(name), team.describe, interval=0.05)
    hanging.signal(signal.SIGSTOP)
    try:
        moved = time.monotonic()
        other = next(worker for worker in team.workers if worker is not hanging)
        wait_for(lambda: team.images(other), team.describe)
        print(f"its image moved in {time.monotonic() - moved:.1f} s")
        wait_for(lambda: images.is_current(name), team.describe)
        assert hanging.addresses[-1] in team.copy.ceph("osd", "blocklist", "ls")
    finally:
        hanging.signal(signal.SIGCONT)
    wait_for(lambda: not hanging.alive, team.describe)
    assert hanging.status == EXIT_FENCED, team.describe()
    team.workers.remove(hanging)
    team.start(1)
    images.compare()
    images.sync()


def test_a_daemon_and_workers_leave_the_pool_to_who_was_first(
        team: Team, stack: ExitStack) -> None:
    images = Images(team, 8, stack)
    daemon = "beside"

    def leads() -> bool:
        """Whether the daemon leads, by what it reports."""
        reports = team.copy.ceph_json("rbd-mirror", "pool", "status", team.pool, "--detail")
        return any(one["client_id"] == daemon and one["leader"] for one in reports["daemons"])

    def passive() -> bool:
        reports = team.copy.ceph_json("rbd-mirror", "pool", "status", team.pool, "--detail")
        return any(one["client_id"] == daemon and one["instance_id"] and not one["leader"]
                   for one in reports["daemons"])

    team.copy.start_rbd_mirror(daemon)
    stack.callback(team.copy.stop_rbd_mirror, daemon)
    wait_for(leads, lambda: team.copy.ceph("service", "dump"))
    images.create()
    team.start(2)
    wait_for(lambda: all(any(report.foreign_leader for report in team.reports(worker))
                         for worker in team.workers), team.describe)
    assert team.shares() == [0, 0]
    team.copy.stop_rbd_mirror(daemon)
    print(f"took over in {team.wait_spread(8):.1f} s")
    team.copy.start_rbd_mirror(daemon)
    wait_for(passive, lambda: team.copy.ceph("service", "dump"))
    images.sync()
    assert passive() and sum(team.shares()) == 8, team.describe()
