"""Whether promoting an image would fork its data, or lose the last of it.  Pure.

librbd promotes what is demoted without a look at the other site.  Where that one was primary since,
two primaries come of it, or writes that were acknowledged there are left behind.
"""

from typing import NamedTuple, Optional, Tuple

from ..wire.constants import SnapState
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace


class Mark(NamedTuple):
    """A complete mirror snapshot of one site's image, and which of the primary's it is a copy of.

    `seconds` is when it was made, by its site's clock.
    """

    id: int
    state: SnapState
    primary_mirror_uuid: str = ""
    primary_snap_id: int = 0
    seconds: float = 0.0


def marks(header: ImageHeader) -> Tuple[Mark, ...]:
    """Return the complete mirror snapshots of an image in ascending order."""
    return tuple(
        Mark(s.id, s.namespace.state, s.namespace.primary_mirror_uuid, s.namespace.primary_snap_id,
             s.timestamp_ns / 1e9)
        for s in header.snapshots
        if isinstance(s.namespace, MirrorNamespace) and s.namespace.complete)


class Side(NamedTuple):
    """One site's image: the mirror uuid of the pool there, and the marks in ascending order."""

    mirror_uuid: str
    marks: Tuple[Mark, ...]

    def holds(self, mark: Mark, other: "Side") -> bool:
        """Whether a mark here is the copy of the other side's."""
        return any((m.primary_mirror_uuid, m.primary_snap_id) == (other.mirror_uuid, mark.id)
                   for m in self.marks)


_DEMOTED = (SnapState.PRIMARY_DEMOTED, SnapState.NON_PRIMARY_DEMOTED)


def is_demoted(side: Side) -> bool:
    """Whether librbd would promote the image without force."""
    return bool(side.marks) and side.marks[-1].state in _DEMOTED


def is_behind(header: ImageHeader) -> bool:
    """Whether the newest mirror snapshot is a copy that is not whole, or not of a demotion.

    As soon as the copying of a demotion begins, librbd would promote: it goes back to the snapshot
    before, and the last writes are left out.
    """
    if not header.mirror_snapshots:
        return False
    newest = header.mirror_snapshots[-1].namespace
    assert isinstance(newest, MirrorNamespace)
    return not newest.complete or newest.state == SnapState.NON_PRIMARY


class Fork(NamedTuple):
    """Why promoting an image would fork it, and what to do rather than force it."""

    reason: str
    cure: str = "wait for the last sync"


def why_not_unseen(here: Side) -> Optional[Fork]:
    """The same where the other site does not answer.

    What was demoted there and came over whole is taken to be the end of it.
    """
    if here.marks and here.marks[-1].state == SnapState.PRIMARY_DEMOTED:
        return Fork("the other site does not answer, and may have been primary since",
                    "wait until it answers")
    return None


def why_not(here: Side, there: Side, primary_there: bool) -> Optional[Fork]:
    """Return why promoting the demoted image `here` would fork it; None where it does not.

    One in journal mode has no marks: of that it is only known whether it is `primary_there`.
    """
    if primary_there:
        return Fork("it is primary at the other site", "demote it there and wait for the last sync")
    if not here.marks or not there.marks:
        return None
    ours, theirs = here.marks[-1], there.marks[-1]
    if theirs.state != SnapState.PRIMARY_DEMOTED or here.holds(theirs, there):
        return None
    if there.holds(ours, here):
        return _NOT_COME_OVER
    # Either site may have removed the copy that tells which demotion was the later one.
    if theirs.seconds <= ours.seconds:
        return None
    return _NOT_TO_COME if ours.state == SnapState.PRIMARY_DEMOTED else _NOT_COME_OVER


_NOT_COME_OVER = Fork("the other site was primary since, and its last writes have not come over "
                      "yet")
_NOT_TO_COME = Fork("the other site was primary since, and no longer shows where it took over, so "
                    "its last writes can't come over", "promote it there and resync it here")
