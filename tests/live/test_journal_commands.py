"""Journal-mode images through our own commands, and what these tell beside the daemon."""

import json
import random
from typing import Any, Dict, Iterator, Set

import pytest
import rbd

from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds, fail_over
from qa.leftovers import leftovers
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

SMALL = Layout("small", features=JOURNAL_LAYOUTS[0].features, size=8 * MIB)
DAEMON = "journal-status"

pytestmark = pytest.mark.usefixtures("no_workers")


class Commanded(JournalRounds):
    """Enabled by our command, which switches the journal on."""

    def create(self) -> None:
        self.primary.rbd("create", "--size", "8M", "--image-feature", "layering,exclusive-lock",
                         self.spec)
        self.primary.rbd("snap", "limit", "set", "--limit", "100", self.spec)
        self.primary.ceph("rbd-mirror", "image", "enable", self.spec, "journal")


@pytest.fixture
def image(site_a: Site, site_b: Site, pool: str) -> Iterator[Commanded]:
    one = Commanded(site_a, site_b, pool, "image", SMALL, random.Random())
    yield one
    one.close()


@pytest.fixture
def other(site_a: Site, site_b: Site, pool: str) -> Iterator[Commanded]:
    one = Commanded(site_a, site_b, pool, "other", SMALL, random.Random())
    yield one
    one.close()


def description(found: Dict[str, Any]) -> Dict[str, Any]:
    """The JSON behind the first words of an image's description."""
    words, _, details = found["description"].partition(", ")
    assert words == "replaying", found
    return dict(json.loads(details))


def id_at(one: JournalRounds, site: Site) -> str:
    try:
        return one.image_id(site)
    except rbd.ImageNotFound:
        return ""


def replaying(one: JournalRounds) -> bool:
    """Whether the copy's status is all there: the service comes some seconds after its worker."""
    found = one.copy.rbd_json("mirror", "image", "status", one.spec)
    return bool(found["state"] == "up+replaying" and "_position" in found["description"]
                and "daemon_service" in found)


def told(one: JournalRounds) -> Dict[str, Set[str]]:
    """The keys that rbd gives of a copy's status, and of its description and service."""
    wait_for(lambda: replaying(one), one.describe)
    found = one.copy.rbd_json("mirror", "image", "status", one.spec)
    return {"status": set(found), "description": set(description(found)),
            "service": set(found["daemon_service"])}


def test_status_beside_the_daemon_s(site_a: Site, site_b: Site, pool: str,
                                    image: Commanded) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        image.create()
        image.round()
        ours = told(image)
        wait_for(lambda: site_b.ceph_json("rbd-mirror", "image", "status", image.spec)[
            "standing"]["state"] == "up-to-date", image.describe)
        plain = site_b.ceph_json("rbd-mirror", "image", "status", image.spec)
        assert 0 <= plain["standing"]["copy_age_seconds"] < 600
        assert description(plain)["entries_behind_primary"] == 0
        at_primary = site_a.ceph_json("rbd-mirror", "image", "status", image.spec)
        assert description(at_primary["peer_sites"][0]).keys() >= ours["description"]
        for site in (site_a, site_b):
            for words in (("pool", "status"), ("pool", "info")):
                theirs = site.rbd_json("mirror", *words, pool)
                assert site.ceph_json("rbd-mirror", *words, pool).keys() >= theirs.keys()
        assert site_a.ceph_json("rbd-mirror", "pool", "info", pool)["mode"] == "image"
        workers.stop()
        site_b.start_rbd_mirror(DAEMON)
        try:
            wait_for(lambda: site_b.rbd_json("mirror", "image", "status", image.spec).get(
                "daemon_service", {}).get("daemon_id") == DAEMON, image.describe)
            daemons = told(image)
            # Our command, over what the daemon says.
            seen = site_b.ceph_json("rbd-mirror", "image", "status", image.spec)
            assert description(seen)["entries_behind_primary"] == 0
        finally:
            site_b.stop_rbd_mirror(DAEMON)
        for key, keys in daemons.items():
            assert ours[key] >= keys, (key, ours[key] ^ keys)


def test_roles_resyncs_and_conversions(site_a: Site, site_b: Site, pool: str,
                                       image: Commanded, other: Commanded) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        for one in (image, other):
            one.create()
        for one in (image, other):
            one.wait_current()
        # Journal to snapshots and back.
        site_a.ceph("rbd-mirror", "image", "disable", image.spec)
        wait_for(lambda: not id_at(image, site_b), image.describe)
        site_a.ceph("rbd-mirror", "image", "enable", image.spec, "snapshot")
        by_snapshots = Rounds(site_a, site_b, pool, "image", SMALL, image.rng)
        by_snapshots.round()
        by_snapshots.close()
        site_a.ceph("rbd-mirror", "image", "disable", image.spec)
        site_a.ceph("rbd-mirror", "image", "enable", image.spec, "journal")
        image.wait_current()
        image.round()
        # Asked for twice, it is made anew at least once, and well.
        before = image.image_id(site_b)
        for _ in range(2):
            site_b.run("ceph", "rbd-mirror", "image", "resync", image.spec)
        wait_for(lambda: id_at(image, site_b) not in ("", before), image.describe)
        image.wait_current()
        image.round()
        # Nobody is primary: the copy may be the last good one.
        before = other.image_id(site_b)
        site_a.ceph("rbd-mirror", "image", "demote", other.spec)
        refused = site_b.run("ceph", "rbd-mirror", "image", "resync", other.spec)
        assert refused.returncode == 1 and "--force" in refused.stderr, refused
        site_b.ceph("rbd-mirror", "image", "resync", other.spec, "--force")
        wait_for(lambda: "not primary" in site_b.rbd_json(
            "mirror", "image", "status", other.spec)["description"], other.describe)
        assert id_at(other, site_b) == before
        site_a.ceph("rbd-mirror", "image", "promote", other.spec)
        wait_for(lambda: id_at(other, site_b) not in ("", before), other.describe)
        other.wait_current()
        other.round()
        fail_over(image)


def test_copies_that_go(site_a: Site, site_b: Site, pool: str, image: Commanded,
                        other: Commanded) -> None:
    """Into the trash for a while where that is asked for; one that was promoted is kept."""
    site_b.ceph("config", "set", "client", "rbd_mirroring_delete_delay", "3600")
    try:
        with Workers(site_b, site_a, pool) as workers:
            workers.start()
            for one in (image, other):
                one.create()
            for one in (image, other):
                one.round()
            digests = image.digests_at_copy()
            copy = image.image_id(site_b)
            site_b.ceph("rbd-mirror", "image", "promote", other.spec, "--force")
            for one in (other, image):
                site_a.ceph("rbd-mirror", "image", "disable", one.spec)
            wait_for(lambda: not id_at(image, site_b), image.describe)
            [trashed] = site_b.rbd_json("trash", "ls", "--all", "--long", pool)
            assert (trashed["id"], trashed["source"]) == (copy, "MIRRORING"), trashed
            assert id_at(other, site_b)
            # Taken out again it is an image of its own, to be written to.
            site_b.rbd("trash", "restore", "--image", "rescued", f"{pool}/{copy}")
            rescued = Rounds(site_b, site_a, pool, "rescued", SMALL, image.rng)
            with rescued.image(site_b) as opened:
                assert rescued.user_digests(opened) == digests
                opened.set_snap(None)
                opened.write(b"written", 0)
            rescued.close()
    finally:
        site_b.ceph("config", "rm", "client", "rbd_mirroring_delete_delay")


def test_pool_mode_follows_the_feature(site_a: Site, site_b: Site, pool: str,
                                       other: Commanded) -> None:
    for site in (site_a, site_b):
        site.ceph("rbd-mirror", "pool", "enable", pool, "pool")
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        site_a.rbd("create", "--size", "8M", other.spec)
        site_a.rbd("create", "--size", "8M", f"{pool}/never")
        copy = id_at(other, site_b)
        assert not copy
        site_a.rbd("feature", "enable", other.spec, "journaling")
        other.wait_current()
        other.round()
        site_a.rbd("feature", "disable", other.spec, "journaling")
        wait_for(lambda: not id_at(other, site_b))
        site_a.rbd("feature", "enable", other.spec, "journaling")
        other.wait_current()
        other.round()
        assert site_b.rbd("ls", pool).split() == [other.name]
        with other.image(site_a) as image:
            for snapshot in list(image.list_snaps()):
                if image.is_protected_snap(snapshot["name"]):
                    image.unprotect_snap(snapshot["name"])
                image.remove_snap(snapshot["name"])
        site_a.rbd("rm", other.spec)
        wait_for(lambda: not id_at(other, site_b))
        wait_for(lambda: not leftovers(site_b, pool), lambda: str(leftovers(site_b, pool)))
