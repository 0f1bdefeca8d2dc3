"""What an administrator does to an image, and what its clients write meanwhile, at the copy."""

import random
import subprocess
import sys
import threading
import time
from typing import Iterator

import pytest
import rbd

from qa import processes
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.workers import Workers

SMALL = Layout("small", order=20, size=8 * MIB,
               features=JOURNAL_LAYOUTS[0].features | rbd.RBD_FEATURE_DEEP_FLATTEN)

pytestmark = pytest.mark.usefixtures("no_workers")


class Sized(JournalRounds):
    """Of the layout's size to begin with, whatever was done at random."""

    def create(self) -> None:
        super().create()
        with self.image(self.primary) as image:
            image.resize(self.layout.size)


@pytest.fixture
def image(site_a: Site, site_b: Site, pool: str) -> Iterator[JournalRounds]:
    one = Sized(site_a, site_b, pool, "image", SMALL, random.Random())
    yield one
    one.close()


def followed(one: JournalRounds, maps: bool = True) -> None:
    one.wait_current()
    one.compare(maps)


def test_everything_that_is_done_to_an_image(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        followed(image)
        for change in (discards, a_limit_that_is_reached, a_snapshot_that_clones_need,
                       names_that_wander, metadata):
            change(image)
            followed(image)
        features(image)
        # Of maps that are to be rebuilt, only that is the same.
        followed(image, maps=False)
        flags = [site.rbd_json("info", image.spec)["flags"] for site in (site_a, site_b)]
        assert flags[0] == flags[1] != [], flags
        site_a.rbd("rename", image.spec, f"{pool}/renamed")
        image.name = "renamed"
        followed(image, maps=False)
        assert site_b.rbd("ls", pool).split() == ["renamed"]
        status = site_b.rbd_json("mirror", "image", "status", image.spec)
        assert status["state"] == "up+replaying", status


def discards(one: JournalRounds) -> None:
    """By any granularity that a client may have; what is zeroed has none."""
    for option, value in (("rbd_discard_granularity_bytes", "4096"),
                          ("rbd_discard_granularity_bytes", "1048576"),
                          ("rbd_skip_partial_discard", "true"),
                          ("rbd_skip_partial_discard", "false")):
        cluster = one.primary.rados()
        try:
            cluster.conf_set(option, value)
            with cluster.open_ioctx(one.spec.split("/")[0]) as ioctx, \
                    rbd.Image(ioctx, one.name) as image:
                image.write(one.rng.randbytes(3 * MIB), 0)
                for offset, length in ((100, 70000), (65536, 131072), (MIB, MIB), (2 * MIB, 5000)):
                    image.discard(offset, length)
                image.write_zeroes(3 * MIB - 700, 1000)
        finally:
            cluster.shutdown()


def a_limit_that_is_reached(one: JournalRounds) -> None:
    """The journal says that a snapshot was begun, and then that it failed."""
    with one.image(one.primary) as image:
        count = len(list(image.list_snaps()))
        image.set_snap_limit(count + 1)
        image.create_snap("last")
        with pytest.raises(rbd.DiskQuotaExceeded):
            image.create_snap("beyond")
        image.write(b"after", 0)
        image.set_snap_limit(200)
        image.create_snap("now there is room")


def a_snapshot_that_clones_need(one: JournalRounds) -> None:
    with one.image(one.primary) as image:
        image.create_snap("parent")
        image.protect_snap("parent")
    clone = f"{one.spec}-clone"
    one.primary.rbd("clone", "--rbd-default-clone-format", "1", f"{one.spec}@parent", clone)
    refused = one.primary.run("rbd", "snap", "unprotect", f"{one.spec}@parent")
    assert refused.returncode == 16, refused.stderr
    one.primary.rbd("rm", clone)
    one.primary.rbd("snap", "unprotect", f"{one.spec}@parent")
    one.primary.rbd("snap", "rollback", f"{one.spec}@parent")


def names_that_wander(one: JournalRounds) -> None:
    """What has a name now is not what had it before."""
    with one.image(one.primary) as image:
        for number in range(3):
            image.write(one.rng.randbytes(5000), number * 10000)
            image.create_snap("first")
            image.rename_snap("first", f"was first {number}")
        image.rename_snap("was first 0", "first")
        image.remove_snap("was first 1")


def features(one: JournalRounds) -> None:
    for verb, names in (("disable", ["object-map", "fast-diff"]), ("disable", ["deep-flatten"]),
                        ("enable", ["object-map", "fast-diff"]), ("disable", ["fast-diff"]),
                        ("enable", ["fast-diff"])):
        one.primary.rbd("feature", verb, one.spec, *names)
        one.change(3)


def metadata(one: JournalRounds) -> None:
    with one.image(one.primary) as image:
        image.metadata_set("a key \u00e9", "a value\n\u00e9")
        image.metadata_set("empty", "")
        image.metadata_set("gone", "soon")
        image.metadata_remove("gone")


def test_writes_between_the_beginning_and_the_end_of_an_operation(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        with image.image(site_a) as opened:
            enough = threading.Event()
            writer = threading.Thread(target=write_on, args=(opened, image.rng, enough))
            writer.start()
            try:
                for number in range(4):
                    # Other clients: whoever holds the lock does it, while it writes.
                    site_a.rbd("snap", "create", f"{image.spec}@during-{number}")
                    site_a.rbd("resize", "--allow-shrink", "--size", f"{9 + number % 2}M",
                               image.spec)
                    site_a.rbd("image-meta", "set", image.spec, "number", str(number))
                site_a.rbd("snap", "rm", f"{image.spec}@during-1")
                site_a.rbd("snap", "rename", f"{image.spec}@during-2", f"{image.spec}@renamed")
            finally:
                enough.set()
                writer.join()
        followed(image)


def write_on(image: rbd.Image, rng: random.Random, enough: threading.Event) -> None:
    """Write within the first 8 MiB, many at once, and none where another one is under way."""
    while not enough.is_set():
        done = [image.aio_write(rng.randbytes(4096), block * 4096, nothing)
                for block in rng.sample(range(2000), 16)]
        for one in done:
            one.wait_for_complete_and_cb()


def nothing(completion: object) -> None:
    """Called by librbd."""


CLIENT = """
import random, sys, rados, rbd
conf, pool, name, seed = sys.argv[1:]
rng = random.Random(seed)
with rados.Rados(conffile=conf) as cluster, cluster.open_ioctx(pool) as ioctx:
    with rbd.Image(ioctx, name) as image:
        print("open", flush=True)
        for number in range(10**6):
            first = number % 8 * 125
            for block in rng.sample(range(first, first + 125), 8):
                image.aio_write(rng.randbytes(4096), block * 4096, lambda c: None)
            kind = rng.randrange(4)
            if kind == 0:
                image.create_snap(f"{seed}-{number}")
            elif kind == 1:
                image.resize(rng.randrange(4, 9) << 20)
            elif kind == 2:
                snaps = [s["name"] for s in image.list_snaps() if s["namespace"] == 0]
                if snaps:
                    try:
                        getattr(image, rng.choice(("remove_snap", "rollback_to_snap")))(snaps[0])
                    except rbd.ImageBusy:
                        pass  # the client that was killed was at it
            else:
                image.flush()
"""


def test_clients_of_the_primary_that_are_killed(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    """The next client ends what they had begun."""
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        for seed in range(3):
            client = subprocess.Popen(
                [sys.executable, "-c", CLIENT, str(site_a.directory / "ceph.conf"), pool,
                 image.name, str(seed)],
                env=processes.member_environment(site_a.lab), stdout=subprocess.PIPE)
            assert client.stdout is not None
            try:
                assert client.stdout.readline() == b"open\n"
                time.sleep(1 + image.rng.random())
                assert client.poll() is None, "the client failed by itself"
            finally:
                client.kill()
                client.wait()
                client.stdout.close()
                # The next one would wait until the watch of the dead one expires.
                for watcher in site_a.rbd_json("status", image.spec)["watchers"]:
                    site_a.ceph("osd", "blocklist", "add", watcher["address"])
            site_a.rbd("image-meta", "set", image.spec, "next", str(seed))
            followed(image, maps=False)
