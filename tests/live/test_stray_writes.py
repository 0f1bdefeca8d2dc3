"""A client writes while roles are changed by `rbd`: the copies are equal all the same."""

import os
import random
import threading
from typing import Iterator

import pytest
import rbd

from qa.images import checksum, opened
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for

BASE = rbd.RBD_FEATURE_LAYERING
LOCK = BASE | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
MAPS = LOCK | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF


class Writer(threading.Thread):
    """Writes blocks at random until it is refused."""

    def __init__(self, site: Site, pool: str) -> None:
        super().__init__()
        self.site = site
        self.pool = pool
        self.started = threading.Event()
        self.over = False

    def run(self) -> None:
        try:
            with opened(self.site, self.pool, "image", read_only=False) as image:
                while not self.over:
                    image.write(os.urandom(4096), random.randrange(image.size() // 4096) * 4096)
                    self.started.set()
        except rbd.Error:
            pass


@pytest.fixture(params=[BASE, LOCK, MAPS], ids=["layering", "lock", "maps"])
def rounds(request: pytest.FixtureRequest, site_a: Site, site_b: Site,
           pool: str) -> Iterator[Rounds]:
    layout = Layout("small", features=request.param, order=20, size=8 * MIB)
    rounds = Rounds(site_a, site_b, pool, "image", layout, random.Random())
    rounds.create()
    rounds.wait_current()
    yield rounds
    rounds.close()


def test_there_and_back(rounds: Rounds, pool: str) -> None:
    turns = [rounds, rounds.reversed(), rounds]
    for here, there in zip(turns, turns[1:]):
        writer = Writer(here.primary, pool)
        writer.start()
        assert writer.started.wait(60)
        here.primary.rbd("mirror", "image", "demote", here.spec)
        writer.join(5)
        writer.over = True
        writer.join()
        wait_for(lambda here=here: not here.copy.run(
            "rbd", "mirror", "image", "promote", here.spec).returncode, here.describe)
        with there.image(there.primary) as image:
            image.write(b"since then", 0)
        there.wait_copied(there.snapshot())
        with opened(there.primary, pool, "image") as one, \
                opened(there.copy, pool, "image") as other:
            assert checksum(one) == checksum(other), there.describe()
    turns[1].close()
