"""Both sites are upgraded in place under load, one after the other, to each later release."""

import random
import time
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List, Optional

import rbd

from qa.errors import LabError
from qa.images import MirrorSnapshot, checksum, mirror_snapshots, opened
from qa.ledger import Client, Ledger
from qa.many import snapshot_times
from qa.releases import CEPH_SUITES
from qa.roots import Root
from qa.scenarios.stage import Stage
from qa.sites import Site
from qa.waiting import wait_for

SCHEDULE = ("rbd-mirror", "snapshot", "schedule")
OPTION = "mgr/mirror_mgr/concurrent_syncs"
MIB = 16
GONE_SECONDS = 3  # the data of a snapshot goes before its name
DISK, DATABASE = "disk", "database"


def play(stage: Stage) -> None:
    """Each site is the primary of an image in either mode, and has the copies of the other's."""
    steps = [(site, release) for site in (stage.site_b, stage.site_a)
             for release in CEPH_SUITES if int(release) > int(site.release)]
    if not steps:
        raise LabError(f"no release after {stage.site_a.release} is known, so there is nothing to "
                       "upgrade to; play it where an earlier one is installed")
    for release in {release for _, release in steps}:
        Root(release).make()
    sites = _Sites(stage)
    sites.prepare()
    for site, release in steps:
        sites.upgrade(site, release)
    sites.fail_over()


class _Sites:
    """What the sites hold: the ledger of each image, by the site that is its primary."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sites = (stage.site_a, stage.site_b)
        self._ledgers = {site: {f"{site.name}-{kind}": Ledger(MIB * 256)
                                for kind in (DISK, DATABASE)} for site in self._sites}
        self._facts: Dict[str, Any] = {}

    def prepare(self) -> None:
        for site in self._sites:
            disk, database = self._ledgers[site]
            self._stage.create(site, disk, MIB)
            site.rbd("create", self._stage.spec(database), "--size", f"{MIB}M")
            self._stage.command(site, "image", "enable", self._stage.spec(database), "journal")
            site.ceph(*SCHEDULE, "add", "1d", "14:00:00-05:00", "--pool", self._stage.pool)
            site.ceph(*SCHEDULE, "add", "1m", "--pool", self._stage.pool, "--image", disk)
            site.ceph("config", "set", "mgr", OPTION, "7")
        with self._load():
            for site in self._sites:
                self._wait_for_schedule(site)
        self._judge()
        self._facts = self._read_facts()
        self._stage.say(f"release {self._stage.lab.releases}: both sites are equal")

    def upgrade(self, site: Site, release: str) -> None:
        before = site.release
        with self._load():
            start = time.monotonic()
            site.upgrade(release)
            taken = time.monotonic() - start
            self._wait_for_schedule(site)
            for one in self._sites:
                wait_for(lambda one=one: _works(one))
        self._judge()
        found = self._read_facts()
        assert found == self._facts, f"it was {self._facts}, and is {found}"
        self._stage.say(f"{site.name} went from {before} to {release} in {taken:.0f} s: equal with "
                        f"all of {self._written()} writes, no image made anew")

    def fail_over(self) -> None:
        """What all this has made of the images is good for use."""
        stage = self._stage
        for here, there in (self._sites, self._sites[::-1]):
            for name in self._ledgers[here]:
                stage.command(here, "image", "demote", stage.spec(name))
                wait_for(lambda name=name, there=there: stage.try_command(
                    there, "image", "promote", stage.spec(name)))
        self._hold_against_ledgers()
        self._stage.say("each image was promoted at the other site, with all its writes")

    # Load

    @contextmanager
    def _load(self) -> Iterator[None]:
        """A client writes to each image inside."""
        with ExitStack() as clients:
            for site, ledgers in self._ledgers.items():
                for name, ledger in ledgers.items():
                    rng = random.Random(self._stage.rng.random())
                    clients.enter_context(Client(site, self._stage.pool, name, ledger, rng))
            yield

    def _written(self) -> int:
        return sum(ledger.versions for ledgers in self._ledgers.values()
                   for ledger in ledgers.values())

    def _wait_for_schedule(self, site: Site) -> None:
        """Wait until a snapshot is made of the site's image as it is scheduled."""
        name = f"{site.name}-{DISK}"
        image_id = site.rbd_json("info", self._stage.spec(name))["id"]
        since = time.time()
        cluster = site.rados()
        try:
            with cluster.open_ioctx(self._stage.pool) as ioctx:
                self._stage.wait(lambda: snapshot_times(ioctx, image_id)[-1] > since, name)
        finally:
            cluster.shutdown()

    # What is looked at

    def _judge(self) -> None:
        """Nobody writes: all that there is must be at both sites."""
        for here, there in (self._sites, self._sites[::-1]):
            for name in self._ledgers[here]:
                if name.endswith(DISK):
                    self._stage.snapshot(here, name)
                self._stage.wait_equal(here, there, name)
            self._compare_snapshots(here, there, f"{here.name}-{DISK}")
        self._hold_against_ledgers()

    def _compare_snapshots(self, here: Site, there: Site, name: str) -> None:
        """Each whole mirror snapshot of the copy shows what the primary's shows, the newest at
        least: older ones are about to go."""
        compared = 0
        for copy in self._copies(there, name):
            both = {self._digest(there, name, copy.id), self._digest(here, name, copy.primary_id)}
            if len(both) == 1 and None not in both:
                compared += 1
                continue
            time.sleep(GONE_SECONDS)
            gone = (copy not in self._copies(there, name)
                    or self._digest(here, name, copy.primary_id) is None)
            assert gone, (f"{name}: snapshot {copy.id} of {there.name} is not {copy.primary_id} "
                          f"of {here.name}")
        assert compared, f"{name}: {there.name} has no snapshot that {here.name} has"

    def _copies(self, site: Site, name: str) -> List[MirrorSnapshot]:
        with opened(site, self._stage.pool, name) as image:
            return [snapshot for snapshot in mirror_snapshots(image) if snapshot.complete]

    def _digest(self, site: Site, name: str, snapshot: Optional[int]) -> Optional[str]:
        """None where there is no such snapshot any more."""
        try:
            with opened(site, self._stage.pool, name, snapshot) as image:
                return checksum(image)
        except rbd.ImageNotFound:
            return None

    def _hold_against_ledgers(self) -> None:
        for site in self._sites:
            for ledgers in self._ledgers.values():
                for name, ledger in ledgers.items():
                    with opened(site, self._stage.pool, name) as image:
                        wrong = ledger.differences(image)
                    assert not wrong, f"{name} at {site.name}: {len(wrong)} blocks: {wrong[:5]}"

    def _read_facts(self) -> Dict[str, Any]:
        """What no upgrade changes."""
        return {site.name: self._facts_of(site) for site in self._sites}

    def _facts_of(self, site: Site) -> Dict[str, Any]:
        pool = self._stage.pool
        info = site.ceph_json("rbd-mirror", "pool", "info", pool)
        images = (site.rbd_json("info", self._stage.spec(name))
                  for ledgers in self._ledgers.values() for name in ledgers)
        return {
            "pool": [info[key] for key in ("mode", "site_name")],
            "peers": [[peer[key] for key in ("uuid", "site_name", "direction", "client_name")]
                      for peer in info["peers"]],
            "images": [(image["name"], image["id"], image["mirroring"]) for image in images],
            "schedules": site.ceph_json(*SCHEDULE, "ls", "--pool", pool, "--recursive"),
            "option": site.ceph("config", "get", "mgr", OPTION).strip(),
        }


def _works(site: Site) -> bool:
    workers = site.ceph_json("rbd-mirror", "worker", "ls")
    return bool(workers) and all(worker["state"] == "running" for worker in workers)
