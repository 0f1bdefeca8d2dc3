"""Images in journal mode: copies equal their sources, through failovers, kills and daemons.

$MIRROR_MGR_SEED repeats a run, $MIRROR_MGR_ROUNDS makes it longer.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List

import pytest

from qa.failover import check_object_maps
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds, fail_over
from qa.rounds import prepare
from qa.sites import Site
from qa.workers import Workers

ROUNDS = int(os.environ.get("MIRROR_MGR_ROUNDS", "1"))

DAEMON = "journal-exchange"

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture
def images(site_a: Site, site_b: Site, pool: str) -> Iterator[List[JournalRounds]]:
    """An image of each layout."""
    seed = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    data_pool = prepare((site_a, site_b), pool)
    images = [JournalRounds(site_a, site_b, pool, layout.name, layout,
                            random.Random(f"{seed} {layout.name}"), data_pool)
              for layout in JOURNAL_LAYOUTS]
    yield images
    for one in images:
        one.close()
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", data_pool, data_pool, "--yes-i-really-really-mean-it")


def rounds(one: JournalRounds) -> None:
    one.create()
    one.wait_current()
    one.compare()
    for _ in range(ROUNDS):
        one.round()
    fail_over(one)
    check_maps(one)


def check_maps(one: JournalRounds) -> None:
    """By librbd, beyond comparing them with the primary's.

    After a rollback the primary's own do not stand up to that: HEAD takes over the snapshot's map.
    """
    if not any(event.startswith("rollback") for event in one.history):
        check_object_maps(one, one.copy)


def test_copies_equal_their_sources_through_failover_and_failback(
        site_a: Site, site_b: Site, pool: str, images: List[JournalRounds]) -> None:
    with Workers(site_b, site_a, pool) as workers, Workers(site_a, site_b, pool) as back:
        workers.start()
        back.start()
        with ThreadPoolExecutor(len(images)) as threads:
            list(threads.map(rounds, images))
        one = images[0].reversed()
        for _ in range(ROUNDS):
            one.round()
        fail_over(one)
        check_maps(one)
        again = one.reversed()
        again.round()
        one.close()
        again.close()


@pytest.fixture
def image(site_a: Site, site_b: Site, pool: str) -> Iterator[JournalRounds]:
    """One image, and what is random about it."""
    seed = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    one = JournalRounds(site_a, site_b, pool, "image", JOURNAL_LAYOUTS[0], random.Random(seed))
    yield one
    one.close()


def test_killed_anywhere_it_goes_on(site_a: Site, site_b: Site, pool: str,
                                    image: JournalRounds) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        with ThreadPoolExecutor(1) as threads:
            changing = threads.submit(lambda: [image.change(15) for _ in range(3)])
            while not changing.done():
                time.sleep(image.rng.random() * 2)
                workers.kill()
                workers.start()
            changing.result()
        image.wait_current()
        image.compare(maps=False)
        fail_over(image, maps=False)


def test_worker_and_daemon_take_turns(site_a: Site, site_b: Site, pool: str,
                                      image: JournalRounds) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        copy = image.image_id(site_b)
        image.round()
        workers.stop()
        site_b.start_rbd_mirror(DAEMON)
        try:
            image.round()
        finally:
            site_b.stop_rbd_mirror(DAEMON)
        workers.start()
        image.round()
        assert image.image_id(site_b) == copy
        fail_over(image)
