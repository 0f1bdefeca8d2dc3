"""JSON of ours holds what that of the rbd CLI holds, at the same moment, on both sites."""

import functools
import json
from typing import Any, Callable, List, Tuple

import pytest

from qa.sites import Site
from qa.waiting import wait_for

OUTPUTS = [
    (["pool", "info", "{pool}"], []),
    (["pool", "info", "{pool}/ns"], []),
    (["pool", "status", "{pool}"], []),
    (["pool", "status", "{pool}"], ["--detail"]),
    (["pool", "status", "{pool}/ns"], []),
    (["pool", "status", "{pool}/ns"], ["--detail"]),
    (["image", "status", "{pool}/image"], []),
    (["image", "status", "{pool}/journaled"], []),
    (["image", "status", "{pool}/ns/image"], []),
    (["image", "status", "{pool}/split"], []),
    (["pool", "info", "{pool}/off"], []),
]


@pytest.fixture
def mirrored(site_a: Site, site_b: Site, pool: str) -> str:
    """A pool with an image in snapshot mode, one in journal mode, one in a namespace, one split."""
    for site in (site_a, site_b):
        site.rbd("namespace", "create", f"{pool}/off")
        site.rbd("namespace", "create", f"{pool}/ns")
        site.ceph("rbd-mirror", "pool", "enable", f"{pool}/ns", "image")
    for image, mode in (("image", "snapshot"), ("journaled", "journal"), ("ns/image", "snapshot"),
                        ("split", "snapshot")):
        site_a.rbd("create", f"{pool}/{image}", "--size", "8M")
        site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/{image}", mode)
    copies = (f"{pool}/image", f"{pool}/ns/image", f"{pool}/split")
    wait_for(lambda: all(is_replaying(site_b, copy) for copy in copies),
             lambda: site_b.ceph("rbd-mirror", "pool", "status", pool, "--detail"))
    site_b.ceph("rbd-mirror", "image", "promote", f"{pool}/split", "--force")
    site_b.ceph("rbd-mirror", "image", "demote", f"{pool}/split")
    return pool


def is_replaying(site: Site, image: str) -> bool:
    status = site.run("ceph", "rbd-mirror", "image", "status", image, "--format", "json")
    return status.returncode == 0 and json.loads(status.stdout)["state"] == "up+replaying"


def differences(theirs: Any, ours: Any, where: str = "") -> List[str]:
    """Where `ours` lacks something of `theirs` or says something else."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [line for key in theirs for line in (
            differences(theirs[key], ours[key], f"{where}.{key}") if key in ours
            else [f"{where}.{key} is missing"])]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [line for number, pair in enumerate(zip(theirs, ours))
                for line in differences(*pair, f"{where}[{number}]")]
    return [] if theirs == ours else [f"{where}: {theirs!r} is {ours!r} of ours"]


def at_rest(theirs: Callable[[], Any], ours: Callable[[], Any]) -> Tuple[Any, Any]:
    """What both say while nothing changes: rbd says the same before and after."""
    for _ in range(20):
        before = theirs()
        answer = ours()
        if theirs() == before:
            return before, answer
    raise AssertionError("the state never stood still")


def ask(site: Site, program: str, *words: str) -> Callable[[], Any]:
    read = site.ceph_json if program == "ceph" else site.rbd_json
    return functools.partial(read, *words)


def lines(site: Site, program: str, *words: str) -> Callable[[], List[str]]:
    """Without the space that an empty line needs to come through the manager."""
    read = site.ceph if program == "ceph" else site.rbd
    return lambda: [line.rstrip() for line in read(*words).rstrip().splitlines()]


def test_what_rbd_says(site_a: Site, site_b: Site, mirrored: str) -> None:
    check_json(site_a, site_b, mirrored)
    check_plain(site_a, site_b, mirrored)


def check_json(site_a: Site, site_b: Site, mirrored: str) -> None:
    for site in (site_a, site_b):
        for words, flags in OUTPUTS:
            named = [word.format(pool=mirrored) for word in words]
            if site is site_b and named[-1].endswith("/journaled"):
                continue  # its copy is not there
            theirs, ours = at_rest(
                ask(site, "rbd", "mirror", *named, *(["--verbose"] if flags else [])),
                ask(site, "ceph", "rbd-mirror", *named, *flags))
            assert differences(theirs, ours) == [], (site.name, named, flags)


def test_all_attributes_of_a_peer_but_its_key(site_a: Site, pool: str) -> None:
    theirs, ours = at_rest(ask(site_a, "rbd", "mirror", "pool", "info", pool, "--all"),
                           ask(site_a, "ceph", "rbd-mirror", "pool", "info", pool, "--all"))
    key = theirs["peers"][0].pop("key")
    assert differences(theirs, ours) == []
    assert key not in json.dumps(ours)


def check_plain(site_a: Site, site_b: Site, mirrored: str) -> None:
    for site in (site_a, site_b):
        for words in (["pool", "info", mirrored], ["pool", "status", mirrored],
                      ["image", "status", f"{mirrored}/image"]):
            theirs, ours = at_rest(lines(site, "rbd", "mirror", *words),
                                   lines(site, "ceph", "rbd-mirror", *words))
            assert ours[:len(theirs)] == theirs
            assert words[0] == "image" or len(ours) == len(theirs)
