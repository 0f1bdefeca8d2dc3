"""What is set at the primary, and on which terms a copy is made anew."""

import errno
import random
from typing import Iterator, List, Set

import pytest
import rbd

from qa.rounds import LAYOUTS, Rounds
from qa.sites import Site
from qa.waiting import wait_for


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Rounds]:
    rounds = Rounds(site_a, site_b, pool, "image", LAYOUTS[0], random.Random(11))
    rounds.create()
    with rounds.image(site_a) as image:
        image.create_snap("kept")
    rounds.wait_copied(rounds.snapshot())
    yield rounds
    rounds.close()


def features(rounds: Rounds, site: Site) -> Set[str]:
    return set(site.rbd_json("info", rounds.spec)["features"]) - {"non-primary"}


def maps(site: Site, pool: str) -> List[str]:
    cluster = site.rados()
    with cluster.open_ioctx(pool) as ioctx:
        found = [one.key for one in ioctx.list_objects()
                 if one.key.startswith("rbd_object_map.")]
    cluster.shutdown()
    return found


def test_settings_come_over(rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    set_and_remove_metadata_and_limit(rounds, site_a, site_b)
    switch_features(rounds, site_a, site_b, pool)


def switch_features(rounds: Rounds, site_a: Site, site_b: Site, pool: str) -> None:
    steps = (("disable", ("fast-diff", "object-map")), ("disable", ("exclusive-lock",)),
             ("disable", ("deep-flatten",)), ("enable", ("exclusive-lock",)),
             ("enable", ("object-map", "fast-diff")))
    for verb, names in steps:
        site_a.rbd("feature", verb, rounds.spec, *names)
        rounds.round()
        # While librbd removes a mirror snapshot at the primary, the image has `operations` there.
        wait_for(lambda: features(rounds, site_b) == features(rounds, site_a), rounds.describe)
        wait_for(lambda: has_its_maps(rounds, site_b, pool),
                 lambda: f"{maps(site_b, pool)}\n{rounds.describe()}")


def has_its_maps(rounds: Rounds, site: Site, pool: str) -> bool:
    """Whether the image and each of its snapshots have an object map, or none has."""
    with rounds.image(site) as image:
        count = 1 + len(list(image.list_snaps()))
        wanted = count if image.features() & rbd.RBD_FEATURE_OBJECT_MAP else 0
    return len(maps(site, pool)) == wanted


def set_and_remove_metadata_and_limit(rounds: Rounds, site_a: Site, site_b: Site) -> None:
    site_a.rbd("image-meta", "set", rounds.spec, "owner", "accounting")
    site_a.rbd("snap", "limit", "set", rounds.spec, "--limit", "9")
    rounds.round()
    assert site_b.rbd_json("image-meta", "ls", rounds.spec)["owner"] == "accounting"
    with rounds.image(site_b) as image:
        assert image.get_snap_limit() == 9
    site_a.rbd("image-meta", "remove", rounds.spec, "owner")
    site_a.rbd("snap", "limit", "clear", rounds.spec)
    rounds.round()
    assert "owner" not in site_b.rbd("image-meta", "ls", rounds.spec, "--format", "json")
    with rounds.image(site_b) as image:
        assert image.get_snap_limit() == 2**64 - 1


def copy_id(rounds: Rounds) -> str:
    try:
        return str(rounds.copy.rbd_json("info", rounds.spec)["id"])
    except Exception:
        return ""


def test_resyncs(rounds: Rounds, site_a: Site, site_b: Site) -> None:
    """One that is asked for twice, and one from a site that has no primary."""
    old = copy_id(rounds)
    site_b.ceph("rbd-mirror", "image", "resync", rounds.spec)
    again = site_b.run("rbd", "mirror", "image", "resync", rounds.spec)
    # It may be gone by then, or just be made anew.
    assert again.returncode in (0, errno.ENOENT, errno.EINVAL), again
    wait_for(lambda: copy_id(rounds) not in ("", old), rounds.describe)
    rounds.wait_current()
    rounds.compare()
    refuse_without_a_primary(rounds, site_a, site_b)


def refuse_without_a_primary(rounds: Rounds, site_a: Site, site_b: Site) -> None:
    site_a.rbd("mirror", "image", "demote", rounds.spec)
    old = copy_id(rounds)
    refused = site_b.run("ceph", "rbd-mirror", "image", "resync", rounds.spec)
    assert refused.returncode == 1 and "only good one" in refused.stderr
    # Also where the rbd CLI asked for it: the copy stays until there is a primary again.
    site_b.rbd("mirror", "image", "resync", rounds.spec)
    wait_for(lambda: "demoted" in site_b.rbd_json(
        "mirror", "image", "status", rounds.spec)["description"], rounds.describe)
    assert copy_id(rounds) == old
