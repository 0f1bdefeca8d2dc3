"""How long a copy is kept whose primary is gone, what is told of it, and how it is used again."""

import random
import time
from typing import Iterator

import pytest

from qa import mirrored
from qa.images import checksum, mirror_snapshots, opened
from qa.rounds import LAYOUTS, Rounds
from qa.sites import Site
from qa.waiting import wait_for

HOUR = 3600
MANY = 7


@pytest.fixture(autouse=True)
def default_delays(site_b: Site) -> Iterator[None]:
    mirrored.remove_at_once(site_b, False)
    yield
    mirrored.remove_at_once(site_b)


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Rounds]:
    rounds = Rounds(site_a, site_b, pool, "image", LAYOUTS[0], random.Random(7))
    rounds.create()
    rounds.wait_current()
    rounds.round()
    yield rounds
    rounds.close()


def health(site: Site, pool: str, code: str) -> str:
    """What a check says of the pool; empty if nothing."""
    found = site.ceph_json("health", "detail")["checks"].get(code)
    lines = [line["message"] for line in found["detail"]] if found else []
    return next((line for line in lines if f"pool '{pool}'" in line), "")


def trash(site: Site, pool: str) -> "list[dict]":
    return list(site.rbd_json("trash", "ls", "--all", "--long", pool))


def test_a_copy_stays_for_a_while_and_can_be_used_again(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    expected = rounds.digests_at_copy()
    copy_id = site_b.rbd_json("info", rounds.spec)["id"]
    site_a.rbd("mirror", "image", "disable", rounds.spec)
    gone = time.monotonic()
    status = wait_for(lambda: "its primary is missing since" in site_b.ceph(
        "rbd-mirror", "image", "status", rounds.spec), rounds.describe, interval=1)
    assert status and site_b.rbd_json("ls", pool) == ["image"]
    wait_for(lambda: not site_b.rbd_json("ls", pool), rounds.describe, interval=0.5)
    assert time.monotonic() - gone > 25, "it went too soon"
    [entry] = trash(site_b, pool)
    assert (entry["id"], entry["source"]) == (copy_id, "MIRRORING")

    text = wait_for(lambda: health(site_b, pool, "MIRROR_MGR_COPIES_REMOVED"))
    assert copy_id in text and f"ceph rbd-mirror image restore {pool}/ID" in text
    site_b.ceph("rbd-mirror", "image", "restore", f"{pool}/{copy_id}")
    with opened(site_b, pool, "image", read_only=False) as image:
        assert Rounds.user_digests(image) == expected
        assert not mirror_snapshots(image)
        image.set_snap(None)
        image.write(b"of its own", 4096)
        written = checksum(image)
    time.sleep(12)  # a look at the pool and a sweep of its trash
    with opened(site_b, pool, "image") as image:
        assert checksum(image) == written
    wait_for(lambda: not health(site_b, pool, "MIRROR_MGR_COPIES_REMOVED"))


def test_what_was_restored_by_hand_is_made_an_ordinary_image(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    expected = rounds.digests_at_copy()
    site_a.rbd("mirror", "image", "disable", rounds.spec)
    [entry] = wait_for(lambda: trash(site_b, pool), rounds.describe, interval=1)
    site_b.rbd("trash", "restore", f"{pool}/{entry['id']}")
    site_b.ceph("rbd-mirror", "image", "restore", rounds.spec)
    with opened(site_b, pool, "image", read_only=False) as image:
        assert Rounds.user_digests(image) == expected
        image.set_snap(None)
        image.write(b"of its own", 0)


def test_what_somebody_moved_to_the_trash_is_for_rbd_to_restore(site_b: Site, pool: str) -> None:
    site_b.rbd("create", f"{pool}/mine", "--size", "4M")
    image_id = site_b.rbd_json("info", f"{pool}/mine")["id"]
    site_b.rbd("trash", "mv", f"{pool}/mine")
    for called in ("mine", image_id):
        refused = site_b.run("ceph", "rbd-mirror", "image", "restore", f"{pool}/{called}")
        assert refused.returncode
        assert f"rbd trash restore {pool}/{image_id}" in refused.stderr, refused.stderr
    assert not site_b.rbd_json("ls", pool)


def test_many_at_once_stay_until_that_is_confirmed(site_a: Site, site_b: Site, pool: str) -> None:
    names = [f"image{n}" for n in range(MANY)]
    for name in names:
        site_a.rbd("create", "--size", "4M", f"{pool}/{name}")
        site_a.rbd("mirror", "image", "enable", f"{pool}/{name}", "snapshot")
    wait_for(lambda: sorted(site_b.rbd_json("ls", pool)) == names, interval=1)
    wait_for(lambda: all("up+replaying" in site_b.rbd(
        "mirror", "image", "status", f"{pool}/{name}", check=False) for name in names), interval=1)
    for name in names:
        site_a.rbd("rm", "--no-progress", f"{pool}/{name}")
    text = wait_for(lambda: health(site_b, pool, "MIRROR_MGR_COPIES_HELD"), interval=1)
    assert f"ceph rbd-mirror pool confirm-removal {pool}" in text
    time.sleep(45)
    assert sorted(site_b.rbd_json("ls", pool)) == names and not trash(site_b, pool)
    told = site_b.ceph("rbd-mirror", "pool", "confirm-removal", pool)
    assert f"removal of {MANY} copies" in told
    wait_for(lambda: not site_b.rbd_json("ls", pool), interval=1)
    assert len(trash(site_b, pool)) == MANY
    wait_for(lambda: not health(site_b, pool, "MIRROR_MGR_COPIES_HELD"))
