"""A peer that is removed and added again: what the sites knew of each other is gone with it."""

import json
from typing import Any, Dict

from qa.images import checksum, opened
from qa.sites import Site
from qa.waiting import wait_for


def standing(site: Site, image: str) -> Dict[str, Any]:
    """How the image stands; {} while there is none."""
    found = site.run("ceph", "rbd-mirror", "image", "status", image, "--format", "json")
    return json.loads(found.stdout)["standing"] if found.returncode == 0 else {}


def stands(site: Site, image: str, state: str) -> None:
    wait_for(lambda: standing(site, image).get("state") == state,
             lambda: str(standing(site, image)), seconds=60)


def add_peer_again(site: Site, other: Site, pool: str) -> None:
    token = other.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", pool)
    [peer] = site.ceph_json("rbd-mirror", "pool", "info", pool)["peers"]
    site.ceph("rbd-mirror", "pool", "peer", "remove", pool, peer["uuid"])
    site.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", pool, "-i", "-", input=token)


def test_demoted_is_not_said_of_what_lacks_the_last_changes(
        site_a: Site, site_b: Site, pool: str) -> None:
    """Nor is an administrator told to wait for what can't come, and the cure that is told helps."""
    image = f"{pool}/one"
    site_b.rbd("create", image, "--size", "8M")
    site_b.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    stands(site_a, image, "up-to-date")
    site_b.ceph("rbd-mirror", "image", "demote", image)
    stands(site_a, image, "demoted")
    site_a.ceph("rbd-mirror", "image", "promote", image)
    with opened(site_a, pool, "one", read_only=False) as writable:
        writable.write(b"the last changes", 0)
    add_peer_again(site_a, site_b, pool)
    # librbd removes the copy of the demotion by which it was promoted, as nobody waits for it.
    site_a.ceph("rbd-mirror", "image", "demote", image)

    stands(site_b, image, "error")
    cure = "promote the image there, then resync it here"
    assert standing(site_b, image)["reason"].endswith(cure)
    refused = site_b.run("ceph", "rbd-mirror", "image", "promote", image)
    assert "promote it there and resync it here" in refused.stderr, refused.stderr

    site_a.ceph("rbd-mirror", "image", "promote", image)
    stands(site_b, image, "split-brain")
    site_b.ceph("rbd-mirror", "image", "resync", image)
    stands(site_b, image, "up-to-date")
    with opened(site_a, pool, "one") as primary, opened(site_b, pool, "one") as copy:
        assert checksum(primary) == checksum(copy)
