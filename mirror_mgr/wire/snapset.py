"""Which bytes of an object changed between two snapshots, from the clones that the OSD keeps.

For each clone the OSD knows its ``overlap``: the ranges in which it equals the next newer clone or,
for the newest, the object itself (``SnapSet`` in ``osd/osd_types.h``, all releases).
"""

from enum import Enum
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .constants import NOSNAP

Extent = Tuple[int, int]
"""Offset and length, in bytes."""


class Clone(NamedTuple):
    """``clone_info_t`` (``rados_types.hpp``): one clone, or the object itself (NOSNAP).

    ``snaps`` are the snapshots that show this clone; ``overlap`` ascends.
    """

    cloneid: int
    snaps: Tuple[int, ...]
    overlap: Tuple[Extent, ...]
    size: int


class Snapset(NamedTuple):
    """``snap_set_t``: the clones of one object, oldest first, the object itself last if it exists.

    ``seq`` is the newest snapshot that the object's last write knew of.
    """

    seq: int
    clones: Tuple[Clone, ...]

    def place(self, snap_id: int) -> Optional[int]:
        """Return the index of the clone that ``snap_id`` shows; None if it shows no object."""
        if snap_id > self.seq:
            return self._head
        for index, clone in enumerate(self.clones):
            if snap_id in clone.snaps:
                return index
        return None

    @property
    def _head(self) -> Optional[int]:
        if self.clones and self.clones[-1].cloneid == NOSNAP:
            return len(self.clones) - 1
        return None


class DeltaKind(Enum):
    """WHOLE: there was no object at the older snapshot.  EXTENTS: also when only the size differs.
    """

    UNCHANGED = 0
    REMOVED = 1
    WHOLE = 2
    EXTENTS = 3


class Delta(NamedTuple):
    """What turns the object of the older snapshot into that of the newer one.

    ``extents`` ascend, are disjoint and lie below ``size``, the object's size in bytes at the newer
    snapshot, to which it is to be truncated; 0 when it does not exist there.
    """

    kind: DeltaKind
    extents: Tuple[Extent, ...] = ()
    size: int = 0
    exists: bool = True


def delta(snapset: Snapset, older_snap: int, newer_snap: int) -> Delta:
    """Given an object's snapset, return what changed from ``older_snap`` to ``newer_snap``.

    ``older_snap`` 0 stands for the time before the object was made.  Not for objects of a clone
    image: a copyup changes what older snapshots show.
    """
    older = snapset.place(older_snap) if older_snap else None
    newer = snapset.place(newer_snap)
    if newer is None:
        return Delta(DeltaKind.UNCHANGED if older is None else DeltaKind.REMOVED, exists=False)
    size = snapset.clones[newer].size
    if older is None:
        return Delta(DeltaKind.WHOLE, ((0, size),) if size else (), size)
    same: List[Extent] = [(0, size)]
    for clone in snapset.clones[older:newer]:
        same = _intersection(same, clone.overlap)
    extents = _complement(same, size)
    if not extents and size == snapset.clones[older].size:
        return Delta(DeltaKind.UNCHANGED, size=size)
    return Delta(DeltaKind.EXTENTS, extents, size)


def _intersection(left: Sequence[Extent], right: Sequence[Extent]) -> List[Extent]:
    """Given two ascending lists of disjoint extents, return what lies in both."""
    common = []
    at_left = at_right = 0
    while at_left < len(left) and at_right < len(right):
        left_offset, left_length = left[at_left]
        right_offset, right_length = right[at_right]
        left_end, right_end = left_offset + left_length, right_offset + right_length
        start, end = max(left_offset, right_offset), min(left_end, right_end)
        if start < end:
            common.append((start, end - start))
        if left_end <= right_end:
            at_left += 1
        else:
            at_right += 1
    return common


def _complement(extents: Sequence[Extent], size: int) -> Tuple[Extent, ...]:
    """Given ascending disjoint extents below ``size``, return the gaps between them up to it."""
    gaps = []
    end = 0
    for offset, length in extents:
        if offset > end:
            gaps.append((end, offset - end))
        end = offset + length
    if end < size:
        gaps.append((end, size - end))
    return tuple(gaps)
