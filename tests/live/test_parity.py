"""JSON of ours holds what that of the rbd CLI holds, at the same moment, on both sites."""

import functools
import json
from typing import Any, Callable, Dict, List

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


def differences(theirs: Any, ours: Any, where: str = "") -> Dict[str, str]:
    """Where `ours` lacks something of `theirs` or says something else, and what it says."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        pairs = {f"{where}.{key}": (theirs[key], ours.get(key, "missing")) for key in theirs}
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = {f"{where}[{number}]": pair for number, pair in enumerate(zip(theirs, ours))}
    else:
        return {} if theirs == ours else {where: f"{theirs!r} is {ours!r} of ours"}
    return {place: text for key, pair in pairs.items()
            for place, text in differences(*pair, key).items()}


def check(theirs: Callable[[], Any], ours: Callable[[], Any], what: Any) -> None:
    """Raise AssertionError unless ours says nothing but what rbd says just before or just after.

    What changed more than once meanwhile is asked for again.
    """
    wrong: Dict[str, str] = {}

    def agree() -> bool:
        before, answer = theirs(), ours()
        found, after = differences(before, answer), differences(theirs(), answer)
        wrong.clear()
        wrong.update((where, text) for where, text in found.items() if where in after)
        return not wrong

    wait_for(agree, lambda: f"{what}: {wrong}")


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
            check(ask(site, "rbd", "mirror", *named, *(["--verbose"] if flags else [])),
                  ask(site, "ceph", "rbd-mirror", *named, *flags), (site.name, named, flags))


def test_all_attributes_of_a_peer_but_its_key(site_a: Site, pool: str) -> None:
    words = ("pool", "info", pool, "--all")
    key = site_a.rbd_json("mirror", *words)["peers"][0]["key"]

    def theirs() -> Any:
        found = site_a.rbd_json("mirror", *words)
        assert found["peers"][0].pop("key") == key
        return found

    check(theirs, ask(site_a, "ceph", "rbd-mirror", *words), words)
    assert key not in site_a.ceph("rbd-mirror", *words, "--format", "json")


def check_plain(site_a: Site, site_b: Site, mirrored: str) -> None:
    for site in (site_a, site_b):
        for words in (["pool", "info", mirrored], ["pool", "status", mirrored],
                      ["image", "status", f"{mirrored}/image"]):
            theirs = lines(site, "rbd", "mirror", *words)
            ours = lines(site, "ceph", "rbd-mirror", *words)
            # Of an image we say more, in further lines.
            count = len(theirs()) if words[0] == "image" else None
            check(theirs, lambda ours=ours, count=count: ours()[:count], (site.name, words))
