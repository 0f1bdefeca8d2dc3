"""What a split-brain is about, and the ways out of it.  Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import List, Mapping, Optional, Tuple

from ..model import SplitBrain, SplitSide, WayOut
from ..wire.constants import SnapState
from .forks import Mark

Pair = Tuple[Optional[Mark], Optional[Mark]]

_PREFIX = "ceph rbd-mirror image"


@dataclass(frozen=True)
class Account:
    """What one site's image is.

    :ivar mirror_uuid: of the site's pool
    :ivar primary: None if it could not be looked at
    :ivar changed: bytes, at most, by snapshot, as `headers.changed_bytes` gives them
    """

    site_name: str
    mirror_uuid: str = ""
    primary: Optional[bool] = None
    marks: Tuple[Mark, ...] = ()
    changed: Mapping[int, int] = field(default_factory=dict, hash=False)


def explain(spec: str, here: Account, there: Account, peer_error: str = "") -> SplitBrain:
    """Given both sides, say since when they differ, what each has, and how to get out."""
    pair = _last_shared(here, there)
    return SplitBrain(
        diverged=_diverged(pair),
        sides=(_side(here, pair[0]), _side(there, pair[1])),
        ways_out=(_way_out(spec, there, here), _way_out(spec, here, there)),
        peer_error=peer_error)


def _last_shared(here: Account, there: Account) -> Pair:
    """The last snapshot that both have, as it is here and there.

    A forced promotion removes the copies that it goes beyond: then what a side made first by itself
    stands for it, as the primary keeps what the copy had last until that has a later one.
    """
    ours, theirs = ({mark.id: mark for mark in side.marks} for side in (here, there))
    pairs = [(mark, theirs[mark.primary_snap_id]) for mark in here.marks
             if _is_copy(mark) and mark.primary_mirror_uuid == there.mirror_uuid
             and mark.primary_snap_id in theirs]
    pairs += [(ours[mark.primary_snap_id], mark) for mark in there.marks
              if _is_copy(mark) and mark.primary_mirror_uuid == here.mirror_uuid
              and mark.primary_snap_id in ours]
    if pairs:
        return max(pairs, key=lambda pair: pair[0].id)
    return _first_own(here) or _newest_copy(here), _first_own(there) or _newest_copy(there)


def _is_copy(mark: Mark) -> bool:
    return mark.state in (SnapState.NON_PRIMARY, SnapState.NON_PRIMARY_DEMOTED)


def _first_own(side: Account) -> Optional[Mark]:
    first = None
    for mark in reversed(side.marks):
        if _is_copy(mark):
            break
        first = mark
    return first


def _newest_copy(side: Account) -> Optional[Mark]:
    return next((mark for mark in reversed(side.marks) if _is_copy(mark)), None)


def _diverged(pair: Pair) -> Optional[datetime]:
    """When the primary made the snapshot; its copy, or what stands for that, is later."""
    here, there = pair
    return None if here is None or there is None else _time(min(here.seconds, there.seconds))


def _side(side: Account, shared: Optional[Mark]) -> SplitSide:
    own = [mark for mark in side.marks if not _is_copy(mark)]
    return SplitSide(
        site_name=side.site_name,
        primary=side.primary,
        newest_snapshot=_time(own[-1].seconds) if own else None,
        changed_bytes=_changed(side.changed, shared))


def _changed(changed: Mapping[int, int], shared: Optional[Mark]) -> Optional[int]:
    if shared is None or not changed:
        return None
    return sum(count for snap_id, count in changed.items() if not 0 < snap_id <= shared.id)


def _way_out(spec: str, keep: Account, give_up: Account) -> WayOut:
    steps: List[Tuple[str, str]] = []
    if keep.primary is False:
        steps.append((keep.site_name, f"{_PREFIX} promote {spec} --force"))
    elif keep.marks or give_up.marks:  # else there is a journal
        # What was written since the newest mirror snapshot would not be copied.
        steps.append((keep.site_name, f"{_PREFIX} snapshot {spec}"))
    if give_up.primary is not False:
        steps.append((give_up.site_name, f"{_PREFIX} demote {spec}"))
    steps.append((give_up.site_name, f"{_PREFIX} resync {spec}"))
    return WayOut(keep.site_name, tuple(steps))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
