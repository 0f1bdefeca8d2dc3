"""A pool is renamed at one site, then at both, then lost and made anew: replication goes on."""

from typing import Iterator

import pytest
import rbd

from qa.images import checksum, opened
from qa.sites import Lab, Site
from qa.waiting import wait_for


@pytest.fixture
def renamed(lab: Lab, pool: str) -> Iterator[str]:
    """The name that the pool is given; what has it goes at the end."""
    name = f"{pool}-renamed"
    yield name
    for site in lab.sites.values():
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def write(site: Site, pool: str, name: str, byte: bytes) -> None:
    with opened(site, pool, name, read_only=False) as image:
        image.write(byte * 8192, 4096)
    site.ceph("rbd-mirror", "image", "snapshot", f"{pool}/{name}")


def wait_equal(primary: Site, pool: str, copy: Site, copy_pool: str, name: str) -> None:
    def equal() -> bool:
        try:
            with opened(primary, pool, name) as source, opened(copy, copy_pool, name) as image:
                return checksum(source) == checksum(image)
        except rbd.ImageNotFound:
            return False

    wait_for(equal, lambda: "\n".join([
        copy.ceph("health", "detail"), copy.ceph("rbd-mirror", "worker", "status"),
        copy.ceph("rbd-mirror", "pool", "status", copy_pool, "--detail")]))


def test_renamed_pools(site_a: Site, site_b: Site, pool: str, renamed: str) -> None:
    for name in ("old", "golden"):
        site_a.rbd("create", f"{pool}/{name}", "--size", "8M")
        site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/{name}", "snapshot")
        write(site_a, pool, name, b"1")
        wait_equal(site_a, pool, site_b, pool, name)

    # At the primary site alone, while it is followed and before a new connection.
    site_a.ceph("osd", "pool", "rename", pool, renamed)
    write(site_a, renamed, "old", b"2")
    wait_equal(site_a, renamed, site_b, pool, "old")
    site_b.ceph("rbd-mirror", "worker", "restart")
    write(site_a, renamed, "old", b"3")
    wait_equal(site_a, renamed, site_b, pool, "old")
    refused = site_b.run("ceph", "rbd-mirror", "image", "resync", f"{pool}/old")
    assert not refused.returncode, refused  # it is looked at over there
    wait_equal(site_a, renamed, site_b, pool, "old")
    site_a.rbd("snap", "create", f"{renamed}/golden@base")
    site_a.rbd("snap", "protect", f"{renamed}/golden@base")
    site_a.rbd("clone", f"{renamed}/golden@base", f"{renamed}/clone")
    site_a.ceph("rbd-mirror", "image", "snapshot", f"{renamed}/golden")
    site_a.ceph("rbd-mirror", "image", "enable", f"{renamed}/clone", "snapshot")
    write(site_a, renamed, "clone", b"4")
    wait_equal(site_a, renamed, site_b, pool, "clone")

    # At both sites.
    site_b.ceph("osd", "pool", "rename", pool, renamed)
    wait_for(lambda: f"{renamed}: leader, 3 images (3 up-to-date)" in site_b.ceph(
        "rbd-mirror", "worker", "status"), lambda: site_b.ceph("rbd-mirror", "worker", "status"))
    write(site_a, renamed, "old", b"5")
    wait_equal(site_a, renamed, site_b, renamed, "old")

    # The primary's is lost, and made anew as a copy.
    site_a.ceph("osd", "pool", "rm", renamed, renamed, "--yes-i-really-really-mean-it")
    site_b.ceph("rbd-mirror", "pool", "promote", renamed, "--force")
    write(site_b, renamed, "old", b"6")
    [peer] = site_b.ceph_json("rbd-mirror", "pool", "info", renamed)["peers"]
    site_b.ceph("rbd-mirror", "pool", "peer", "remove", renamed, peer["uuid"])
    site_a.create_pool(renamed)
    site_a.ceph("rbd-mirror", "pool", "enable", renamed, "image", "--site-name", site_a.name)
    token = site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", renamed)
    site_b.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", renamed, "-i", "-",
                input=token)
    for name in ("old", "clone"):
        wait_equal(site_b, renamed, site_a, renamed, name)
    wait_for(lambda: "MIRROR_MGR_PEER_UNREACHABLE" not in site_b.ceph("health", "detail"),
             lambda: site_b.ceph("health", "detail"))
