"""A resync that was asked for and not begun is off once the image is promoted."""

import pytest

from qa.sites import Site
from qa.waiting import wait_for


@pytest.mark.parametrize("mode", ["snapshot", "journal"])
def test_what_was_asked_before_a_promotion_is_not_served_after_it(
        site_a: Site, site_b: Site, pool: str, mode: str) -> None:
    image = f"{pool}/one"

    def stands(site: Site, state: str) -> None:
        def found() -> str:
            listed = site.ceph_json("rbd-mirror", "pool", "status", pool, "--detail")["images"]
            return " ".join(one["standing"]["state"] for one in listed)

        wait_for(lambda: found() == state, lambda: f"{site.name}: {found()}", seconds=60)

    def promote(site: Site) -> None:
        wait_for(lambda: site.run("rbd", "mirror", "image", "promote", image).returncode == 0)

    site_a.rbd("create", image, "--size", "8M")
    site_a.rbd("mirror", "image", "enable", image, mode)
    stands(site_b, "up-to-date")
    site_a.rbd("mirror", "image", "demote", image)
    stands(site_a, "demoted")
    # There is no primary to copy it from.
    site_a.rbd("mirror", "image", "resync", image)
    promote(site_a)
    stands(site_a, "primary")
    stands(site_b, "up-to-date")
    before = site_a.rbd_json("info", image)["id"]
    site_a.rbd("mirror", "image", "demote", image)
    stands(site_b, "demoted")
    promote(site_b)
    stands(site_a, "up-to-date")
    assert site_a.rbd_json("info", image)["id"] == before
