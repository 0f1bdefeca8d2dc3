"""Random changes, mirrored: every snapshot of every copy equals the source, also after failover.

$MIRROR_MGR_SEED repeats a run, $MIRROR_MGR_ROUNDS makes it longer; `qa/rounds` is for hours of it.
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List

import pytest

from qa.failover import fail_over
from qa.leftovers import leftovers
from qa.rounds import LAYOUTS, Rounds, prepare
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

ROUNDS = int(os.environ.get("MIRROR_MGR_ROUNDS", "2"))

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture
def images(site_a: Site, site_b: Site, pool: str) -> Iterator[List[Rounds]]:
    """An image of each layout."""
    seed = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    data_pool = prepare((site_a, site_b), pool)
    images = [Rounds(site_a, site_b, pool, layout.name, layout,
                     random.Random(f"{seed} {layout.name}"), data_pool) for layout in LAYOUTS]
    yield images
    for one in images:
        one.close()
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", data_pool, data_pool, "--yes-i-really-really-mean-it")


def rounds(one: Rounds) -> None:
    one.create()
    one.wait_current()
    one.compare()
    for _ in range(ROUNDS):
        one.round()


def test_copies_equal_their_sources_through_rounds_failover_and_failback(
        site_a: Site, site_b: Site, pool: str, images: List[Rounds]) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        with ThreadPoolExecutor(len(images)) as threads:
            list(threads.map(rounds, images))
        for namespace in {one.layout.namespace for one in images}:
            for site in (site_a, site_b):
                wait_for(lambda: not leftovers(site, pool, namespace),
                         lambda: str(leftovers(site, pool, namespace)))
        for one in images:
            one.change()
            print(f"{one.spec} promoted in {fail_over(one):.1f} s")
        with Workers(site_a, site_b, pool) as back:
            back.start()
            for name in ("plain", "clone"):
                one = next(i for i in images if i.name == name).reversed()
                one.wait_current()
                for _ in range(2):
                    one.round()
                print(f"{one.spec} promoted in {fail_over(one, followed=True):.1f} s")
                one.close()
