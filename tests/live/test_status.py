"""How images stand, as users are told, and that the ways out of a split-brain lead out."""

from typing import Any, Dict, List, Tuple

from qa.errors import CommandFailed
from qa.images import checksum, mirror_snapshots, opened
from qa.sites import Lab, Site
from qa.waiting import wait_for


def status(site: Site, image: str) -> Dict[str, Any]:
    found: Dict[str, Any] = site.ceph_json("rbd-mirror", "image", "status", image)
    return found


def stands(site: Site, image: str, *states: str) -> Any:
    try:
        return status(site, image)["standing"]["state"] in states
    except CommandFailed:
        return False  # a copy that is made anew is not there for a while


def wait_until(site: Site, image: str, *states: str) -> Dict[str, Any]:
    wait_for(lambda: stands(site, image, *states),
             lambda: site.run("ceph", "rbd-mirror", "image", "status", image).stdout)
    return status(site, image)


def told_at_the_primary(site: Site, image: str) -> List[Tuple[str, str]]:
    """The state and the time of each copy, as the primary's site has been told."""
    return [(peer["standing"]["state"], peer["standing"]["copy_time"])
            for peer in status(site, image).get("peer_sites", [])]


def write(site: Site, pool: str, name: str, offset: int) -> None:
    with opened(site, pool, name, read_only=False) as image:
        image.write(b"written", offset)


def digest(site: Site, pool: str) -> str:
    with opened(site, pool, "image") as image:
        return checksum(image)


def follow(lab: Lab, split: Dict[str, Any], keep: str) -> None:
    """Type the commands that keep this site's data."""
    [way] = [way for way in split["ways_out"] if way["keep"] == keep]
    for step in way["commands"]:
        site = lab.sites[step["site"]]
        words: List[str] = step["command"].split()
        wait_for(lambda site=site, words=words: site.run(*words).returncode == 0)


def test_a_split_brain_and_the_ways_out(lab: Lab, site_a: Site, site_b: Site, pool: str) -> None:
    image = f"{pool}/image"
    site_a.rbd("create", image, "--size", "32M")
    site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    copy = wait_until(site_b, image, "up-to-date")
    assert 0 <= copy["standing"]["copy_age_seconds"] < 3600
    wait_for(lambda: status(site_b, image).get("daemon_service", {}).get("entity"))
    copied = copy["standing"]["copy_time"]
    wait_for(lambda: told_at_the_primary(site_a, image) == [("up-to-date", copied)],
             lambda: str(status(site_a, image)))
    assert wait_until(site_a, image, "primary")["standing"]["copy_time"] == copied

    site_b.ceph("rbd-mirror", "image", "promote", image, "--force")
    for offset in (0, 9 << 20):
        write(site_b, pool, "image", offset)
    write(site_a, pool, "image", 20 << 20)
    for site in (site_a, site_b):
        found = wait_until(site, image, "split-brain")
        sides = {side["site_name"]: side for side in found["split_brain"]["sites"]}
        assert [side["primary"] for side in sides.values()] == [True, True]
        assert sides["site-b"]["changed_bytes"] == 2 * (4 << 20)
        assert sides["site-a"]["changed_bytes"] >= 4 << 20
        assert found["split_brain"]["diverged"] is not None
        assert found["split_brain"]["peer_error"] == ""
        detail = site.ceph("rbd-mirror", "pool", "status", pool, "--detail")
        assert "image  split-brain" in detail
    follow(lab, found["split_brain"], keep="site-b")
    wait_until(site_a, image, "up-to-date")
    assert digest(site_a, pool) == digest(site_b, pool)

    # With one side demoted it is told where replay would go on, and kept from the other side.
    site_a.ceph("rbd-mirror", "image", "promote", image, "--force")
    write(site_a, pool, "image", 30 << 20)
    site_a.ceph("rbd-mirror", "image", "demote", image)
    wait_until(site_a, image, "split-brain")
    found = wait_until(site_b, image, "split-brain")
    follow(lab, found["split_brain"], keep="site-a")
    wait_until(site_b, image, "up-to-date")
    assert digest(site_a, pool) == digest(site_b, pool)


def test_a_split_brain_after_a_move_there_and_back(site_a: Site, site_b: Site, pool: str) -> None:
    image = f"{pool}/image"
    site_a.rbd("create", image, "--size", "64M")
    for number in range(8):
        write(site_a, pool, "image", number << 22)
    site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    wait_until(site_b, image, "up-to-date")
    for here, there in ((site_a, site_b), (site_b, site_a)):
        here.ceph("rbd-mirror", "image", "demote", image)
        wait_for(lambda there=there: there.run(
            "ceph", "rbd-mirror", "image", "promote", image).returncode == 0)
        for number in range(3, 6):
            write(there, pool, "image", number << 22)
        there.ceph("rbd-mirror", "image", "snapshot", image)
        wait_for(lambda here=here, there=there: is_current(here, there, pool))
    same = status(site_b, image)["standing"]["copy_time"]

    site_b.ceph("rbd-mirror", "image", "promote", image, "--force")
    for site, numbers in ((site_b, (1, 2)), (site_a, (7,))):
        for number in numbers:
            write(site, pool, "image", number << 22)
        site.ceph("rbd-mirror", "image", "snapshot", image)
    for site in (site_a, site_b):
        found = wait_until(site, image, "split-brain")["split_brain"]
        sides = {side["site_name"]: side["changed_bytes"] for side in found["sites"]}
        assert sides == {"site-a": 1 << 22, "site-b": 2 << 22}, (site.name, found)
        assert found["diverged"] == same, (site.name, found)


def is_current(copy: Site, primary: Site, pool: str) -> bool:
    """Whether the copy has the primary's newest mirror snapshot."""
    with opened(primary, pool, "image") as image:
        newest = mirror_snapshots(image)[-1].id
    with opened(copy, pool, "image") as image:
        last = mirror_snapshots(image)[-1]
    return last.complete and last.primary_id == newest


def test_demoted_at_both_sites(site_a: Site, site_b: Site, pool: str) -> None:
    image = f"{pool}/image"
    site_a.rbd("create", image, "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    wait_until(site_b, image, "up-to-date")
    site_a.ceph("rbd-mirror", "image", "demote", image)
    assert wait_until(site_b, image, "demoted")["standing"]["since"] is not None
    wait_until(site_a, image, "demoted")
