"""An image can be promoted by force beside a worker that hangs in the middle of what it does."""

import os
import signal
import time
from typing import Iterator

import pytest

from qa.images import checksum, mirror_snapshots, opened
from qa.sites import Site
from qa.waiting import wait_for

MIB = 1 << 20


@pytest.fixture
def image(site_a: Site, pool: str, mode: str) -> Iterator[str]:
    name = f"{pool}/image"
    site_a.rbd("create", name, "--size", "1G")
    write(site_a, pool, 0, b"first" * 1000)
    site_a.ceph("rbd-mirror", "image", "enable", name, mode)
    yield name


def write(site: Site, pool: str, offset: int, data: bytes) -> None:
    with opened(site, pool, "image", read_only=False) as image:
        image.write(data, offset)


def digest(site: Site, pool: str) -> str:
    with opened(site, pool, "image") as image:
        return checksum(image)


def stands(site: Site, image: str) -> str:
    found = site.run("ceph", "rbd-mirror", "image", "status", image, "--format", "json")
    return "" if found.returncode else site.ceph_json(
        "rbd-mirror", "image", "status", image)["standing"]["state"]


def is_half_copied(site: Site, pool: str) -> bool:
    with opened(site, pool, "image") as image:
        return not mirror_snapshots(image)[-1].complete


@pytest.mark.parametrize("mode", ["snapshot", "journal"])
def test_promotion_by_force(site_a: Site, site_b: Site, pool: str, mode: str, image: str) -> None:
    wait_for(lambda: stands(site_b, image) == "up-to-date")
    whole = digest(site_a, pool)
    [worker] = site_b.ceph_json("rbd-mirror", "worker", "ls")
    if mode == "snapshot":
        with opened(site_a, pool, "image", read_only=False) as opened_image:
            for offset in range(0, 256 * MIB, 4 * MIB):
                opened_image.write(os.urandom(4 * MIB), offset)
        site_a.rbd("snap", "create", f"{image}@user")
        site_a.ceph("rbd-mirror", "image", "snapshot", image)
        wait_for(lambda: is_half_copied(site_b, pool), interval=0.01)
    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        started = time.monotonic()
        promoted = site_b.run("ceph", "rbd-mirror", "image", "promote", image, "--force")
        assert promoted.returncode == 0, promoted.stderr
        print(f"{mode}: promoted after {time.monotonic() - started:.1f} s")
    finally:
        try:
            os.kill(worker["pid"], signal.SIGCONT)
        except ProcessLookupError:
            pass  # its manager has noticed
    assert digest(site_b, pool) == whole
    wait_for(lambda: stands(site_b, image) == "split-brain")
