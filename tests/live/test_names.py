"""A copy is called what its primary is called now, however long that name was taken here."""

from typing import List

import pytest

from qa.sites import Site
from qa.waiting import wait_for


@pytest.mark.parametrize("mode", ["snapshot", "journal"])
def test_a_copy_gets_the_name_of_its_primary_once_that_is_free(
        site_a: Site, site_b: Site, pool: str, mode: str) -> None:
    def called(*names: str) -> None:
        def here() -> List[str]:
            return sorted(site_b.rbd_json("ls", pool))

        def state() -> str:
            detail = site_b.ceph("rbd-mirror", "pool", "status", pool, "--detail")
            return f"{here()}, not {names}\n{detail}"

        wait_for(lambda: here() == sorted(names), state, seconds=60)

    def rename(old: str, new: str) -> None:
        site_a.rbd("rename", f"{pool}/{old}", f"{pool}/{new}")
        if mode == "snapshot":
            site_a.rbd("mirror", "image", "snapshot", f"{pool}/{new}")

    def blocked(by: str) -> None:
        def status() -> str:
            return site_b.ceph("rbd-mirror", "pool", "status", pool, "--detail")

        wait_for(lambda: f"'{by}'" in status(), status, seconds=60)

    site_b.rbd("create", f"{pool}/one", "--size", "8M")
    site_a.rbd("create", f"{pool}/one", "--size", "8M")
    site_a.rbd("mirror", "image", "enable", f"{pool}/one", mode)
    blocked(by="one")
    rename("one", "two")
    called("one", "two")

    site_b.rbd("create", f"{pool}/three", "--size", "8M")
    rename("two", "three")
    blocked(by="three")
    site_b.rbd("rm", "--no-progress", f"{pool}/three")
    called("one", "three")
    standing = site_b.ceph_json("rbd-mirror", "image", "status", f"{pool}/three")["standing"]
    assert standing["state"] in ("up-to-date", "syncing"), standing
