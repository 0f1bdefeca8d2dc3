"""An orderly failover with the stock `rbd` CLI, and what must be true after it."""

import time

import rbd

from qa.images import mirror_snapshots, user_snapshots
from qa.rounds import Rounds
from qa.sites import Site
from qa.waiting import wait_for

# A few rounds of the monitor; a promotion that waits for somebody's watch or lock takes longer.
PROMOTE_SECONDS = 10.0


def fail_over(rounds: Rounds) -> float:
    """Demote at the primary, let the copy catch up, promote there; return the promotion's seconds.

    Raise AssertionError when that needs force or takes long, or when the two sides differ then.
    """
    rounds.primary.rbd("mirror", "image", "demote", rounds.spec)
    wait_for(lambda: _has_last(rounds), 60, rounds.describe)
    start = time.monotonic()
    rounds.copy.rbd("mirror", "image", "promote", rounds.spec)
    seconds = time.monotonic() - start
    assert seconds < PROMOTE_SECONDS, f"promotion of {rounds.spec} took {seconds:.1f} s"
    rounds.compare()
    check_object_maps(rounds, rounds.copy)
    return seconds


def check_object_maps(rounds: Rounds, site: Site) -> None:
    """Raise AssertionError unless `rbd object-map check` finds image and snapshots as they are."""
    with rounds.image(site) as image:
        if not image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
            return
        names = user_snapshots(image)
    for spec in [rounds.spec] + [f"{rounds.spec}@{name}" for name in names]:
        check = site.run("rbd", "object-map", "check", spec)
        assert check.returncode == 0, f"{spec}: {check.stderr}\n{rounds.describe()}"
        # The check flags a map that it finds wrong.
        flags = site.rbd_json("info", spec)["flags"]
        assert flags == [], f"{spec}: {flags}\n{check.stderr}\n{rounds.describe()}"


def _has_last(rounds: Rounds) -> bool:
    """Whether the copy holds the snapshot that the demotion made."""
    with rounds.image(rounds.primary) as image:
        last = mirror_snapshots(image)[-1]
    with rounds.image(rounds.copy) as image:
        found = mirror_snapshots(image)[-1]
    return last.demoted and found.demoted and found.complete and found.primary_id == last.id
