"""How a journal is followed: trimmed behind us, with a delay, from another pool, or not at all."""

import random
import threading
import time
from typing import Callable, Dict, Iterator, List

import pytest
import rados
import rbd

from mirror_mgr.wire.journal import ClientState
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

SMALL = Layout("small", features=JOURNAL_LAYOUTS[0].features, order=20, size=8 * MIB)

pytestmark = pytest.mark.usefixtures("no_workers")


class Followed(JournalRounds):
    """With a journal of small objects, so that their sets follow each other fast."""

    journal = ("--journal-object-size", "64K", "--journal-splay-width", "2")

    def create(self) -> None:
        self.primary.rbd("create", "--size", "8M", "--object-size", "1M", "--image-feature",
                         "layering,exclusive-lock,object-map,fast-diff,journaling",
                         *self.journal, self.spec)
        self.primary.rbd("mirror", "image", "enable", self.spec, "journal")

    def write(self, count: int, **conf: str) -> None:
        """Write so many blocks as a client with these options."""
        cluster = self.primary.rados()
        try:
            for option, value in conf.items():
                cluster.conf_set(option, value)
            with cluster.open_ioctx(self.spec.split("/")[0]) as ioctx, \
                    rbd.Image(ioctx, self.name) as image:
                for _ in range(count):
                    image.write(self.rng.randbytes(4096), self.rng.randrange(2000) * 4096)
        finally:
            cluster.shutdown()

    def status(self) -> Dict[str, str]:
        found = self.copy.rbd_json("mirror", "image", "status", self.spec)
        return {"state": found["state"], "description": found["description"]}

    def journal_objects(self) -> List[int]:
        """Of the journals in the pool, by their numbers."""
        with self._ioctx(self.primary) as ioctx:
            return [int(entry.key.rpartition(".")[2]) for entry in ioctx.list_objects()
                    if entry.key.startswith("journal_data.")]

    def is_disconnected(self) -> bool:
        return ClientState.DISCONNECTED in {
            client.state for client in self.header(self.primary).clients.values()}


Make = Callable[[str], Followed]


@pytest.fixture
def make(site_a: Site, site_b: Site, pool: str) -> Iterator[Make]:
    made = []

    def one(name: str) -> Followed:
        made.append(Followed(site_a, site_b, pool, name, SMALL, random.Random()))
        return made[-1]

    yield one
    for image in made:
        image.close()


def test_the_primary_trims_what_was_replayed(site_a: Site, site_b: Site, pool: str,
                                             make: Make) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        one = make("trimmed")
        one.create()
        one.write(1)
        one.wait_current()
        seen = set()
        enough = threading.Event()
        with one.image(site_a) as image:
            def write_on() -> None:
                while not enough.is_set():
                    image.write(one.rng.randbytes(4096), one.rng.randrange(2000) * 4096)

            writer = threading.Thread(target=write_on)
            writer.start()
            try:
                # Under load, too, the position is noted again and again, and old sets go.
                def trimmed() -> bool:
                    seen.add(one.positions().copy)
                    return one.header(site_a).minimum_set > 4 and len(seen) > 3

                wait_for(trimmed, one.describe)
            finally:
                enough.set()
                writer.join()
        one.wait_current()
        one.compare()
        header = one.header(site_a)
        assert min(one.journal_objects()) >= header.minimum_set * header.splay_width


def test_disconnected_delayed_and_in_another_pool(site_a: Site, site_b: Site, pool: str,
                                                  make: Make) -> None:
    for site in (site_a, site_b):
        site.create_pool(f"{pool}-journals")
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        left, resynced, delayed, elsewhere = map(make, ("left", "resynced", "delayed", "elsewhere"))
        elsewhere.journal = ("--journal-pool", f"{pool}-journals")
        every = (left, resynced, delayed, elsewhere)
        for one in every:
            one.create()
            one.write(1)
        for one in every:
            one.wait_current()
            one.compare()
        assert elsewhere.header(site_a).pool_id >= 0
        copies = {one.name: one.image_id(site_b) for one in every}
        a_delay(delayed)
        elsewhere.round()
        site_a.rbd("image-meta", "set", resynced.spec,
                   "conf_rbd_mirroring_resync_after_disconnect", "true")
        resynced.wait_current()
        workers.stop()
        for one in (left, resynced):
            for _ in range(20):
                one.write(40, rbd_journal_max_concurrent_object_sets="1")
                if one.is_disconnected():
                    break
            assert one.is_disconnected(), one.describe()
        elsewhere.change(5)
        workers.start()
        elsewhere.wait_current()
        elsewhere.compare()
        wait_for(lambda: left.status() == {"state": "up+error", "description": "disconnected"},
                 left.describe)
        wait_for(lambda: image_id(resynced) not in ("", copies["resynced"]), resynced.describe)
        resynced.wait_current()
        resynced.compare()
        assert image_id(left) == copies["left"]
        site_b.ceph("rbd-mirror", "image", "resync", left.spec)
        wait_for(lambda: image_id(left) not in ("", copies["left"]), left.describe)
        left.wait_current()
        left.compare()
        assert not left.is_disconnected()
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", f"{pool}-journals", f"{pool}-journals",
                  "--yes-i-really-really-mean-it")


def a_delay(one: Followed) -> None:
    """Of the image alone, as its metadata says at both sites."""
    seconds = 4
    one.primary.rbd("image-meta", "set", one.spec, "conf_rbd_mirroring_replay_delay", str(seconds))
    one.wait_current()
    before = one.digests_at_copy()
    written = time.time()
    one.write(1)
    wait_for(lambda: one.digests_at_copy() != before, one.describe, interval=0.1)
    assert time.time() - written >= seconds
    one.wait_current()
    one.compare()


def image_id(one: Followed) -> str:
    try:
        return one.image_id(one.copy)
    except (rbd.ImageNotFound, rados.ObjectNotFound):
        return ""
