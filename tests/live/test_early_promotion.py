"""`rbd mirror image promote` again and again, with no force, while a demotion is being copied.

It must not succeed before all is here, whatever happens to the worker meanwhile.
"""

import os
import random
import time
from typing import Callable, Iterator

import pytest

from qa.images import checksum, opened
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import PATIENCE
from qa.workers import Workers

SIZE = 96 * MIB
LAYOUTS = {
    "snapshot": (Rounds, Layout("large", size=SIZE)),
    "journal": (JournalRounds, Layout("large", features=JOURNAL_LAYOUTS[0].features, size=SIZE)),
}

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(params=list(LAYOUTS))
def image(request: pytest.FixtureRequest, site_a: Site, site_b: Site,
          pool: str) -> Iterator[Rounds]:
    kind, layout = LAYOUTS[request.param]
    one = kind(site_a, site_b, pool, "image", layout, random.Random())
    yield one
    one.close()


def fill(image: Rounds) -> None:
    with image.image(image.primary) as written:
        written.create_snap(f"t{random.getrandbits(30)}")
        for offset in range(0, written.size() - 4 * MIB, 4 * MIB):
            written.write(os.urandom(2 * MIB + 333), offset + random.randrange(MIB))
        written.discard(written.size() // 4, written.size() // 3)


def demote(image: Rounds) -> str:
    """Return the checksum of what it is then."""
    image.primary.rbd("mirror", "image", "demote", image.spec)
    pool, name = image.spec.split("/")
    with opened(image.primary, pool, name) as demoted:
        return checksum(demoted)


def promoted(image: Rounds, pool: str, by_pool: bool) -> bool:
    words = ("pool", "promote", pool) if by_pool else ("image", "promote", image.spec)
    image.copy.run("rbd", "mirror", *words)
    return bool(image.copy.rbd_json("info", image.spec)["mirroring"]["primary"])


def promote_in_a_loop(image: Rounds, pool: str, by_pool: bool,
                      meanwhile: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not promoted(image, pool, by_pool):
        assert time.monotonic() < deadline, image.describe()
        meanwhile()


def content(image: Rounds) -> str:
    with image.image(image.copy) as copied:
        return checksum(copied)


@pytest.mark.parametrize("by_pool", [False, True], ids=["image", "pool"])
def test_it_succeeds_with_all_of_it(image: Rounds, site_a: Site, site_b: Site, pool: str,
                                    by_pool: bool) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        fill(image)
        expected = demote(image)
        promote_in_a_loop(image, pool, by_pool)
        assert content(image) == expected


def test_not_beneath_a_worker_that_is_killed(image: Rounds, site_a: Site, site_b: Site,
                                             pool: str) -> None:
    """At a write at random, five times; each time it is tried to promote what is there then."""
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        fill(image)
        workers.stop()
        expected = demote(image)
        for _ in range(5):
            worker = workers.crashing("--before", str(random.randint(1, 90)))
            while worker.alive and not promoted(image, pool, False):
                pass
            if not worker.alive:
                workers.bury()
            if promoted(image, pool, False):
                break
            if worker.alive:
                workers.stop()
        if not promoted(image, pool, False):
            workers.start()
            promote_in_a_loop(image, pool, False)
        assert content(image) == expected
