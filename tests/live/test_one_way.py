"""One site only sends: the other has the token, and the daemon's place is there alone."""

import os
from typing import Iterator

import pytest

from qa.images import checksum, opened
from qa.sites import Site
from qa.waiting import wait_for

SURE = "--yes-i-really-really-mean-it"


@pytest.fixture
def pool(site_a: Site, site_b: Site) -> Iterator[str]:
    """A pool that site-b receives from site-a; new copies there have their data in another."""
    name = f"live-{os.getpid()}-one-way"
    pools = {site_a: [name, f"{name}-source"], site_b: [name, f"{name}-source", f"{name}-fast"]}
    for site, names in pools.items():
        for one in names:
            site.create_pool(one)
        site.ceph("rbd-mirror", "pool", "enable", name, "image", "--site-name", site.name)
    site_b.ceph("config", "set", "client", "rbd_default_data_pool", f"{name}-fast")
    site_b.ceph("rbd-mirror", "worker", "restart")  # Ceph tells no process that runs of this option
    token = site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", name)
    site_b.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", name, "--direction",
                "rx-only", "-i", "-", input=token)
    yield name
    site_b.ceph("config", "rm", "client", "rbd_default_data_pool")
    site_b.ceph("rbd-mirror", "worker", "restart")
    for site, names in pools.items():
        for one in names:
            site.ceph("osd", "pool", "rm", one, one, SURE)


def directions(site: Site, pool: str) -> str:
    return " ".join(peer["direction"] for peer in
                    site.rbd_json("mirror", "pool", "info", pool)["peers"])


def test_one_way(site_a: Site, site_b: Site, pool: str) -> None:
    image = f"{pool}/image"
    site_a.rbd("create", image, "--size", "8M", "--data-pool", f"{pool}-source")
    with opened(site_a, pool, "image", read_only=False) as source:
        source.write(os.urandom(100_000), 12_345)
        expected = checksum(source)
    site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    assert (directions(site_b, pool), directions(site_a, pool)) in {
        ("rx-only", ""), ("rx-only", "tx-only")}  # the worker tells site-a of itself
    site_a.ceph("rbd-mirror", "snapshot", "schedule", "add", "1d", "--pool", pool)
    wait_for(lambda: "Made 1" in site_a.run(
        "ceph", "rbd-mirror", "snapshot", "schedule", "run", "--pool", pool).stdout)

    def is_copied() -> bool:
        return (site_b.run("rbd", "info", image).returncode == 0
                and site_b.ceph_json("rbd-mirror", "image", "status", image)["standing"]["state"]
                == "up-to-date")

    wait_for(is_copied, lambda: site_b.ceph("rbd-mirror", "pool", "status", pool, "--detail"))
    assert directions(site_a, pool) == "tx-only"
    assert site_b.rbd_json("info", image)["data_pool"] == f"{pool}-fast"
    with opened(site_b, pool, "image") as copy:
        assert checksum(copy) == expected
    [site] = site_a.ceph_json("rbd-mirror", "image", "status", image)["peer_sites"]
    assert (site["site_name"], site["standing"]["state"]) == ("site-b", "up-to-date")
