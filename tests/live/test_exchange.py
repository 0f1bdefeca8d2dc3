"""Worker and C++ rbd-mirror daemon take turns on the same image, and neither starts over.

In the daemon's turns nothing is discarded, zeroed or shrunk: release 16 loses that (tracker 58852).
"""

import os
import random
from contextlib import contextmanager
from typing import Iterator

import pytest

from qa.errors import LabError
from qa.failover import check_object_maps
from qa.images import mirror_snapshots
from qa.leftovers import leftovers
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

LAYOUT = Layout("exchanged", order=15, size=64 * MIB)
CLONE = Layout("clone", order=20, size=16 * MIB, clone=2)
DAEMON = "exchange"
# Seconds that a worker takes for each write where it is to be killed on its way.
SLOW = "0.1"

pytestmark = pytest.mark.usefixtures("no_workers")


class Writes(Rounds):
    """Only writes: what the daemon mirrors faithfully."""

    def change(self, count: object = None) -> None:
        with self.image(self.primary) as image:
            for _ in range(12):
                self._write(image)


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Writes]:
    rounds = Writes(site_a, site_b, pool, "image", LAYOUT, random.Random())
    yield rounds
    rounds.close()


@pytest.fixture
def workers(site_a: Site, site_b: Site, pool: str) -> Iterator[Workers]:
    with Workers(site_b, site_a, pool) as workers:
        yield workers


@contextmanager
def daemon(site: Site) -> Iterator[None]:
    """The C++ daemon, for the time of the block; it may be killed in there."""
    # One object at a time, so that it can be caught on its way.
    site.ceph("config", "set", "client", "rbd_concurrent_management_ops", "1")
    site.start_rbd_mirror(DAEMON)
    try:
        yield
    finally:
        try:
            site.stop_rbd_mirror(DAEMON)
        except LabError:
            pass
        site.ceph("config", "rm", "client", "rbd_concurrent_management_ops")


def image_id(rounds: Rounds) -> str:
    with rounds.image(rounds.copy) as image:
        return str(image.id())


def noted(rounds: Rounds) -> int:
    """How many objects of the newest snapshot the copy has, as far as that is noted."""
    with rounds.image(rounds.copy) as image:
        newest = mirror_snapshots(image)[-1]
        if newest.complete:
            return 0
        return int(image.snap_get_mirror_namespace(newest.id)["last_copied_object_number"])


def status(rounds: Rounds) -> str:
    return str(rounds.copy.rbd_json("mirror", "image", "status", rounds.spec)["description"])


def write_all(rounds: Rounds) -> None:
    """Change every object, so that a sync takes its time."""
    with rounds.image(rounds.primary) as image:
        for offset in range(0, image.size(), MIB):
            image.write(os.urandom(MIB), offset)


def compare_writes(rounds: Rounds) -> None:
    """Compare the image and user snapshots; the daemon's own snapshot shows older data."""
    with rounds.image(rounds.primary) as image:
        expected = rounds.user_digests(image)
    assert rounds.digests_at_copy() == expected, rounds.describe()


def test_they_take_turns_twice(site_b: Site, pool: str, rounds: Writes, workers: Workers) -> None:
    workers.start()
    rounds.create()
    rounds.wait_current()
    rounds.compare()
    copy = image_id(rounds)
    for _ in range(2):
        rounds.round()
        workers.stop()
        with daemon(site_b):
            rounds.change()
            rounds.wait_copied(rounds.snapshot())
            compare_writes(rounds)
        workers.start()
        rounds.round()
        wait_for(lambda: "unverified" in status(rounds), lambda: status(rounds))
        assert image_id(rounds) == copy
    wait_for(lambda: not leftovers(site_b, pool), lambda: str(leftovers(site_b, pool)))


def test_they_take_turns_on_a_clone_that_is_flattened_then(
        site_a: Site, site_b: Site, pool: str, workers: Workers) -> None:
    """The daemon copies nothing up: snapshots from before its turn keep the parent.

    In its turn all is written, as it spoils some of what is changed in part.
    """
    clone = Writes(site_a, site_b, pool, "clone", CLONE, random.Random())
    workers.start()
    clone.create()
    clone.wait_current()
    with clone.image(site_a) as image:
        image.create_snap("before")
    clone.round()
    workers.stop()
    with daemon(site_b):
        write_all(clone)
        clone.wait_copied(clone.snapshot())
        compare_writes(clone)
    workers.start()
    clone.round()
    before = clone.digests_at_copy()["@before"]
    with clone.image(site_a) as image:
        image.flatten()
    clone.wait_copied(clone.snapshot())
    found = clone.digests_at_copy()
    assert found["@before"] == before
    with clone.image(site_a) as image:
        assert found["HEAD"] == clone.user_digests(image)["HEAD"]
        image.remove_snap("before")
    clone.round()
    # The next sync finds no snapshot any more that needs the parent.
    clone.round()
    assert "parent" not in site_b.rbd_json("info", clone.spec)
    clone.close()


def test_each_carries_on_where_the_other_was_killed(
        site_b: Site, rounds: Writes, workers: Workers) -> None:
    workers.start()
    rounds.create()
    rounds.wait_current()
    workers.stop()
    copy = image_id(rounds)

    write_all(rounds)
    snapshot = rounds.snapshot()
    with daemon(site_b):
        wait_for(lambda: noted(rounds), rounds.describe, interval=0.05)
        site_b.kill_rbd_mirror(DAEMON)
    print(f"the daemon was killed after {noted(rounds)} objects")
    workers.start()
    rounds.wait_copied(snapshot)
    compare_writes(rounds)
    rounds.round()
    workers.stop()

    write_all(rounds)
    snapshot = rounds.snapshot()
    workers.crashing("--slow", SLOW)
    wait_for(lambda: noted(rounds), rounds.describe)
    workers.kill()
    workers.fence()
    print(f"the worker was killed after {noted(rounds)} objects")
    with daemon(site_b):
        rounds.wait_copied(snapshot)
    compare_writes(rounds)
    assert image_id(rounds) == copy


def test_forced_promotion_after_a_takeover_gives_the_last_complete_snapshot(
        site_b: Site, rounds: Writes, workers: Workers) -> None:
    with daemon(site_b):
        rounds.create()
        # The daemon has no snapshot made for it, where the first one came before its first ping.
        rounds.wait_copied(rounds.snapshot())
        rounds.change()
        rounds.wait_copied(rounds.snapshot())
    compare_writes(rounds)
    expected = rounds.digests_at_copy()
    write_all(rounds)
    rounds.snapshot()
    workers.crashing("--slow", SLOW)
    wait_for(lambda: noted(rounds), rounds.describe)
    workers.kill()
    workers.fence()
    site_b.rbd("mirror", "image", "promote", "--force", rounds.spec)
    assert rounds.digests_at_copy() == expected, rounds.describe()
    check_object_maps(rounds, site_b)
