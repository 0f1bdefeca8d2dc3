"""A copy whose pool is full waits for room, says so, and goes on by itself."""

import itertools
import os
import random
from typing import Callable, Iterator

import pytest

from qa.mirrored import add_pool
from qa.rounds import LAYOUTS, MIB, Rounds
from qa.sites import Lab, Site
from qa.waiting import wait_for

_numbers = itertools.count(1)


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Rounds]:
    rounds = Rounds(site_a, site_b, pool, "image", LAYOUTS[0], random.Random(5))
    rounds.create()
    with rounds.image(site_a) as image:
        image.resize(24 * MIB)
        image.write(random.Random(1).randbytes(8 * MIB), 0)
    rounds.wait_copied(rounds.snapshot())
    yield rounds
    rounds.close()


@pytest.fixture
def elsewhere(lab: Lab, site_a: Site, site_b: Site) -> Iterator[Rounds]:
    """An image in another pool."""
    name = f"full-{os.getpid()}-{next(_numbers)}"
    add_pool(lab, name)
    rounds = Rounds(site_a, site_b, name, "other", LAYOUTS[0], random.Random(6))
    rounds.create()
    rounds.wait_copied(rounds.snapshot())
    yield rounds
    rounds.close()
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def write_more(rounds: Rounds) -> int:
    with rounds.image(rounds.primary) as image:
        image.create_snap(f"more-{len(list(image.list_snaps()))}")
        image.write(rounds.rng.randbytes(8 * MIB), 12 * MIB)
    return rounds.snapshot()


def description(rounds: Rounds) -> str:
    """By a command of ours: the rbd CLI opens the image, and waits for room to watch its header."""
    status = rounds.copy.ceph_json("rbd-mirror", "image", "status", rounds.spec)
    return f"{status['state']}: {status['description']}"


def wait_for_room_and_compare(rounds: Rounds, why: str, make_room: Callable[[], None]) -> None:
    """Have it sync into a full pool, and then into one that is full no longer."""
    wanted = write_more(rounds)
    wait_for(lambda: "full" in description(rounds) and why in description(rounds),
             lambda: description(rounds))
    assert wanted not in rounds.copied()
    make_room()
    rounds.wait_copied(wanted)
    rounds.compare()


def is_full(site: Site, pool: str) -> bool:
    pools = site.ceph_json("osd", "pool", "ls", "detail")
    return any(p["pool_name"] == pool and "full" in p["flags_names"].split(",") for p in pools)


def test_a_full_pool(rounds: Rounds, elsewhere: Rounds, site_b: Site, pool: str) -> None:
    run_into_a_quota(rounds, elsewhere, site_b, pool)
    run_into_full_osds(rounds, site_b, pool)


def run_into_a_quota(rounds: Rounds, elsewhere: Rounds, site_b: Site, pool: str) -> None:
    def set_quota(size: int) -> None:
        site_b.ceph("osd", "pool", "set-quota", pool, "max_bytes", str(size))
        wait_for(lambda: is_full(site_b, pool) is (size > 0))

    set_quota(MIB)
    elsewhere.round()
    wait_for_room_and_compare(rounds, "set-quota", lambda: set_quota(0))


def run_into_full_osds(rounds: Rounds, site_b: Site, pool: str) -> None:
    def set_ratios(nearfull: float, backfillfull: float, full: float) -> None:
        for name, ratio in (("nearfull", nearfull), ("backfillfull", backfillfull),
                            ("full", full)):
            site_b.ceph("osd", f"set-{name}-ratio", str(ratio))

    def make_room() -> None:
        set_ratios(0.85, 0.9, 0.95)
        wait_for(lambda: not is_full(site_b, pool))

    set_ratios(0.0001, 0.0002, 0.0003)
    try:
        wait_for(lambda: is_full(site_b, pool))
        wait_for_room_and_compare(rounds, "OSDs", make_room)
    finally:
        make_room()
