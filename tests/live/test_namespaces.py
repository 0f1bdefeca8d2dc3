"""Namespaces that are mirrored with one of another name, or the refusal where librbd can't."""

import os
from contextlib import suppress
from typing import Iterator

import pytest
import rbd

from qa.images import checksum, opened
from qa.mirrored import no_workers
from qa.sites import Lab, Site
from qa.waiting import wait_for
from tests.live.test_parity import ask, check, lines

MODES = ("snapshot", "journal")
SIZE = 16 << 20


def has_pairs(site: Site) -> bool:
    """Whether namespaces of different names can be mirrored with each other at this site."""
    return "--remote-namespace" in site.run("rbd", "help", "mirror", "pool", "enable").stdout


@pytest.fixture
def paired(site_a: Site, site_b: Site, pool: str) -> str:
    """A pool with the namespace `left` at site-a, which is `right` at site-b.

    Each site has one of the other's name as well, which has nothing to do with it.
    """
    if not (has_pairs(site_a) and has_pairs(site_b)):
        pytest.skip("a site has a release that pairs only namespaces of the same name")
    pair(site_a, site_b, pool, "left", "right")
    return pool


def pair(site_a: Site, site_b: Site, pool: str, left: str, right: str) -> None:
    for site, own, other in ((site_a, left, right), (site_b, right, left)):
        for name in filter(None, (left, right)):
            with suppress(Exception):
                site.rbd("namespace", "create", f"{pool}/{name}")
        site.ceph("rbd-mirror", "pool", "enable", spec(pool, own), "image",
                  "--remote-namespace", other)


def spec(*words: str) -> str:
    return "/".join(filter(None, words))


def write(site: Site, pool: str, namespace: str, name: str = "image") -> None:
    with opened(site, pool, name, read_only=False, namespace=namespace) as image:
        for offset in range(0, SIZE, 5 << 20):
            image.write(os.urandom(64 << 10), offset)


def shown(site: Site, pool: str, namespace: str, name: str = "image") -> str:
    try:
        with opened(site, pool, name, namespace=namespace) as image:
            return checksum(image)
    except rbd.ImageNotFound:
        return "nothing"


def make(site: Site, pool: str, namespace: str, mode: str, name: str = "image") -> str:
    image = spec(pool, namespace, name)
    site.rbd("create", image, "--size", str(SIZE >> 20), "--image-feature",
             "layering,exclusive-lock" + (",journaling" if mode == "journal" else ""))
    write(site, pool, namespace, name)
    site.ceph("rbd-mirror", "image", "enable", image, mode)
    return image


def wait_for_the_same(here: Site, there: Site, pool: str, namespaces: "tuple[str, str]",
                      mode: str, name: str = "image") -> None:
    own, other = namespaces
    if mode == "snapshot":
        here.ceph("rbd-mirror", "image", "snapshot", spec(pool, own, name))
    wait_for(lambda: shown(there, pool, other, name) == shown(here, pool, own, name),
             lambda: there.ceph("rbd-mirror", "pool", "status", spec(pool, other), "--detail"))


def move(here: Site, there: Site, image: str, copy: str) -> None:
    here.ceph("rbd-mirror", "image", "demote", image)
    wait_for(lambda: there.run("ceph", "rbd-mirror", "image", "promote", copy).returncode == 0,
             lambda: there.ceph("rbd-mirror", "image", "status", copy))


def clone(site: Site, parent: str, child: str) -> None:
    site.rbd("snap", "create", f"{parent}@base")
    site.rbd("clone", f"{parent}@base", child, "--rbd-default-clone-format", "2")
    site.ceph("rbd-mirror", "image", "enable", child, "snapshot")
    site.ceph("rbd-mirror", "image", "snapshot", parent)


def images(site: Site, pool: str, namespace: str) -> "list[str]":
    return site.rbd("ls", spec(pool, namespace)).split()


@pytest.mark.parametrize("mode", MODES)
def test_a_failover_and_back(site_a: Site, site_b: Site, paired: str, mode: str) -> None:
    image, copy = make(site_a, paired, "left", mode), spec(paired, "right", "image")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), mode)
    move(site_a, site_b, image, copy)
    write(site_b, paired, "right")
    wait_for_the_same(site_b, site_a, paired, ("right", "left"), mode)
    early = site_a.run("ceph", "rbd-mirror", "image", "promote", image)
    assert early.returncode == 16, early.stderr
    move(site_b, site_a, copy, image)
    write(site_a, paired, "left")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), mode)
    assert not images(site_a, paired, "right") and not images(site_b, paired, "left")
    site_a.ceph("rbd-mirror", "image", "disable", image)
    wait_for(lambda: not images(site_b, paired, "right"),
             lambda: site_b.ceph("rbd-mirror", "pool", "status", f"{paired}/right", "--detail"))
    assert images(site_a, paired, "left") == ["image"]


@pytest.mark.parametrize("mode", MODES)
def test_a_split_brain_is_seen_and_ended(site_a: Site, site_b: Site, paired: str,
                                         mode: str) -> None:
    image, copy = make(site_a, paired, "left", mode), spec(paired, "right", "image")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), mode)
    site_b.ceph("rbd-mirror", "image", "promote", copy, "--force")
    write(site_b, paired, "right")
    site_b.ceph("rbd-mirror", "image", "demote", copy)

    def split() -> bool:
        found = site_b.ceph_json("rbd-mirror", "image", "status", copy)
        return bool(found["standing"]["state"] == "split-brain")

    wait_for(split, lambda: site_b.ceph("rbd-mirror", "image", "status", copy))
    found = site_b.ceph_json("rbd-mirror", "image", "status", copy)["split_brain"]
    assert not found["peer_error"]
    commands = [one["command"] for way in found["ways_out"] for one in way["commands"]]
    assert any(image in command for command in commands), commands
    site_b.ceph("rbd-mirror", "image", "resync", copy)
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), mode)


@pytest.mark.usefixtures("paired")
def test_the_default_namespace_with_a_named_one(site_a: Site, site_b: Site, pool: str) -> None:
    for site in (site_a, site_b):
        site.ceph("rbd-mirror", "pool", "enable", pool, "init-only")
        assert site.rbd_json("mirror", "pool", "info", pool)["mode"] == "init-only"
    pair(site_a, site_b, pool, "", "named")
    make(site_a, pool, "", "snapshot")
    make(site_b, pool, "named", "journal", "other")
    wait_for_the_same(site_a, site_b, pool, ("", "named"), "snapshot")
    wait_for_the_same(site_b, site_a, pool, ("named", ""), "journal", "other")
    assert not images(site_b, pool, "")


@pytest.mark.parametrize("parents, their_copies", [("left", "right"), ("up", "down"), ("", "down")])
def test_a_clone_whose_parent_is_in_either(site_a: Site, site_b: Site, paired: str, parents: str,
                                           their_copies: str) -> None:
    if parents != "left":
        for site in (site_a, site_b):
            site.ceph("rbd-mirror", "pool", "enable", paired, "init-only")
        pair(site_a, site_b, paired, parents, their_copies)
    parent = make(site_a, paired, parents, "snapshot", "parent")
    clone(site_a, parent, spec(paired, "left", "clone"))
    write(site_a, paired, "left", "clone")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), "snapshot", "clone")
    found = site_b.rbd_json("info", spec(paired, "right", "clone"))["parent"]
    assert (found["pool_namespace"], found["image"]) == (their_copies, "parent")


def test_the_daemon_takes_turns(lab: Lab, site_a: Site, site_b: Site, paired: str) -> None:
    names = (*MODES, "clone")
    for mode in MODES:
        make(site_a, paired, "left", mode, mode)
    clone(site_a, spec(paired, "left", "snapshot"), spec(paired, "left", "clone"))

    def change_and_wait() -> None:
        for name in names:
            write(site_a, paired, "left", name)
            wait_for_the_same(site_a, site_b, paired, ("left", "right"),
                              "journal" if name == "journal" else "snapshot", name)

    def ids() -> "list[str]":
        return [site_b.rbd_json("info", spec(paired, "right", name))["id"] for name in names]

    change_and_wait()
    before = ids()
    with no_workers(lab):
        site_b.start_rbd_mirror("turns")
        try:
            change_and_wait()
        finally:
            site_b.stop_rbd_mirror("turns")
    change_and_wait()
    assert before == ids()


def test_two_namespaces_that_are_mirrored_with_the_same_one(site_a: Site, site_b: Site,
                                                            paired: str) -> None:
    third = spec(paired, "third")
    site_b.rbd("namespace", "create", third)
    words = ("pool", "enable", third, "image", "--remote-namespace", "left")
    refused = site_b.run("ceph", "rbd-mirror", *words)
    assert (refused.returncode, f"{paired}/right" in refused.stderr) == (22, True)
    site_b.rbd("mirror", *words)
    make(site_a, paired, "left", "snapshot")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), "snapshot")
    wait_for(lambda: f"pool '{third}': nothing is replayed" in site_b.ceph("health", "detail"))
    assert not images(site_b, paired, "third")
    site_b.ceph("rbd-mirror", "pool", "disable", third)
    wait_for(lambda: third not in site_b.ceph("health", "detail"))


def test_a_namespace_that_the_peer_does_not_mirror_is_told_of(site_a: Site, site_b: Site,
                                                              paired: str) -> None:
    lone = spec(paired, "left")
    site_b.ceph("rbd-mirror", "pool", "enable", lone, "image", "--remote-namespace", "nowhere")
    told = f"pool '{lone}': nothing is replayed: it is mirrored with the namespace 'nowhere'"
    wait_for(lambda: told in site_b.ceph("health", "detail"))
    # Nor is anything written where nobody asked for it.
    assert not site_a.run("rados", "-p", paired, "--namespace", "nowhere", "ls").stdout


@pytest.fixture
def of_all_kinds(site_a: Site, site_b: Site, paired: str) -> Iterator[str]:
    make(site_a, paired, "left", "snapshot")
    wait_for_the_same(site_a, site_b, paired, ("left", "right"), "snapshot")
    yield paired


def test_rbd_says_no_more(site_a: Site, site_b: Site, of_all_kinds: str) -> None:
    pool = of_all_kinds
    site_b.ceph("rbd-mirror", "pool", "enable", pool, "init-only")
    for site, namespace in ((site_a, "left"), (site_b, "right"), (site_b, "")):
        where = spec(pool, namespace)
        for words in (("pool", "info", where), ("pool", "status", where)):
            check(ask(site, "rbd", "mirror", *words), ask(site, "ceph", "rbd-mirror", *words),
                  (site.name, words))
            check(lines(site, "rbd", "mirror", *words), lines(site, "ceph", "rbd-mirror", *words),
                  (site.name, words))
    for site, namespace in ((site_a, "left"), (site_b, "right")):
        image_words = ("image", "status", spec(pool, namespace, "image"))
        check(ask(site, "rbd", "mirror", *image_words),
              ask(site, "ceph", "rbd-mirror", *image_words), (site.name, image_words))


def test_what_librbd_can_not_do_is_refused(site_a: Site, pool: str) -> None:
    if has_pairs(site_a):
        pytest.skip("the site has a release that can do it")
    site_a.rbd("namespace", "create", f"{pool}/ns")
    for words, code, says in (
            ((f"{pool}/ns", "image", "--remote-namespace", "other"), 95, "only with that of the "),
            ((pool, "init-only"), 22, "librbd of this site does not have it")):
        refused = site_a.run("ceph", "rbd-mirror", "pool", "enable", *words)
        assert (refused.returncode, says in refused.stderr) == (code, True), refused.stderr
    assert site_a.rbd_json("mirror", "pool", "info", f"{pool}/ns") == {"mode": "disabled"}
    assert site_a.rbd_json("mirror", "pool", "info", pool)["mode"] == "image"
    site_a.ceph("rbd-mirror", "pool", "enable", f"{pool}/ns", "image", "--remote-namespace", "ns")
