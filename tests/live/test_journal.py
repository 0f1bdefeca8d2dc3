"""Images in journal mode: copies equal their sources, through failovers, kills and daemons.

$MIRROR_MGR_SEED repeats a run, $MIRROR_MGR_ROUNDS makes it longer.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterator, List

import pytest
import rbd

from mirror_mgr.wire.journal import PeerClientData, PeerState, decode_client_data
from qa.failover import check_object_maps
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds, fail_over
from qa.rounds import MIB, Layout, prepare
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import CRASHING, Workers

ROUNDS = int(os.environ.get("MIRROR_MGR_ROUNDS", "1"))

CLONE = next(layout for layout in JOURNAL_LAYOUTS if layout.name == "clone")
DAEMON = "journal-exchange"

FEATURES = "layering,exclusive-lock,object-map,fast-diff,journaling"
HALF = Layout("half", features=JOURNAL_LAYOUTS[0].features, order=16, size=8 * MIB)

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
        check_object_maps(one, one.copy, as_librbd=True)


def test_copies_equal_their_sources_through_failover_and_failback(
        site_a: Site, site_b: Site, pool: str, images: List[JournalRounds]) -> None:
    with Workers(site_b, site_a, pool) as workers, Workers(site_a, site_b, pool) as back:
        workers.start()
        back.start()
        flat = [one for one in images if not one.layout.clone]
        with ThreadPoolExecutor(len(flat)) as threads:
            list(threads.map(rounds, flat))
        # One after the other: with several clones open at once, this process has aborted within
        # librbd 16 or librados.
        for one in images:
            if one.layout.clone:
                rounds(one)
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
    clone = JournalRounds(site_a, site_b, pool, "clone", CLONE, random.Random(image.rng.random()))
    with Workers(site_b, site_a, pool) as workers, ThreadPoolExecutor(2) as threads:
        workers.start()
        for one in (image, clone):
            one.create()
            one.wait_current()
        changing = [threads.submit(lambda one=one: [one.change(15) for _ in range(3)])
                    for one in (image, clone)]
        while not all(one.done() for one in changing):
            time.sleep(image.rng.random() * 2)
            workers.kill()
            workers.start()
        for future in changing:
            future.result()
        for one in (image, clone):
            one.wait_current()
            one.compare(maps=False)
            fail_over(one, maps=False)
    clone.close()


def test_a_daemon_at_one_site_and_a_worker_at_the_other(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    """They fail over to each other, back and forth, and nobody starts over."""
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        ids = [image.image_id(site) for site in (site_a, site_b)]
        site_a.start_rbd_mirror(DAEMON)
        try:
            for one in (image, image.reversed(), image):
                round_of_daemon(one)
                wait_for(lambda one=one: is_known(one), one.describe)
                fail_over(one)
                one.close()
        finally:
            site_a.stop_rbd_mirror(DAEMON)
        assert [image.image_id(site) for site in (site_a, site_b)] == ids


def round_of_daemon(one: JournalRounds) -> None:
    one.change()
    one.flush()
    one.wait_current()
    one.compare()


def is_known(one: JournalRounds) -> bool:
    """Whether the site that is primary follows the copy, for the time when that is the primary."""
    return len(one.header(one.copy).clients) == 2


def test_first_syncs_that_the_other_ends(site_a: Site, site_b: Site, pool: str) -> None:
    """Killed in the middle of it: a daemon that a worker follows, and a worker that a daemon does.

    The daemon's turns have no discards: release 16 loses those of a first sync.
    """
    by_daemon, by_worker = (Written(site_a, site_b, pool, name, HALF, random.Random())
                            for name in ("by-daemon", "by-worker"))
    with Workers(site_b, site_a, pool) as workers:
        by_worker.create()
        workers.start(CRASHING, "--slow", "0.05")
        wait_for(lambda: copied(by_worker), by_worker.describe)
        workers.kill()
        copy = by_worker.image_id(site_b)
        site_b.ceph("config", "set", "client", "rbd_concurrent_management_ops", "1")
        site_b.start_rbd_mirror(DAEMON)
        try:
            by_worker.wait_current()
            by_worker.compare(maps=False)
            assert by_worker.image_id(site_b) == copy
            by_daemon.create()
            wait_for(lambda: copied(by_daemon), by_daemon.describe, interval=0.02)
        finally:
            site_b.kill_rbd_mirror(DAEMON)
            site_b.ceph("config", "rm", "client", "rbd_concurrent_management_ops")
        copy = by_daemon.image_id(site_b)
        workers.start()
        # One is demoted before its copy is whole.
        for one in (by_daemon, by_worker):
            one.change()
            fail_over(one, maps=False)
            check_maps(one)
        assert by_daemon.image_id(site_b) == copy
    for one in (by_daemon, by_worker):
        one.close()


class Written(JournalRounds):
    """With two snapshots and data in all objects."""

    def create(self) -> None:
        self.primary.rbd("create", "--size", str(self.layout.size >> 20), "--object-size", "64K",
                         "--image-feature", FEATURES, self.spec)
        with self.image(self.primary) as image:
            for name in ("first", "second"):
                image.write(self.rng.randbytes(self.layout.size), 0)
                image.create_snap(name)
        self.primary.rbd("mirror", "image", "enable", self.spec, "journal")

    def _operation(self) -> Callable[[rbd.Image], None]:
        return self._write


def copied(one: JournalRounds) -> bool:
    """Whether the first sync is on its way, its snapshots made and some data there."""
    for client in one.header(one.primary).clients.values():
        data = decode_client_data(client.data)
        if isinstance(data, PeerClientData) and data.state == PeerState.SYNCING:
            return bool(data.sync_points) and len(one.data_objects(one.copy)) > 20
    return False


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
            round_of_daemon(image)
        finally:
            site_b.stop_rbd_mirror(DAEMON)
        workers.start()
        image.round()
        assert image.image_id(site_b) == copy
        fail_over(image)
