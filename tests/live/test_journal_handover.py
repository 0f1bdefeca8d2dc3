"""An orderly failover in journal mode, typed quickly, with workers that are killed on the way.

A promotion without force passes only once the copy has all of it; and what the primary had written
before its demotion is not replayed once more when the roles are back.
"""

import os
import random
from typing import Iterator

import pytest

from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds, fail_over
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

KILLS = int(os.environ.get("MIRROR_MGR_KILLS", "3"))
# How many writes a worker makes from a demotion that it finds to its end, about.
WRITES = 12
LAYOUT = Layout("handover", features=JOURNAL_LAYOUTS[0].features, order=20, size=8 * MIB)

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture
def image(site_a: Site, site_b: Site, pool: str) -> Iterator[JournalRounds]:
    one = JournalRounds(site_a, site_b, pool, "image", LAYOUT, random.Random())
    yield one
    one.close()


def write(one: JournalRounds, length: int) -> None:
    with one.image(one.primary) as opened:
        opened.write(one.rng.randbytes(length), 0)


def content(one: JournalRounds, site: Site) -> str:
    with one.image(site) as opened:
        return one.user_digests(opened)["HEAD"]


def be_known(one: JournalRounds, back: Workers) -> None:
    """Wait until the copy is there, and keeps what the other site needs to follow it later."""
    one.wait_current()
    back.start()
    wait_for(lambda: len(one.header(one.copy).clients) == 2, one.describe)
    back.stop()


def promotes(site: Site, one: JournalRounds) -> bool:
    return site.run("rbd", "mirror", "image", "promote", one.spec).returncode == 0


def test_promoted_at_once_it_has_all(site_a: Site, site_b: Site, pool: str,
                                     image: JournalRounds) -> None:
    there = image.reversed()
    with Workers(site_b, site_a, pool) as workers, Workers(site_a, site_b, pool) as back:
        workers.start()
        image.create()
        be_known(image, back)
        workers.stop()
        for number in range(KILLS):
            write(image, 6 * MIB)
            expected = content(image, site_a)
            site_a.rbd("mirror", "image", "demote", image.spec)
            point = 1 + (WRITES * number + image.rng.randrange(WRITES)) // KILLS
            worker = workers.crashing("--before", str(point))
            wait_for(lambda worker=worker: not worker.alive or promotes(site_b, image),
                     image.describe, interval=0)
            if worker.alive:
                workers.stop()
            else:
                workers.bury()
            if not promotes_already(site_b, image):
                workers.start()
                wait_for(lambda: promotes(site_b, image), image.describe, interval=0)
                workers.stop()
            assert content(image, site_b) == expected, point
            write(there, MIB)
            back.start()
            there.wait_current()
            expected = content(there, site_b)
            fail_over(there, maps=False)
            back.stop()
            assert content(image, site_a) == expected, point
            write(image, 4096)
            workers.start()
            image.wait_current()
            image.compare(maps=False)
            workers.stop()
    there.close()


def test_promoted_and_demoted_again_while_nobody_followed(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    """The site that was demoted first gets what was written in between."""
    there = image.reversed()
    with Workers(site_b, site_a, pool) as workers, Workers(site_a, site_b, pool) as back:
        workers.start()
        image.create()
        be_known(image, back)
        fail_over(image, maps=False)
        write(there, MIB)
        expected = content(there, site_b)
        site_b.rbd("mirror", "image", "demote", image.spec)
        back.start()
        wait_for(lambda: content(there, site_a) == expected, there.describe)
        wait_for(lambda: promotes(site_a, image), there.describe)
        image.compare(maps=False)
    there.close()


def promotes_already(site: Site, one: JournalRounds) -> bool:
    """Whether it was promoted there, or is now."""
    return bool(site.rbd_json("info", one.spec)["mirroring"]["primary"]) or promotes(site, one)
