"""Images as librbd shows them: contents and mirror snapshots, the oracle of every comparison."""

import hashlib
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional

import rbd

from qa.sites import Site

CHUNK = 4 << 20


class MirrorSnapshot(NamedTuple):
    """A snapshot that mirroring made.

    `primary_id` is, on a copy, the id of the snapshot at the primary site that this one holds.
    """

    id: int
    demoted: bool
    complete: bool
    primary_id: Optional[int]


@contextmanager
def opened(
    site: Site,
    pool: str,
    name: str,
    snapshot: Optional[int] = None,
    read_only: bool = True,
    namespace: str = "",
) -> Iterator[rbd.Image]:
    """Open an image, at the snapshot with this id when one is given."""
    cluster = site.rados()
    try:
        with cluster.open_ioctx(pool) as ioctx:
            ioctx.set_namespace(namespace)
            with rbd.Image(ioctx, name, read_only=read_only) as image:
                if snapshot is not None:
                    image.set_snap_by_id(snapshot)
                yield image
    finally:
        cluster.shutdown()


def checksum(image: rbd.Image) -> str:
    """Return a digest of the size and the whole content of an open image."""
    size = image.size()
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    for offset in range(0, size, CHUNK):
        digest.update(image.read(offset, min(CHUNK, size - offset)))
    return digest.hexdigest()


def mirror_snapshots(image: rbd.Image) -> List[MirrorSnapshot]:
    """Return the mirror snapshots of an open image, oldest first."""
    found = []
    for snap in image.list_snaps():
        if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR:
            facts = image.snap_get_mirror_namespace(snap["id"])
            state = facts["state"]
            copied = state in (
                rbd.RBD_SNAP_MIRROR_STATE_NON_PRIMARY,
                rbd.RBD_SNAP_MIRROR_STATE_NON_PRIMARY_DEMOTED,
            )
            found.append(
                MirrorSnapshot(
                    snap["id"],
                    state
                    in (
                        rbd.RBD_SNAP_MIRROR_STATE_PRIMARY_DEMOTED,
                        rbd.RBD_SNAP_MIRROR_STATE_NON_PRIMARY_DEMOTED,
                    ),
                    facts["complete"],
                    facts["primary_snap_id"] if copied else None,
                )
            )
    return sorted(found)


def user_snapshots(image: rbd.Image) -> List[str]:
    """Return the names of the snapshots of an open image that users made, oldest first."""
    return [
        snap["name"]
        for snap in sorted(image.list_snaps(), key=lambda snap: snap["id"])
        if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    ]
