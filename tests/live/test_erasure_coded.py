"""Images whose data is in an erasure-coded pool: the copies are right, and the OSDs survive it.

$MIRROR_MGR_SEED repeats a run, $MIRROR_MGR_ROUNDS makes it longer.  Such a pool takes three OSDs at
each site.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List, Sequence, Type

import pytest

from qa.failover import check_object_maps, fail_over
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.journal_rounds import fail_over as fail_over_journal
from qa.rounds import LAYOUTS, MIB, Layout, Rounds, in_data_pool, prepare
from qa.sites import Lab, Site
from qa.waiting import wait_for
from qa.workers import Workers
from tests.live.labs import lab_with
from tests.live.test_fake_rados import play
from tests.live.test_kills import noted

ROUNDS = int(os.environ.get("MIRROR_MGR_ROUNDS", "2"))
OSDS = 3

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="module")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    with lab_with(OSDS, pytestconfig.option.release) as lab:
        yield lab


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    return seed


@pytest.fixture
def data_pool(site_a: Site, site_b: Site, pool: str) -> Iterator[str]:
    name = prepare((site_a, site_b), pool, erasure_coded=True)
    yield name
    for site in (site_a, site_b):
        assert site.osds_up() == OSDS
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def test_what_osds_make_of_operations(site_a: Site, data_pool: str) -> None:
    """Of several stripes each, with rollbacks."""
    cluster = site_a.rados()
    try:
        with cluster.open_ioctx(data_pool) as ioctx:
            play(ioctx, site_a, erasure_coded=True, size=40000)
    finally:
        cluster.shutdown()


def images_of(kind: Type[Rounds], layouts: Sequence[Layout], sites: Sequence[Site], pool: str,
              data_pool: str, seed: int) -> List[Rounds]:
    return [kind(*sites, pool, layout.name, layout, random.Random(f"{seed} {layout.name}"),
                 data_pool) for layout in layouts]


def begin(one: Rounds) -> None:
    one.create()
    one.wait_current()
    one.compare()


@pytest.mark.parametrize("kind, layouts", [(Rounds, LAYOUTS), (JournalRounds, JOURNAL_LAYOUTS)],
                         ids=["snapshot", "journal"])
def test_writes_where_objects_end(
        site_a: Site, site_b: Site, pool: str, data_pool: str, seed: int, kind: Type[Rounds],
        layouts: Sequence[Layout]) -> None:
    """To the stripe of 8 KiB in which an object ends, is cut off, or is removed and made anew."""
    [one] = images_of(kind, in_data_pool(layouts, "plain"), (site_a, site_b), pool, data_pool, seed)
    size = 1 << one.layout.order
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        begin(one)
        with one.image(site_a) as image:
            image.resize(4 * size)
            image.discard(0, 4 * size)
            for number, length in enumerate((5000, 9000, 20000, 20000)):
                image.write(b"a" * length, number * size)
        update(one)
        workers.stop()  # what the journal has then comes as one window
        with one.image(site_a) as image:
            image.write(b"b" * 100, 4200)
            image.write(b"b" * 100, size + 8200)
            image.discard(2 * size + 9000, size - 9000)
            image.write(b"b" * 100, 2 * size + 8200)
            image.discard(3 * size, size)
            image.create_snap("empty")
            image.write(b"b" * 100, 3 * size + 4200)
            image.discard(3 * size + 4210, size - 4210)
            image.write(b"c" * 100, 3 * size + 4250)
        workers.start()
        update(one)
    one.close()


def update(one: Rounds) -> None:
    """Have the copy get all that was done at the primary, and compare."""
    if not isinstance(one, JournalRounds):
        one.wait_copied(one.snapshot())
    one.wait_current()
    one.compare()


def test_rounds(site_a: Site, site_b: Site, pool: str, data_pool: str, seed: int) -> None:
    layouts = in_data_pool(LAYOUTS, "plain", "small-objects-striped", "layering-only",
                           "clone-of-clone-striped")
    images = images_of(Rounds, layouts, (site_a, site_b), pool, data_pool, seed)

    def rounds(one: Rounds) -> None:
        begin(one)
        for _ in range(ROUNDS):
            one.round()

    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        with ThreadPoolExecutor(len(images)) as threads:
            list(threads.map(rounds, images))
        for one in images:
            one.change()
            fail_over(one)
            one.close()


def test_rounds_by_the_journal(site_a: Site, site_b: Site, pool: str, data_pool: str,
                               seed: int) -> None:
    layouts = in_data_pool(JOURNAL_LAYOUTS, "plain", "small-objects-striped", "clone")
    images = images_of(JournalRounds, layouts, (site_a, site_b), pool, data_pool, seed)
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        for one in images:
            assert isinstance(one, JournalRounds)
            begin(one)
            for _ in range(ROUNDS):
                one.round()
            fail_over_journal(one)
            one.close()


@pytest.mark.parametrize("kind, layouts", [(Rounds, LAYOUTS), (JournalRounds, JOURNAL_LAYOUTS)],
                         ids=["snapshot", "journal"])
def test_killed_anywhere_it_goes_on(
        site_a: Site, site_b: Site, pool: str, data_pool: str, seed: int, kind: Type[Rounds],
        layouts: Sequence[Layout]) -> None:
    [one] = images_of(kind, in_data_pool(layouts, "plain"), (site_a, site_b), pool, data_pool, seed)
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        begin(one)
        for _ in range(2 * ROUNDS):
            one.change()
            if kind is Rounds:
                one.snapshot()
            time.sleep(one.rng.random())
            workers.kill()
            workers.start()
        one.wait_current()
        if isinstance(one, JournalRounds):
            one.compare(maps=False)
        else:
            one.compare()
    one.close()


def test_a_forced_promotion_in_the_middle_of_a_sync_rolls_objects_back(
        site_a: Site, site_b: Site, pool: str, data_pool: str, seed: int) -> None:
    """librbd does, one by one."""
    layout = Layout("many", order=17, size=64 * MIB, data_pool=True)
    one = Rounds(site_a, site_b, pool, "many", layout, random.Random(seed), data_pool)
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        begin(one)
        one.round()
        expected = one.digests_at_copy()
        workers.stop()
        with one.image(site_a) as image:
            image.resize(layout.size)
            image.write(os.urandom(16 * MIB), 0)
            image.discard(17 * MIB, 9 * MIB)
        one.snapshot()
        workers.crashing("--slow", "0.4")
        wait_for(lambda: noted(one), one.describe)
        workers.kill()
        workers.fence()
        site_b.rbd("mirror", "image", "promote", "--force", one.spec)
        assert one.digests_at_copy() == expected
        check_object_maps(one, site_b)
    one.close()
