"""Workers that are killed at any write of making, renewing or removing a copy in journal mode.

A sample; $MIRROR_MGR_KILLS (points a test) makes it larger.
"""

import os
import random

import pytest

from qa.journal_kills import CREATION, REMOVAL, RESYNC, JournalKills, Point
from qa.sites import Site
from qa.workers import Workers

POINTS = int(os.environ.get("MIRROR_MGR_KILLS", "2"))
# How many writes each makes, about; one beyond the last is no kill.
WRITES = {CREATION: 36, RESYNC: 56, REMOVAL: 24}

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.mark.parametrize("work", [CREATION, RESYNC, REMOVAL])
def test_a_worker_killed_at_a_write_leaves_nothing_wrong(
        site_a: Site, site_b: Site, pool: str, work: str) -> None:
    part = WRITES[work] / POINTS
    with Workers(site_b, site_a, pool) as workers:
        kills = JournalKills(site_a, site_b, pool, workers, workers.start, workers.stop)
        for number in range(POINTS):
            point = Point(work, random.choice(("before", "after")),
                          1 + int(part * number + random.random() * part))
            print(point, "killed" if kills.kill_at(point) else "done before that")


# With the mark that it is being made, before and after its name: what a daemon is to clear away.
@pytest.mark.parametrize("write", [10, 13, 14])
def test_a_daemon_finishes_what_a_killed_worker_began(
        site_a: Site, site_b: Site, pool: str, write: int) -> None:
    daemon = "journal-kills"
    with Workers(site_b, site_a, pool) as workers:
        kills = JournalKills(site_a, site_b, pool, workers,
                             lambda: site_b.start_rbd_mirror(daemon),
                             lambda: site_b.stop_rbd_mirror(daemon), tidy=False)
        assert kills.kill_at(Point(CREATION, "before", write))
