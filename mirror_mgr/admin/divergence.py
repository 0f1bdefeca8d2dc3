"""What a split-brain is about, and the ways out of it.  Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import List, Mapping, NamedTuple, Optional, Tuple

from ..model import SplitBrain, SplitSide, WayOut
from ..wire.constants import SnapState
from .forks import Mark

Marks = Tuple[Mark, ...]
Pair = Tuple[Optional[Mark], Optional[Mark]]

_PREFIX = "ceph rbd-mirror image"


@dataclass(frozen=True)
class Account:
    """What one site's image is.

    :ivar mirror_uuid: of the site's pool
    :ivar primary: None if it could not be looked at
    :ivar changed: bytes, at most, by snapshot, as `headers.changed_bytes` gives them
    :ivar spec: what commands call the image there, where that is not what they do here: a copy that
        was not renamed yet, say
    """

    site_name: str
    mirror_uuid: str = ""
    primary: Optional[bool] = None
    marks: Marks = ()
    changed: Mapping[int, int] = field(default_factory=dict, hash=False)
    spec: str = ""


def explain(spec: str, here: Account, there: Account, peer_error: str = "") -> SplitBrain:
    """Given both sides, say since when they differ, what each has, and how to get out."""
    pair = _last_shared(here, there)
    return SplitBrain(
        diverged=_diverged(pair),
        sides=(_side(here, pair[0]), _side(there, pair[1])),
        ways_out=(_way_out(spec, there, here), _way_out(spec, here, there)),
        peer_error=peer_error)


class _Course(NamedTuple):
    """What a side went through since the last snapshot that is marked as shared.

    :ivar shared: that, as it is there; None where no mark is left
    :ivar other: the same as it is at the other side
    :ivar rest: all that came after it
    :ivar term: the last of these, which the side made by itself since it was a copy last
    """

    shared: Optional[Mark]
    other: Optional[Mark]
    rest: Marks
    term: Marks

    def was_copy_since(self) -> bool:
        """Whether it was something else between what is shared and its last term."""
        before = self.rest[:len(self.rest) - len(self.term)]
        return any(not _is_orphan(mark) for mark in before) or (
            bool(self.term) and self._was_handed_over())

    def _was_handed_over(self) -> bool:
        return (self.shared is not None and self.shared.state == SnapState.PRIMARY_DEMOTED
                and self.other is not None and self.other.state == SnapState.NON_PRIMARY_DEMOTED)

    def begin(self) -> Optional[Mark]:
        """Where the last term begins; without one, the newest copy."""
        if self.term:
            return self.term[0]
        return next((mark for mark in reversed(self.rest) if _is_copy(mark)), self.shared)


def _last_shared(here: Account, there: Account) -> Pair:
    """The last snapshot that both have, as it is here and there.

    A forced promotion removes the copies that it goes beyond, and what tells of earlier moves
    between the sites may be left: then what a side made first by itself, since it was a copy last,
    stands for it, as the primary keeps what the copy had last until that has a later one.
    """
    ours, theirs = _last_pair(here, there)
    rests = _since(here, ours), _since(there, theirs)
    courses = (_Course(ours, theirs, rests[0], _last_term(here, rests)),
               _Course(theirs, ours, rests[1], _last_term(there, rests[::-1])))
    if ours is not None and not any(course.was_copy_since() for course in courses):
        return ours, theirs
    return courses[0].begin(), courses[1].begin()


def _last_pair(here: Account, there: Account) -> Pair:
    """The last one that is marked as a copy of one that is there still."""
    ours, theirs = ({mark.id: mark for mark in side.marks} for side in (here, there))
    pairs = [(mark, theirs[mark.primary_snap_id]) for mark in here.marks
             if _is_copy(mark) and mark.primary_mirror_uuid == there.mirror_uuid
             and mark.primary_snap_id in theirs]
    pairs += [(ours[mark.primary_snap_id], mark) for mark in there.marks
              if _is_copy(mark) and mark.primary_mirror_uuid == here.mirror_uuid
              and mark.primary_snap_id in ours]
    return max(pairs, key=lambda pair: pair[0].id) if pairs else (None, None)


def _is_copy(mark: Mark) -> bool:
    return mark.state in (SnapState.NON_PRIMARY, SnapState.NON_PRIMARY_DEMOTED)


def _is_orphan(mark: Mark) -> bool:
    """What a forced promotion leaves: the copy of nothing."""
    return _is_copy(mark) and not mark.primary_mirror_uuid


def _since(side: Account, mark: Optional[Mark]) -> Marks:
    return tuple(m for m in side.marks if mark is None or m.id > mark.id)


def _last_term(side: Account, rests: Tuple[Marks, Marks]) -> Marks:
    """What the side made by itself since it was a copy last; `rests` are its and the other's."""
    rest, other = rests
    others_first = next((mark for mark in other if not _is_copy(mark)), None)
    term: List[Mark] = []
    for mark in reversed(rest):
        if _is_copy(mark) or (term and mark.state == SnapState.PRIMARY_DEMOTED and _was_copied_to(
                side, mark, term[-1], others_first)):
            break
        term.append(mark)
    return tuple(reversed(term))


def _was_copied_to(side: Account, demoted: Mark, promoted: Mark, other: Optional[Mark]) -> bool:
    """Whether a demoted image was a copy before its next promotion, though no mark is left of that.

    Else it was promoted as it was, when nothing can have been written to it meanwhile.  `other` is
    the first mark of the other site's own, which tells where nothing tells what was written.
    """
    if side.changed:
        return any(count for snap_id, count in side.changed.items()
                   if demoted.id < snap_id <= promoted.id)
    return other is not None and demoted.seconds < other.seconds <= promoted.seconds


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
    kept, given_up = keep.spec or spec, give_up.spec or spec
    steps: List[Tuple[str, str]] = []
    if keep.primary is False:
        steps.append((keep.site_name, f"{_PREFIX} promote {kept} --force"))
    elif keep.marks or give_up.marks:  # else there is a journal
        # What was written since the newest mirror snapshot would not be copied.
        steps.append((keep.site_name, f"{_PREFIX} snapshot {kept}"))
    if give_up.primary is not False:
        steps.append((give_up.site_name, f"{_PREFIX} demote {given_up}"))
    steps.append((give_up.site_name, f"{_PREFIX} resync {given_up}"))
    return WayOut(keep.site_name, tuple(steps))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
