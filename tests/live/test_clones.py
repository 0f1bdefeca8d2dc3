"""Clones and their parents: who waits for whom, who is whose child, what goes and what stays."""

import os
from typing import Iterator, List

import pytest
import rbd

from qa.images import checksum, mirror_snapshots, opened
from qa.rounds import MIB
from qa.sites import Lab, Site
from qa.waiting import wait_for

SIZE = 8 * MIB
FEATURES = 61


class Mirrored:
    """An image at both sites; `spec` may name a namespace."""

    def __init__(self, primary: Site, copy: Site, spec: str) -> None:
        self.primary = primary
        self.copy = copy
        self.spec = spec
        self.pool, *namespace, self.name = spec.split("/")
        self.namespace = "".join(namespace)

    def create(self) -> None:
        self.primary.rbd("create", "--size", f"{SIZE}B", "--object-size", "1M", self.spec)
        self.write(0, 5 * MIB)
        self.primary.rbd("snap", "create", f"{self.spec}@base")
        self.primary.rbd("snap", "protect", f"{self.spec}@base")
        self.enable()

    def clone(self, spec: str, format: int) -> "Mirrored":
        self.primary.rbd("clone", "--rbd-default-clone-format", str(format), f"{self.spec}@base",
                         spec)
        return Mirrored(self.primary, self.copy, spec)

    def enable(self) -> None:
        self.primary.rbd("mirror", "image", "enable", self.spec, "snapshot")

    def write(self, offset: int, length: int) -> None:
        with opened(self.primary, self.pool, self.name, None, False, self.namespace) as image:
            image.write(os.urandom(length), offset)

    def sync(self) -> None:
        """Make a mirror snapshot, wait for its copy, compare all."""
        self.primary.rbd("mirror", "image", "snapshot", self.spec)
        self.wait_current()
        self.compare()

    def wait_current(self) -> None:
        wait_for(self._is_current, self.describe)

    def _is_current(self) -> bool:
        try:
            with opened(self.copy, self.pool, self.name, namespace=self.namespace) as image:
                copied = [s.primary_id for s in mirror_snapshots(image) if s.complete]
        except rbd.ImageNotFound:
            return False
        with opened(self.primary, self.pool, self.name, namespace=self.namespace) as image:
            return mirror_snapshots(image)[-1].id in copied

    def compare(self) -> None:
        assert self._shown(self.copy) == self._shown(self.primary), self.describe()

    def _shown(self, site: Site) -> "dict[str, str]":
        with opened(site, self.pool, self.name, namespace=self.namespace) as image:
            found = {"HEAD": f"{checksum(image)} {image.overlap()}"}
            for snap in list(image.list_snaps()):
                if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER:
                    image.set_snap(snap["name"])
                    found[snap["name"]] = f"{checksum(image)} {image.overlap()}"
            return found

    def status(self) -> str:
        """What the copy's site says; at the primary, as there may be no copy yet."""
        return self.primary.rbd("mirror", "image", "status", self.spec)

    def children(self, site: Site) -> List[str]:
        return sorted(f"{c['pool']}/{c['pool_namespace']}/{c['image']}" for c in
                      site.rbd_json("children", "--all", f"{self.spec}@base"))

    def parent(self, site: Site) -> "dict[str, object]":
        """As `rbd info` tells it, without the id, which each site has its own of."""
        found = dict(site.rbd_json("info", self.spec).get("parent", {}))
        found.pop("id", None)
        return found

    def snapshots(self, site: Site) -> List[str]:
        return sorted(s["namespace"]["type"] for s in site.rbd_json(
            "snap", "ls", "--all", self.spec) if s["namespace"]["type"] != "mirror")

    def describe(self) -> str:
        return "\n".join(
            site.rbd(*words, self.spec, check=False) for site in (self.primary, self.copy)
            for words in (("info",), ("snap", "ls", "--all"), ("mirror", "image", "status")))


@pytest.fixture
def parent(site_a: Site, site_b: Site, pool: str) -> Mirrored:
    parent = Mirrored(site_a, site_b, f"{pool}/parent")
    parent.create()
    return parent


@pytest.fixture
def other_pool(lab: Lab, site_a: Site, site_b: Site, pool: str) -> Iterator[str]:
    """A pool that both sites mirror, with a namespace, and that have not been made peers yet."""
    name = f"{pool}-parents"
    for site in (site_a, site_b):
        site.create_pool(name)
        site.rbd("namespace", "create", f"{name}/ns")
        for spec in (name, f"{name}/ns"):
            site.rbd("mirror", "pool", "enable", "--site-name", site.name, spec, "image")
    yield name
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def test_a_clone_waits_for_its_parent_in_a_namespace_of_another_pool(
        site_a: Site, site_b: Site, pool: str, other_pool: str) -> None:
    parent = Mirrored(site_a, site_b, f"{other_pool}/ns/parent")
    parent.create()
    clone = parent.clone(f"{pool}/clone", 2)
    clone.enable()
    reason = f"waiting for parent {other_pool}/ns/parent@base"
    wait_for(lambda: reason in clone.status(), clone.status)
    assert clone.name not in site_b.rbd_json("ls", pool)

    token = site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", other_pool)
    site_b.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", other_pool, "-i", "-",
                input=token)
    clone.wait_current()
    clone.compare()
    parent.compare()
    assert parent.children(site_b) == parent.children(site_a) == [f"{pool}//clone"]
    assert clone.parent(site_b) == clone.parent(site_a)


def test_flattened_by_and_by(site_a: Site, site_b: Site, pool: str, parent: Mirrored) -> None:
    """Format 2: the parent's snapshot is removed beneath the clone, which then is flattened."""
    clone = parent.clone(f"{pool}/clone", 2)
    clone.write(MIB, 100)
    site_a.rbd("snap", "create", f"{clone.spec}@kept")
    clone.enable()
    clone.wait_current()
    clone.compare()
    for spec in ("unprotect", "rm"):
        site_a.rbd("snap", spec, f"{parent.spec}@base")
    parent.sync()
    assert parent.snapshots(site_b) == ["trash"]
    clone.write(2 * MIB, 100)
    clone.sync()
    assert clone.parent(site_b)["overlap"] == SIZE

    site_a.rbd("flatten", clone.spec)
    clone.sync()
    assert clone.parent(site_b) == {}
    parent.sync()
    wait_for(lambda: parent.snapshots(site_b) == [], parent.describe)


def test_a_parent_s_snapshot_stays_while_a_copy_needs_it(
        site_a: Site, site_b: Site, pool: str, parent: Mirrored) -> None:
    """Format 1: at the primary site the clone is flattened, here not yet."""
    clone = parent.clone(f"{pool}/clone", 1)
    clone.enable()
    clone.wait_current()
    assert parent.children(site_b) == [f"{pool}//clone"]
    with opened(site_b, pool, "clone") as image:
        shown = checksum(image)
    site_a.rbd("flatten", clone.spec)
    for spec in ("unprotect", "rm"):
        site_a.rbd("snap", spec, f"{parent.spec}@base")
    parent.primary.rbd("mirror", "image", "snapshot", parent.spec)
    parent.wait_current()
    assert parent.snapshots(site_b) == ["user"]
    with opened(site_b, pool, "clone") as image:
        assert checksum(image) == shown

    clone.sync()
    assert clone.parent(site_b) == {}
    parent.sync()
    assert parent.snapshots(site_b) == []


def test_a_parent_is_copied_anew_beneath_its_clone(
        site_a: Site, site_b: Site, pool: str, parent: Mirrored) -> None:
    clone = parent.clone(f"{pool}/clone", 2)
    clone.enable()
    clone.wait_current()
    site_b.rbd("mirror", "image", "resync", parent.spec)
    known = clone.parent(site_b)
    wait_for(lambda: site_b.rbd_json("trash", "ls", "--all", pool), parent.describe)
    parent.wait_current()
    parent.compare()
    clone.write(3 * MIB, 100)
    clone.sync()
    assert {**clone.parent(site_b), "trash": None} == {**known, "trash": None}

    site_a.ceph("rbd-mirror", "image", "disable", clone.spec)
    wait_for(lambda: site_b.rbd_json("ls", pool) == ["parent"]
             and not site_b.rbd_json("trash", "ls", "--all", pool), clone.describe)
