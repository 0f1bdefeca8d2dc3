"""All that tells how an image stands says the same, at both sites, all its life long."""

import re
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from qa.errors import CommandFailed
from qa.images import opened
from qa.mirrored import set_workers
from qa.sites import Lab, Site
from qa.waiting import wait_for

NAME = "one"


def told(site: Site, pool: str) -> Dict[str, Any]:
    """How the image stands by each of our outputs at a site; None where one does not say."""
    image = f"{pool}/{NAME}"
    pools = ("rbd-mirror", "pool", "status", pool)
    listed = site.ceph_json(*pools, "--detail")["images"]
    if [one["name"] for one in listed] != [NAME]:
        return {"pool status --detail": None}
    [detail] = listed
    found = {
        "pool status --detail": detail["standing"]["state"],
        "the same, plain": _word(rf"^{NAME} +(\S+)", site.ceph(*pools, "--detail")),
        "its summary": _only(site.ceph_json(*pools)["summary"]["standings"]),
        "worker status": _of_worker(site, pool),
    }
    if detail["id"]:
        single = site.ceph_json("rbd-mirror", "image", "status", image)
        found["image status"] = single["standing"]["state"]
        found["the same, plain "] = _word(r"^  standing: +(\S+)", site.ceph(
            "rbd-mirror", "image", "status", image))
        found["descriptions"] = (found["image status"] if detail["description"]
                                 == single["description"] else detail["description"])
    return found


def _word(pattern: str, text: str) -> Optional[str]:
    found = re.search(pattern, text, re.MULTILINE)
    return found and found[1]


def _only(counts: Dict[str, int]) -> str:
    return " ".join(sorted(counts))


def _of_worker(site: Site, pool: str) -> str:
    counts = [known["images"] for worker in site.ceph_json("rbd-mirror", "worker", "status")
              for known in worker["pools"] if known["name"] == pool]
    return _only({state: count for one in counts for state, count in one.items()
                  if count and state != "total"})


def agree(site: Site, pool: str, state: str) -> None:
    """Wait until all say so; what is told at different moments may differ."""
    last: List[Any] = [None]

    def do() -> bool:
        try:
            last[0] = told(site, pool)
        except CommandFailed as error:  # it came or went meanwhile
            last[0] = error
            return False
        return all(word == state for word in last[0].values())

    wait_for(do, lambda: f"{site.name}: {state} is {last[0]}", seconds=60)


def agree_at_peer(site: Site, pool: str, state: str) -> None:
    """The site where it is primary has been told so of the copy."""
    def copies() -> List[str]:
        found = site.ceph_json("rbd-mirror", "image", "status", f"{pool}/{NAME}")
        return [peer["standing"]["state"] for peer in found.get("peer_sites", [])]

    wait_for(lambda: copies() == [state], lambda: str(copies()), seconds=60)


def has_age(site: Site, pool: str, known: bool) -> bool:
    """Whether the copy that never came has an age, or is counted as one that has none."""
    summary = site.ceph_json("rbd-mirror", "pool", "status", pool)["summary"]
    age, unknown = summary["oldest_copy_age_seconds"], summary["copies_of_unknown_age"]
    return (age is not None and age > 0, unknown) == (known, int(not known))


def unhealthy(site: Site, code: str, pool: str) -> bool:
    checks = site.ceph_json("health", "detail")["checks"]
    return any(f"{pool}/{NAME}'" in detail["message"]
               for detail in checks.get(code, {"detail": []})["detail"])


@pytest.mark.parametrize("mode", ["snapshot", "journal"])
def test_a_life(lab: Lab, site_a: Site, site_b: Site, pool: str, mode: str) -> None:
    image = f"{pool}/{NAME}"

    def do(site: Site, *words: str) -> None:
        site.ceph("rbd-mirror", "image", *words)

    # Its name is taken at the other site.
    site_b.rbd("create", image, "--size", "8M")
    site_a.rbd("create", image, "--size", "8M")
    do(site_a, "enable", image, mode)
    agree(site_b, pool, "error")
    assert site_b.ceph_json("rbd-mirror", "pool", "status", pool)["summary"]["health"] == "ERROR"
    for site in (site_a, site_b):
        wait_for(lambda site=site: has_age(site, pool, known=site is site_b or mode == "snapshot"))
    refused = site_b.run("ceph", "rbd-mirror", "image", "status", image)
    assert refused.returncode and "rbd mv" in refused.stderr, refused.stderr
    refused = site_b.run("ceph", "rbd-mirror", "image", "enable", image, mode)
    assert refused.returncode and "rbd mv" in refused.stderr, refused.stderr
    site_b.rbd("rm", image)

    agree(site_b, pool, "up-to-date")
    agree(site_a, pool, "primary")
    agree_at_peer(site_a, pool, "up-to-date")

    do(site_a, "demote", image)
    for site in (site_a, site_b):
        agree(site, pool, "demoted")
    promote = retried(site_b, "promote", image)
    wait_for(promote)
    agree(site_b, pool, "primary")
    agree(site_a, pool, "up-to-date")
    agree_at_peer(site_b, pool, "up-to-date")

    # A forced promotion while nobody replays: what the worker said last counts no more.
    with no_workers_at(site_a):
        do(site_a, "promote", image, "--force")
        alone = site_a.ceph_json("rbd-mirror", "image", "status", image)
        assert "up-to-date" not in alone["description"], alone
    with opened(site_a, pool, NAME, read_only=False) as writable:
        writable.write(b"changed", 0)
    for site in (site_a, site_b):
        agree(site, pool, "split-brain")
        wait_for(lambda site=site: unhealthy(site, "MIRROR_MGR_SPLIT_BRAIN", pool))

    do(site_a, "demote", image)
    agree(site_a, pool, "split-brain")
    agree(site_b, pool, "split-brain")
    old = site_a.rbd_json("info", image)["id"]
    do(site_a, "resync", image)
    wait_for(lambda: site_a.run("rbd", "info", image).returncode == 0
             and site_a.rbd_json("info", image)["id"] != old, seconds=20)
    agree(site_a, pool, "up-to-date")
    agree(site_b, pool, "primary")
    for site in (site_a, site_b):
        wait_for(lambda site=site: not unhealthy(site, "MIRROR_MGR_SPLIT_BRAIN", pool))

    do(site_b, "disable", image)
    for site in (site_a, site_b):
        wait_for(lambda site=site: site.ceph_json(
            "rbd-mirror", "pool", "status", pool, "--detail")["images"] == [])
    do(site_b, "enable", image, mode)
    agree(site_a, pool, "up-to-date")
    agree(site_b, pool, "primary")


@contextmanager
def no_workers_at(site: Site) -> Iterator[None]:
    set_workers(site, 0)
    try:
        wait_for(lambda: not site.ceph_json("rbd-mirror", "worker", "ls"))
        yield
    finally:
        set_workers(site, 1)


def retried(site: Site, *words: str) -> Callable[[], bool]:
    return lambda: site.run("ceph", "rbd-mirror", "image", *words).returncode == 0
