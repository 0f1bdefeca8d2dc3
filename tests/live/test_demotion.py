"""An image is demoted only when nobody can write to it any more: what a client was told is kept."""

import random
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import Dict, Iterator, List

import pytest
import rbd

from qa.images import checksum, opened
from qa.ledger import Ledger
from qa.sites import Site
from qa.waiting import wait_for

BLOCKS = 1024
TURNS = 4
KINDS = {
    "snapshot": ["layering,exclusive-lock,object-map,fast-diff", "snapshot"],
    "lockless": ["layering", "snapshot"],
    "journal": ["layering,exclusive-lock,journaling", "journal"],
}


@pytest.fixture
def images(site_a: Site, site_b: Site, pool: str) -> List[str]:
    """One of each kind, with a copy."""
    for name, (features, mode) in KINDS.items():
        site_a.rbd("create", f"{pool}/{name}", "--size", "4M", "--image-feature", features)
        site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/{name}", mode)
    wait_for(lambda: len(up_to_date(site_b, pool)) == len(KINDS))
    return list(KINDS)


def up_to_date(site: Site, pool: str) -> List[str]:
    found = site.ceph_json("rbd-mirror", "pool", "status", pool, "--detail")["images"]
    return [image["name"] for image in found if image["standing"]["state"] == "up-to-date"]


def are_primary(site: Site, pool: str, images: List[str]) -> bool:
    return all(site.rbd_json("info", f"{pool}/{name}")["mirroring"]["primary"] for name in images)


def test_who_has_it_open_is_named(site_a: Site, pool: str, images: List[str]) -> None:
    cluster = site_a.rados()
    client_id = cluster.get_instance_id()
    try:
        with cluster.open_ioctx(pool) as ioctx, ExitStack() as clients:
            for name in images:
                image = clients.enter_context(rbd.Image(ioctx, name))
                image.write(b"x" * 4096, 0)
            [address] = [watcher["addr"] for watcher in image.watchers_list()
                         if watcher["id"] == client_id]
            for words in [("pool", "demote", pool),
                          *(("image", "demote", f"{pool}/{name}") for name in images)]:
                refused = site_a.run("ceph", "rbd-mirror", *words)
                assert refused.returncode == 30, refused
                assert f"client.{client_id} at {address} has it open" in refused.stderr
                assert f"run: ceph rbd-mirror {' '.join(words)} --force" in refused.stderr
            assert are_primary(site_a, pool, images)
            image.write(b"y" * 4096, 0)
    finally:
        cluster.shutdown()
    with opened(site_a, pool, images[0]):  # who only reads is no obstacle
        assert site_a.ceph("rbd-mirror", "pool", "demote", pool).strip() == (
            "Demoted 3 mirrored images")


@contextmanager
def writing(site: Site, pool: str, name: str, ledger: Ledger) -> Iterator[None]:
    """A client writes until it is refused, which is waited for."""
    dice = random.Random()
    begun = threading.Event()

    def write() -> None:
        cluster = site.rados()
        cluster.conf_set("rbd_cache", "false")  # what is acknowledged is there
        with suppress(rbd.Error), cluster.open_ioctx(pool) as ioctx, \
                rbd.Image(ioctx, name) as image:
            while True:
                ledger.write(image, dice.randrange(BLOCKS))
                begun.set()
        cluster.shutdown()

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(begun.is_set)
    yield
    thread.join()


def test_nothing_acknowledged_is_lost_by_force(site_a: Site, site_b: Site, pool: str,
                                               images: List[str]) -> None:
    ledgers: Dict[str, Ledger] = {name: Ledger(BLOCKS) for name in images}
    here, there = site_a, site_b
    for _ in range(TURNS):
        with ExitStack() as clients:
            for name, ledger in ledgers.items():
                clients.enter_context(writing(here, pool, name, ledger))
            demoted = here.run("ceph", "rbd-mirror", "pool", "demote", pool, "--force")
            assert demoted.stdout.strip() == "Demoted 3 mirrored images", demoted
            assert "ceph osd blocklist rm" in demoted.stderr
        wait_for(lambda site=there: not site.run(
            "ceph", "rbd-mirror", "pool", "promote", pool).returncode and are_primary(
                site, pool, images))
        for name, ledger in ledgers.items():
            with opened(there, pool, name) as image:
                assert ledger.differences(image) == [], name
        here, there = there, here
    wait_for(lambda: len(up_to_date(there, pool)) == len(images))
    for name in images:
        with opened(here, pool, name) as primary, opened(there, pool, name) as copy:
            assert checksum(primary) == checksum(copy), name
