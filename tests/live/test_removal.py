"""A copy goes when its primary does, and is made anew when an administrator asks for that."""

import random
from typing import Iterator

import pytest

from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import ImageMode, MirrorImageState
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.mirror import MirrorImage
from qa.leftovers import leftovers
from qa.rounds import LAYOUTS, Rounds
from qa.sites import Site
from qa.waiting import wait_for


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Rounds]:
    rounds = Rounds(site_a, site_b, pool, "image", LAYOUTS[0], random.Random(7))
    rounds.create()
    with rounds.image(site_a) as image:
        image.create_snap("kept")
        image.protect_snap("kept")
    rounds.wait_copied(rounds.snapshot())
    yield rounds
    rounds.close()


def image_id(site: Site, pool: str) -> str:
    return str(site.rbd_json("info", f"{pool}/image")["id"])


def gone(site: Site, pool: str) -> bool:
    return not site.rbd_json("ls", pool) and not site.rbd_json("trash", "ls", "--all", pool)


def leave_half_created(site: Site, pool: str) -> None:
    """What a worker leaves that dies while it makes a copy of an image that goes soon after."""
    cluster = site.rados()
    with cluster.open_ioctx(pool) as ioctx:
        ioctx.execute(MIRRORING, *cls_rbd.mirror_image_set("feed", MirrorImage(
            "8f1f3e66-0000-4000-8000-000000000001", MirrorImageState.CREATING,
            ImageMode.SNAPSHOT)))
    cluster.shutdown()


def test_disabling_at_the_primary_removes_the_copy(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    leave_half_created(site_b, pool)
    site_a.ceph("rbd-mirror", "image", "disable", rounds.spec)
    wait_for(lambda: gone(site_b, pool), rounds.describe)
    wait_for(lambda: not leftovers(site_b, pool, ""), lambda: str(leftovers(site_b, pool, "")))
    assert site_a.rbd_json("ls", pool) == ["image"]


@pytest.fixture
def delayed(site_b: Site) -> Iterator[None]:
    """What is removed stays in the trash of the copies' site for an hour."""
    site_b.ceph("config", "set", "client", "rbd_mirroring_delete_delay", "3600")
    site_b.ceph("rbd-mirror", "worker", "restart")  # a new connection knows of it from its start
    yield
    site_b.ceph("config", "rm", "client", "rbd_mirroring_delete_delay")


def test_a_delay_keeps_the_copy_in_the_trash(
        delayed: None, rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    kept = image_id(site_b, pool)
    site_a.ceph("rbd-mirror", "image", "disable", rounds.spec)
    wait_for(lambda: not site_b.rbd_json("ls", pool), rounds.describe)
    [entry] = site_b.rbd_json("trash", "ls", "--all", pool)
    assert (entry["id"], entry["name"]) == (kept, "image")
    early = site_b.run("rbd", "trash", "rm", f"{pool}/{kept}")
    assert early.returncode and "--force" in early.stderr
    # The next copy is made beside it, and has its name.
    site_a.ceph("rbd-mirror", "image", "enable", rounds.spec, "snapshot")
    rounds.wait_copied(rounds.newest_primary_snapshot())
    rounds.compare()
    assert [entry["id"] for entry in site_b.rbd_json("trash", "ls", "--all", pool)] == [kept]


def test_enabling_again_makes_a_new_copy(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    site_a.ceph("rbd-mirror", "image", "disable", rounds.spec)
    wait_for(lambda: gone(site_b, pool), rounds.describe)
    site_a.ceph("rbd-mirror", "image", "enable", rounds.spec, "snapshot")
    rounds.wait_copied(rounds.newest_primary_snapshot())
    rounds.compare()


def test_a_promoted_copy_is_kept(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    site_b.rbd("mirror", "image", "promote", "--force", rounds.spec)
    site_a.ceph("rbd-mirror", "image", "disable", rounds.spec)
    other = f"{pool}/other"
    site_a.rbd("create", "--size", "4M", other)
    site_a.ceph("rbd-mirror", "image", "enable", other, "snapshot")
    # Once this one is here, the worker has seen that the other's primary is gone.
    wait_for(lambda: "other" in site_b.rbd_json("ls", pool), rounds.describe)
    assert "image" in site_b.rbd_json("ls", pool)


def test_a_resync_copies_anew(
        rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    old = image_id(site_b, pool)
    site_b.rbd("mirror", "image", "resync", rounds.spec)
    wait_for(lambda: site_b.rbd_json("ls", pool) == ["image"] and image_id(site_b, pool) != old,
             rounds.describe)
    rounds.wait_copied(rounds.newest_primary_snapshot())
    rounds.compare()
