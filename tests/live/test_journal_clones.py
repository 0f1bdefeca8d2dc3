"""Clones that are mirrored by their journals: who waits for whom, and how they become flat."""

import random
from typing import Iterator, List

import pytest

from qa.failover import check_object_maps
from qa.images import opened
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds, fail_over
from qa.rounds import MIB
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

CLONE = next(layout for layout in JOURNAL_LAYOUTS if layout.name == "clone")

pytestmark = pytest.mark.usefixtures("no_workers")


class Clone(JournalRounds):
    def write(self, offset: int, length: int) -> None:
        with self.image(self.primary) as image:
            image.write(self.rng.randbytes(length), offset)


@pytest.fixture
def clone(site_a: Site, site_b: Site, pool: str) -> Iterator[Clone]:
    one = Clone(site_a, site_b, pool, "clone", CLONE, random.Random())
    yield one
    one.close()


def snapshots(site: Site, spec: str) -> List[str]:
    return [s["namespace"]["type"] for s in site.rbd_json("snap", "ls", "--all", spec)]


def make(clone: Clone, pool: str) -> str:
    """The clone, with data of its own, and its parent, both mirrored; return the latter's spec.

    The parent has data, and a hole that the clone writes to.
    """
    site, parent = clone.primary, f"{pool}/parent"
    site.rbd("create", "--size", "16M", "--object-size", "1M", parent)
    with opened(site, pool, "parent", read_only=False) as image:
        image.write(clone.rng.randbytes(5 * MIB), 0)
    site.rbd("snap", "create", f"{parent}@base")
    site.rbd("snap", "protect", f"{parent}@base")
    site.rbd("clone", "--rbd-default-clone-format", "2", "--object-size", "1M",
             f"{parent}@base", clone.spec)
    clone.write(MIB - 50, 100)
    clone.write(7 * MIB, 100)
    for spec in (parent, clone.spec):
        site.rbd("mirror", "image", "enable", spec, "journal")
    return parent


def test_the_parent_s_snapshot_goes_with_its_last_clone(
        site_a: Site, site_b: Site, pool: str, clone: Clone) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        parent = make(clone, pool)
        clone.wait_current()
        clone.compare()
        assert site_b.rbd_json("info", clone.spec)["parent"]["image"] == "parent"

        for verb in ("unprotect", "rm"):
            site_a.rbd("snap", verb, f"{parent}@base")
        wait_for(lambda: snapshots(site_b, parent) == ["trash"], clone.describe)
        with clone.image(site_a) as image:
            image.create_snap("before")
            image.discard(2 * MIB, MIB)
            image.discard(3 * MIB + 5000, 5000)
        clone.wait_current()
        clone.compare()

        site_a.rbd("flatten", clone.spec)
        clone.write(4 * MIB, 100)
        clone.wait_current()
        clone.compare()
        for site in (site_a, site_b):
            wait_for(lambda site=site: snapshots(site, parent) == [], clone.describe)
        fail_over(clone)
        check_object_maps(clone, site_b)
