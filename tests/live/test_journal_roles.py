"""Journal mode: a forced promotion, a resync, the pool mode, and the end of mirroring."""

import random
from typing import Iterator

import pytest
import rbd

from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

SMALL = Layout("small", features=JOURNAL_LAYOUTS[0].features, size=8 * MIB)

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture
def image(site_a: Site, site_b: Site, pool: str) -> Iterator[JournalRounds]:
    one = JournalRounds(site_a, site_b, pool, "image", SMALL, random.Random())
    yield one
    one.close()


def description(site: Site, image: JournalRounds) -> str:
    return str(site.rbd_json("mirror", "image", "status", image.spec)["description"])


def test_forced_promotion_split_brain_resync_and_removal(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.wait_current()
        copy = image.image_id(site_b)
        site_b.rbd("mirror", "image", "promote", "--force", image.spec)
        other = image.reversed()
        other.change()
        other.close()
        image.change()
        wait_for(lambda: description(site_b, image) == "local image is primary",
                 image.describe)
        site_b.rbd("mirror", "image", "demote", image.spec)
        wait_for(lambda: description(site_b, image) == "split-brain detected", image.describe)
        site_b.rbd("mirror", "image", "resync", image.spec)
        wait_for(lambda: image_id(image, site_b) not in ("", copy), image.describe)
        image.wait_current()
        image.compare()
        site_a.rbd("mirror", "image", "disable", image.spec)
        wait_for(lambda: not image_id(image, site_b), image.describe)


def image_id(image: JournalRounds, site: Site) -> str:
    try:
        return image.image_id(site)
    except rbd.ImageNotFound:
        return ""


def test_in_pool_mode_images_with_a_journal_are_mirrored(
        site_a: Site, site_b: Site, pool: str, image: JournalRounds) -> None:
    for site in (site_a, site_b):
        site.ceph("rbd-mirror", "pool", "enable", pool, "pool")
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        site_a.rbd("create", "--size", "8M", "--image-feature",
                   "layering,exclusive-lock,journaling", image.spec)
        site_a.rbd("create", "--size", "8M", f"{pool}/not-mirrored")
        image.wait_current()
        image.round()
        assert site_b.rbd("ls", pool).split() == [image.name]
