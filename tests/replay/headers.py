"""Headers of both sides, told in few words.

The remote site is where the images are primary; `copied(7, of=3)` is the local snapshot 7 that
stands for the remote snapshot 3.
"""

from mirror_mgr.replay.scan import Link, snapshot_name
from mirror_mgr.wire.constants import NOSNAP, Feature, NamespaceType, SnapState
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.snapshot import MirrorNamespace, Snapshot, TrashNamespace, UserNamespace

GLOBAL_ID = "9a5c0ef1-0001-4000-8000-000000000001"
LINK = Link(local_uuid="uuid-of-local", remote_uuid="uuid-of-remote", peer_uuid="peer-us")
US = frozenset({LINK.peer_uuid})
NOBODY = frozenset()
OURS, INHERITED, DAEMONS = "ours", "inherited", "daemon's"
SIZE = 1 << 22


def image(*snapshots, features=Feature.LAYERING, size=SIZE):
    return ImageHeader(size, 22, features, "rbd_data.1", snapshots=snapshots,
                       snap_seq=max((s.id for s in snapshots), default=0))


def writable(*snapshots):
    """The image as it is where it is primary."""
    return image(*snapshots)


def replica(*snapshots):
    """The image as it is where it is not primary, be it demoted or a copy."""
    return image(*snapshots, features=Feature.LAYERING | Feature.NON_PRIMARY)


def user(snap_id, name="s"):
    return Snapshot(snap_id, name, SIZE, namespace=UserNamespace())


def trashed(snap_id, clones=0):
    """A user snapshot that was removed while it had clones."""
    return Snapshot(snap_id, "uuid", SIZE, namespace=TrashNamespace("s", NamespaceType.USER),
                    child_count=clones)


def primary(snap_id, peers=US, complete=True):
    return _mirror(snap_id, f".mirror.primary.{GLOBAL_ID}.{snap_id}", MirrorNamespace(
        SnapState.PRIMARY, complete, frozenset(peers)))


def demoted(snap_id, peers=US, complete=True):
    return _mirror(snap_id, f".mirror.primary.{GLOBAL_ID}.{snap_id}", MirrorNamespace(
        SnapState.PRIMARY_DEMOTED, complete, frozenset(peers)))


def copied(snap_id, of, primary_uuid=LINK.remote_uuid, peers=NOBODY, by=OURS, demoted=False,
           complete=True, done=0, snap_seqs=None, ending=""):
    state = SnapState.NON_PRIMARY_DEMOTED if demoted else SnapState.NON_PRIMARY
    name = f".mirror.non_primary.{GLOBAL_ID}.0b5c9a2e-0000-4000-8000-{snap_id:012d}"
    if by != DAEMONS:
        name = snapshot_name(GLOBAL_ID, primary_uuid, of, verified=by == OURS) + ending
    return _mirror(snap_id, name, MirrorNamespace(
        state, complete, frozenset(peers), primary_uuid, of, done, snap_seqs or {}))


def copying(snap_id, of, done=0, **more):
    """A copy that was begun; `done` is what it recorded of its progress."""
    return copied(snap_id, of, complete=False, done=done, **more)


def orphan(snap_id):
    """What a forced promotion leaves."""
    return copied(snap_id, of=NOSNAP, primary_uuid="", by=DAEMONS)


def _mirror(snap_id, name, namespace):
    return Snapshot(snap_id, name, SIZE, namespace=namespace, timestamp_ns=snap_id * 10**9)
