"""What is to be done for one image, from the headers of its two sides.  Pure.

The order of the rules, and which snapshot counts as linked, are those of the C++ daemon
(rbd::mirror::image_replayer::snapshot::Replayer, Pacific to Tentacle), so that either can carry on
from what the other left.
"""

import re
import uuid
from dataclasses import dataclass, field
from typing import List, Optional, Tuple, Union

from ..wire.constants import NOSNAP, Feature, SnapState
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace, Snapshot, TrashNamespace

LOCAL_IS_PRIMARY = "local image is primary"
NO_PRIMARY = "remote image is not primary, and there is no copy of it here"
NOT_PRIMARY = "remote image is not primary"

_ATTEMPT = re.compile(r"\.(dirty|clean)-([0-9a-f]{1,16})$")
_MADE_BY_US = uuid.UUID("6d697272-6f72-5f6d-a772-5f736e617073")


@dataclass(frozen=True)
class Link:
    """Who is who between a local pool and its peer.

    `local_uuid` and `remote_uuid` are the mirror uuids of the two pools, `peer_uuid` is our entry
    in the remote pool's list of peers.
    """

    local_uuid: str
    remote_uuid: str
    peer_uuid: str

    def turned(self) -> "Link":
        """As the other site sees it, but for our entry there, which nothing of this side tells."""
        return Link(self.remote_uuid, self.local_uuid, "")


@dataclass(frozen=True)
class Idle:
    """The copy holds everything that the primary has snapshots of."""


@dataclass(frozen=True)
class Waiting:
    """Nothing can be copied yet; `reason` says what is missing."""

    reason: str


@dataclass(frozen=True)
class NeedsSnapshot:
    """The primary's newest snapshot carries no peer uuid of ours, so none will ever be synced."""

    snap_id: int


@dataclass(frozen=True)
class Stopped:
    """Nothing is to be copied in this direction."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """The two sides do not fit together; only an administrator can decide.

    `resync`: the copy has no changes of its own, so that to make it anew is the way out.
    """

    reason: str
    split_brain: bool = False
    resync: bool = False


@dataclass(frozen=True)
class Sync:
    """Copy from the remote snapshot `start` (0: from nothing) to `end`.

    `base` is the newest complete local mirror snapshot, which stands for `start`.  `resume` is
    the local snapshot of an interrupted attempt at `end`.  `rebase` says that `base` was not made
    by us and may show older data than the image holds, so it can't serve as a point to return to.
    `dirty` says that an attempt left data in the image of a snapshot that is not copied now.
    `restore` says that the image was demoted here at `base`, and that clients may have written to
    it since.
    """

    start: int
    end: Snapshot
    base: Optional[Snapshot] = None
    resume: Optional[Snapshot] = None
    rebase: bool = False
    dirty: bool = False
    restore: bool = False


Action = Union[Idle, Waiting, NeedsSnapshot, Stopped, Broken, Sync]


@dataclass(frozen=True)
class Plan:
    """The action, and the clean-up that goes before it.

    `drop_local` are local snapshots to remove, `unlink_remote` remote ones that no longer
    need to wait for us; both ascending.  Unfinished snapshots stay until a later one is complete:
    they are what tells that the image was written to.
    """

    action: Action
    drop_local: Tuple[Snapshot, ...] = field(default=())
    unlink_remote: Tuple[Snapshot, ...] = field(default=())


def mirror(snapshot: Snapshot) -> MirrorNamespace:
    """The mirror namespace of a snapshot that is known to be a mirror snapshot."""
    assert isinstance(snapshot.namespace, MirrorNamespace)
    return snapshot.namespace


def snapshot_name(global_id: str, primary_uuid: str, primary_snap_id: int, verified: bool) -> str:
    """The name of a mirror snapshot of ours.

    The daemon ends the name in a random uuid.  Ours is derived, so that any later worker can tell
    who made the snapshot, and whether the copy beneath it is free of what a daemon left there.
    """
    seed = f"{global_id}/{primary_uuid}/{primary_snap_id}/{'verified' if verified else 'inherited'}"
    return f".mirror.non_primary.{global_id}.{uuid.uuid5(_MADE_BY_US, seed)}"


def attempt_name(name: str, demoted_id: int, dirty: bool) -> str:
    """The name of what stands for a demotion as long as that is being copied.

    `name` is that of the snapshot which shows the demotion once it is complete, `demoted_id` the
    snapshot id kept for it.  `dirty`: as in Sync; what else tells of that is removed at once.
    """
    return f"{name}.{'dirty' if dirty else 'clean'}-{demoted_id:x}"


def demoted_id(snapshot: Snapshot) -> Optional[int]:
    """The snapshot id that :func:`attempt_name` noted; None for a snapshot that is no attempt."""
    found = _ATTEMPT.search(snapshot.name)
    return int(found[2], 16) if found and isinstance(snapshot.namespace, MirrorNamespace) else None


def _is_dirty(attempt: Snapshot) -> bool:
    found = _ATTEMPT.search(attempt.name)
    return found is not None and found[1] == "dirty"


def made_by_us(global_id: str, snapshot: Snapshot) -> Optional[bool]:
    """None if a daemon made this snapshot; else whether the copy beneath it is verified."""
    ns = mirror(snapshot)
    for verified in (True, False):
        name = snapshot_name(global_id, ns.primary_mirror_uuid, ns.primary_snap_id, verified)
        if snapshot.name == name or snapshot.name.startswith(f"{name}."):
            return verified
    return None


def inherited(global_id: str, base: Optional[Snapshot]) -> bool:
    """Whether the copy beneath `base` may hold what a daemon that loses discards left in it."""
    return (base is not None and mirror(base).is_non_primary
            and not made_by_us(global_id, base))


def plan(global_id: str, local: Optional[ImageHeader], remote: ImageHeader, link: Link) -> Plan:
    """Given the headers of both sides (`local` None: no copy yet), return what is to be done."""
    if local is None:
        return Plan(_first_sync(remote, link))
    if not local.features & Feature.NON_PRIMARY:
        return Plan(Stopped(LOCAL_IS_PRIMARY))
    newest = local.mirror_snapshots[-1] if local.mirror_snapshots else None
    if newest is not None:
        stranger = _not_ours_to_replay(newest, link)
        if stranger is not None:
            return Plan(stranger)
    return _plan_copy(global_id, local, remote, link)


def _not_ours_to_replay(newest: Snapshot, link: Link) -> Optional[Action]:
    ns = mirror(newest)
    if ns.state == SnapState.PRIMARY:
        return Stopped(LOCAL_IS_PRIMARY)
    if ns.is_non_primary and not ns.primary_mirror_uuid:
        return Stopped("force promoted")
    if ns.is_non_primary and ns.primary_mirror_uuid != link.remote_uuid:
        return Broken("local image linked to unknown peer", resync=True)
    return None


def _plan_copy(global_id: str, local: ImageHeader, remote: ImageHeader, link: Link) -> Plan:
    base, unfinished = _base_and_unfinished(local)
    start = _start(base, remote, link)
    if isinstance(start, (Broken, Stopped)):
        return Plan(start)
    unlink = superseded(remote, start, link)
    drop = [s for s in local.mirror_snapshots if base is not None and s.id < base.id
            and mirror(s).is_non_primary and not mirror(s).peer_uuids]
    drop = sorted(drop + _unneeded(local), key=lambda snapshot: snapshot.id)
    end = _end(remote, start, link, base, unfinished)
    if not isinstance(end, Snapshot):
        return Plan(end, tuple(drop), unlink)
    resume = next((s for s in reversed(unfinished)
                   if _can_resume(global_id, s, end, base)
                   and not _was_abandoned(s, start, local, remote)), None)
    return Plan(Sync(
        start, end, base, resume,
        rebase=(base is not None and not unfinished and mirror(base).is_non_primary
                and made_by_us(global_id, base) is None),
        dirty=(any(s is not resume for s in unfinished)
               or resume is not None and (
                   _is_dirty(resume) or _lost_snapshots(resume, remote, start))),
        restore=base is not None and mirror(base).is_primary and resume is None),
        tuple(drop), unlink)


def has_its_own_changes(copy: ImageHeader, primary: ImageHeader, link: Link) -> bool:
    """Whether an image that is not primary can't follow the primary, as it was one itself."""
    base, _ = _base_and_unfinished(copy)
    start = _start(base, primary, link)
    return isinstance(start, Broken) and start.split_brain


def superseded(remote: ImageHeader, snap_id: int, link: Link) -> Tuple[Snapshot, ...]:
    """The remote mirror snapshots that still wait for us though we hold the later one `snap_id`.

    Also the copy of a demotion that the remote image was promoted from.  None of an image that is
    demoted: it can't be written, and once nobody waits for a snapshot, nobody removes it any more.
    """
    if remote.features & Feature.NON_PRIMARY:
        return ()
    return tuple(s for s in remote.mirror_snapshots
                 if s.id < snap_id and link.peer_uuid in mirror(s).peer_uuids)


def _unneeded(local: ImageHeader) -> List[Snapshot]:
    """Removed snapshots that were kept for clones, and that no clone needs any more."""
    return [s for s in local.snapshots
            if isinstance(s.namespace, TrashNamespace) and not s.child_count]


def _base_and_unfinished(local: ImageHeader) -> Tuple[Optional[Snapshot], List[Snapshot]]:
    base: Optional[Snapshot] = None
    unfinished: List[Snapshot] = []
    for snapshot in local.mirror_snapshots:
        if mirror(snapshot).complete:
            base = snapshot
            unfinished = []
        elif mirror(snapshot).is_non_primary:
            unfinished.append(snapshot)
    return base, unfinished


def _start(base: Optional[Snapshot], remote: ImageHeader,
           link: Link) -> Union[int, Broken, Stopped]:
    """The remote snapshot that `base` equals; 0 for none."""
    if base is None:
        return 0
    ns = mirror(base)
    if ns.is_non_primary:
        if remote.snapshot(ns.primary_snap_id) is None:
            return Broken("the primary no longer has the mirror snapshot that the copy was made "
                          "from, as when its peer is removed and added again; the copy has no "
                          "changes of its own", resync=True)
        return ns.primary_snap_id
    for snapshot in remote.mirror_snapshots:
        theirs = mirror(snapshot)
        if (theirs.state == SnapState.NON_PRIMARY_DEMOTED
                and theirs.primary_mirror_uuid == link.local_uuid
                and theirs.primary_snap_id == base.id):
            return snapshot.id if theirs.complete else Stopped(NOT_PRIMARY)
    if not remote.features & Feature.NON_PRIMARY:
        return Broken("split-brain: the other site was promoted, and nothing there shows that it "
                      "had received the last changes of this site", split_brain=True)
    newest = remote.mirror_snapshots[-1] if remote.mirror_snapshots else None
    if (newest is not None and mirror(newest).state == SnapState.PRIMARY_DEMOTED
            and newest.timestamp_ns > base.timestamp_ns):
        return Broken("the other site was primary after this one was demoted, and no longer shows "
                      "where it took over, as when its peer is removed and added again: promote "
                      "the image there, then resync it here")
    return Stopped(NOT_PRIMARY)


def _end(remote: ImageHeader, start: int, link: Link, base: Optional[Snapshot],
         unfinished: List[Snapshot]) -> Union[Snapshot, Action]:
    """The remote snapshot to copy next, or why there is none.

    That is the one an interrupted attempt was at, else the newest: those in between are part of it.
    """
    newest = remote.mirror_snapshots[-1] if remote.mirror_snapshots else None
    if remote.features & Feature.NON_PRIMARY and (newest is None or not mirror(newest).is_primary):
        # A copy, of whatever: what it was primary of once is nothing to make copies of.
        return Stopped(NOT_PRIMARY)
    later = [s for s in remote.mirror_snapshots if s.id > start and mirror(s).is_primary]
    linked = [s for s in later if _is_for_us(s, remote, link) and mirror(s).complete]
    for snapshot in unfinished:
        for candidate in linked:
            if candidate.id == mirror(snapshot).primary_snap_id:
                return candidate
    if linked:
        return linked[-1]
    if newest is not None and remote.features & Feature.NON_PRIMARY:
        if mirror(newest).state == SnapState.PRIMARY_DEMOTED and mirror(newest).complete:
            return _demoted(newest, base)
        return Waiting("the remote image is being demoted")
    if later and not mirror(later[-1]).complete:
        return Waiting("the newest mirror snapshot of the remote image is still being made")
    if later:
        return NeedsSnapshot(later[-1].id)
    if start:
        return Idle()
    return NeedsSnapshot(0)


def _is_for_us(snapshot: Snapshot, remote: ImageHeader, link: Link) -> bool:
    """Whether a primary snapshot may be counted on to stay until we have it.

    The demotion of an image that is demoted is, whoever its peers were then.
    """
    return (link.peer_uuid in mirror(snapshot).peer_uuids
            or bool(remote.features & Feature.NON_PRIMARY)
            and snapshot == remote.mirror_snapshots[-1] and mirror(snapshot).is_demoted)


def _demoted(newest: Snapshot, base: Optional[Snapshot]) -> Union[Snapshot, Action]:
    """All of the demotion `newest` is here; a copy that does not say so can't be promoted."""
    if base is not None and mirror(base).state == SnapState.NON_PRIMARY:
        return newest
    return Stopped("remote image demoted")


def _first_sync(remote: ImageHeader, link: Link) -> Action:
    """As the daemon: an image that is primary nowhere may be left over from one that is."""
    if remote.features & Feature.NON_PRIMARY:
        return Stopped(NO_PRIMARY)
    end = _end(remote, 0, link, None, [])
    return Sync(0, end) if isinstance(end, Snapshot) else end


def _lost_snapshots(attempt: Snapshot, remote: ImageHeader, start: int) -> bool:
    """Whether the primary removed a snapshot that the attempt was copying.

    What was written for it alone, no object map and no clone tells any more.
    """
    return any(snap_id > start and remote.snapshot(snap_id) is None
               for snap_id in mirror(attempt).snap_seqs)


def _was_abandoned(attempt: Snapshot, start: int, local: ImageHeader,
                   remote: ImageHeader) -> bool:
    """Whether snapshots that it made here were taken back though the primary still has theirs."""
    return any(theirs > start and remote.snapshot(theirs) is not None
               and local.snapshot(ours) is None
               for theirs, ours in mirror(attempt).snap_seqs.items() if ours != NOSNAP)


def _can_resume(global_id: str, snapshot: Snapshot, end: Snapshot,
                base: Optional[Snapshot]) -> bool:
    """A daemon's attempt that recorded no progress may lack the snapshots that go with it.

    One in the state of a demotion could be promoted at any time, though it is incomplete.  And upon
    a demotion made here a daemon leaves what was written since.
    """
    ns = mirror(snapshot)
    if ns.primary_snap_id != end.id or ns.is_demoted:
        return False
    if made_by_us(global_id, snapshot) is not None:
        return True
    return base is None or ns.last_copied_object_number > 0 and mirror(base).is_non_primary
