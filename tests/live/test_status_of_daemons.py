"""The words of status where an rbd-mirror daemon replays, and where nobody does."""

import pytest

from qa.sites import Site
from tests.live.test_status import status, wait_until


@pytest.mark.usefixtures("no_workers")
def test_a_daemon_s_copy(site_a: Site, site_b: Site, pool: str) -> None:
    image = f"{pool}/image"
    site_a.rbd("create", image, "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    assert "no site" in status(site_a, image)["standing"]["reason"]
    site_b.start_rbd_mirror("status")
    try:
        wait_until(site_a, image, "primary")
        site_a.ceph("rbd-mirror", "image", "snapshot", image)
        copy = wait_until(site_b, image, "up-to-date")["standing"]
        assert copy["copy_age_seconds"] is not None
        assert wait_until(site_a, image, "primary")["standing"]["copy_time"] is not None
    finally:
        site_b.stop_rbd_mirror("status")
    left = wait_until(site_b, image, "unreplayed")["standing"]
    # A daemon that ends in order takes its word back: the copy's own snapshot tells.
    assert left["copy_time"] >= copy["copy_time"]
    assert status(site_a, image)["standing"]["reason"] != ""
