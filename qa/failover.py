"""An orderly failover with the stock `rbd` CLI, and what must be true after it."""

import re
import time
from typing import Collection, List

import rbd

from qa.images import mirror_snapshots, user_snapshots
from qa.rounds import Rounds
from qa.sites import Site
from qa.waiting import wait_for

# Many rounds of a busy monitor; librbd waits longer for who does not let go of the image.
PROMOTE_SECONDS = 25.0

_WRONG_CELL = re.compile(r"marked as (\d), but should be (\d)")
_OVERSTATED = ("1", "3")


def fail_over(rounds: Rounds, followed: bool = False) -> float:
    """Demote at the primary, let the copy catch up, promote there; return the promotion's seconds.

    `followed`: a worker at the old primary mirrors the image back at once.  Raise AssertionError
    when that needs force or takes long, or when the two sides differ then.
    """
    rounds.primary.rbd("mirror", "image", "demote", rounds.spec)
    wait_for(lambda: _has_last(rounds), rounds.describe)
    rounds.compare()
    expected = rounds.digests_at_copy()
    foreign = _snapshots_with_maps_of_librbd(rounds)
    start = time.monotonic()
    rounds.copy.rbd("mirror", "image", "promote", rounds.spec)
    seconds = time.monotonic() - start
    assert seconds < PROMOTE_SECONDS, f"promotion of {rounds.spec} took {seconds:.1f} s"
    assert rounds.digests_at_copy() == expected, rounds.describe()
    if followed:
        # It has snapshots removed, which changes maps that the check may have read.
        wait_for(lambda: _has_one_mirror_snapshot(rounds), rounds.describe)
    check_object_maps(rounds, rounds.copy, foreign)
    return seconds


def check_object_maps(rounds: Rounds, site: Site, but: Collection[str] = (),
                      as_librbd: bool = False) -> None:
    """Raise AssertionError unless `rbd object-map check` finds image and snapshots as they are.

    Snapshots in `but` are passed over.  `as_librbd`: an object may be marked as changed that is
    not, as librbd itself does, for a discard behind its end, say.
    """
    with rounds.image(site) as image:
        if not image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
            return
        names = [name for name in user_snapshots(image) if name not in but]
    for spec in [rounds.spec] + [f"{rounds.spec}@{name}" for name in names]:
        check = site.run("rbd", "object-map", "check", spec)
        assert check.returncode == 0, f"{spec}: {check.stderr}\n{rounds.describe()}"
        wrong = {cells for cells in _WRONG_CELL.findall(check.stderr)
                 if not (as_librbd and cells == _OVERSTATED)}
        # The check flags a map that it finds wrong.
        flags = [] if as_librbd else site.rbd_json("info", spec)["flags"]
        assert not wrong and not flags, f"{spec}: {flags}\n{check.stderr}\n{rounds.describe()}"


def _snapshots_with_maps_of_librbd(rounds: Rounds) -> List[str]:
    """The copy's user snapshots from when it was primary, and the one after them.

    The maps that librbd keeps of a primary do not stand up to its own check: a discard behind the
    end of an object, say, marks it as changed, and a rollback takes over a snapshot's marks.  When
    the last mirror snapshot made here is removed, the next snapshot gets its marks.
    """
    with rounds.image(rounds.copy) as image:
        made_here = [s.id for s in mirror_snapshots(image) if s.primary_id is None]
        snapshots = sorted((s["id"], s["name"]) for s in image.list_snaps()
                           if s["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER)
    if not made_here:
        return []
    older = sum(snap_id < made_here[-1] for snap_id, _ in snapshots)
    return [name for _, name in snapshots[:older + 1]]


def _has_one_mirror_snapshot(rounds: Rounds) -> bool:
    with rounds.image(rounds.copy) as image:
        return len(mirror_snapshots(image)) == 1


def _has_last(rounds: Rounds) -> bool:
    """Whether the copy holds the snapshot that the demotion made."""
    with rounds.image(rounds.primary) as image:
        last = mirror_snapshots(image)[-1]
    with rounds.image(rounds.copy) as image:
        found = mirror_snapshots(image)[-1]
    return last.demoted and found.demoted and found.complete and found.primary_id == last.id
