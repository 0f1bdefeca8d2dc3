"""Ceph's daemon and our workers on either site, taking turns with no resync."""

from contextlib import contextmanager
from typing import Iterator

from qa.mirrored import set_workers
from qa.scenarios.stage import Stage
from qa.sites import Site
from qa.waiting import wait_for

OURS, THEIRS = "workers", "daemon"


def play(stage: Stage) -> None:
    """Every combination: writes, a failover and its way back, on the same two images.

    Only writes: the daemon of 16.2.15 loses discards.
    """
    for name in ("disk0", "disk1"):
        stage.create(stage.site_a, name)
    stage.wait(lambda: "disk1" in stage.site_b.rbd_json("ls", stage.pool), "disk1")
    copies = _ids(stage)
    for at_a, at_b in ((OURS, OURS), (OURS, THEIRS), (THEIRS, THEIRS), (THEIRS, OURS)):
        with _replayed_by(stage.site_a, at_a), _replayed_by(stage.site_b, at_b):
            _there_and_back(stage)
        assert _ids(stage) == copies, "an image was made anew"
        stage.say(f"{at_a} at site-a and {at_b} at site-b: equal, over and back, no resync")


def _there_and_back(stage: Stage) -> None:
    here, there = stage.site_a, stage.site_b
    for primary, copy in ((here, there), (there, here)):
        for name in ("disk0", "disk1"):
            stage.write(primary, name)
            stage.snapshot(primary, name)
            stage.wait_equal(primary, copy, name)
        stage.fail_over(primary, copy)


def _ids(stage: Stage) -> object:
    return [site.rbd_json("info", stage.spec(name))["id"]
            for site in (stage.site_a, stage.site_b) for name in ("disk0", "disk1")]


@contextmanager
def _replayed_by(site: Site, kind: str) -> Iterator[None]:
    if kind == OURS:
        yield
        return
    set_workers(site, 0)
    wait_for(lambda: not site.ceph_json("rbd-mirror", "worker", "ls"))
    site.start_rbd_mirror("scenario")
    try:
        yield
    finally:
        site.stop_rbd_mirror("scenario")
        set_workers(site, 1)
