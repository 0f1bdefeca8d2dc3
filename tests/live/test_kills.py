"""Workers that are killed at any write of a sync, and what the next one makes of it.

A sample in CI; $MIRROR_MGR_KILLS (points a test) makes it larger, and `qa/kills` tries them all.
"""

import os
import random
import time

import pytest

from qa.failover import check_object_maps
from qa.images import mirror_snapshots
from qa.kills import Kills, Point
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

POINTS = int(os.environ.get("MIRROR_MGR_KILLS", "3"))
# How many writes a sync of a small image makes, about; one beyond the last is no kill.
FIRST_WRITES, LATER_WRITES = 40, 45

pytestmark = pytest.mark.usefixtures("no_workers")


def sample(first: bool, writes: int) -> "list[Point]":
    """Points spread over the sync, each at random in its part."""
    part = writes / POINTS
    return [Point(first, random.choice(("before", "after")),
                  1 + int(part * number + random.random() * part)) for number in range(POINTS)]


@pytest.mark.parametrize("first, writes", [(True, FIRST_WRITES), (False, LATER_WRITES)],
                         ids=["first-sync", "later-sync"])
def test_a_worker_killed_at_a_write_leaves_nothing_wrong(
        site_a: Site, site_b: Site, pool: str, first: bool, writes: int) -> None:
    with Workers(site_b, site_a, pool) as workers:
        kills = Kills(site_a, site_b, pool, workers)
        if not first:
            kills.prepare(POINTS)
        for point in sample(first, writes):
            print(point, "killed" if kills.kill_at(point) else "done before that")


def noted(rounds: Rounds) -> int:
    """The number of objects that the copy of the newest snapshot is known to have, as noted."""
    with rounds.image(rounds.copy) as image:
        newest = mirror_snapshots(image)[-1]
        if newest.complete:
            return 0
        return image.snap_get_mirror_namespace(newest.id)["last_copied_object_number"]


def test_six_kills_during_a_sync_lose_nothing_and_repeat_little(
        site_a: Site, site_b: Site, pool: str) -> None:
    rng = random.Random()
    layout = Layout("many", order=17, size=64 * MIB)
    rounds = Rounds(site_a, site_b, pool, "many", layout, rng)
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        rounds.create()
        rounds.wait_current()
        workers.stop()
        with rounds.image(site_a) as image:
            image.resize(layout.size)
            for offset in range(0, layout.size, 4 * MIB):
                image.write(rng.randbytes(4 * MIB), offset)
            image.create_snap("between")
            for offset in range(0, layout.size, MIB):
                image.write(rng.randbytes(4096), offset)
            image.discard(20 * MIB + 1000, MIB)
        rounds.snapshot()
        done = 0
        for _ in range(6):
            workers.crashing("--slow", "0.4")
            wait_for(lambda: noted(rounds) > done, rounds.describe)
            done = noted(rounds)
            time.sleep(rng.random())
            workers.kill()
        before = site_a.osd_counters()["op_out_bytes"]
        workers.start()
        rounds.wait_current()
        moved = site_a.osd_counters()["op_out_bytes"] - before
        remaining = layout.size - done * (1 << layout.order)
        print(f"{done} objects done after six kills, then {moved} bytes for {remaining}")
        # Beside the data: 64 small writes, headers, maps, and what is read here meanwhile.
        assert done and moved < remaining + 2 * MIB
        rounds.compare()
    rounds.close()


@pytest.mark.parametrize("ours", [False, True], ids=["rbd", "ours"])
def test_forced_promotion_in_the_middle_of_a_sync_gives_the_last_complete_snapshot(
        site_a: Site, site_b: Site, pool: str, ours: bool) -> None:
    layout = Layout("many", order=17, size=64 * MIB)
    rounds = Rounds(site_a, site_b, pool, "many", layout, random.Random())
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        rounds.create()
        rounds.wait_current()
        rounds.round()
        expected = rounds.digests_at_copy()
        workers.stop()
        with rounds.image(site_a) as image:
            image.resize(layout.size)
            image.write(os.urandom(32 * MIB), 0)
            # A user snapshot on the way back, on which librbd 16 crashes, is for our command.
            if ours:
                image.create_snap("between")
            image.discard(33 * MIB, 9 * MIB)
        rounds.snapshot()
        workers.crashing("--slow", "0.4")
        wait_for(lambda: noted(rounds), rounds.describe)
        workers.kill()
        if ours:
            site_b.ceph("rbd-mirror", "image", "promote", rounds.spec, "--force")
        else:
            workers.fence()
            site_b.rbd("mirror", "image", "promote", "--force", rounds.spec)
        assert rounds.digests_at_copy() == expected
        check_object_maps(rounds, site_b)
    rounds.close()
