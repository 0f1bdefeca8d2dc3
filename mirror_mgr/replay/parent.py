"""The parent of a clone that is copied: where it is at this site, and what it shows."""

import asyncio
from typing import Optional, Tuple, Union

import rbd

from ..cluster.pool import Pool
from ..cluster.uses import Uses
from ..errors import MirrorError, NotFound
from ..wire import cls_rbd
from ..wire.constants import NOSNAP, ImageMode
from ..wire.header import DIRECTORY, MIRRORING, ImageHeader, ParentLink
from ..wire.journal import PeerClientData, PeerState, decode_client_data
from ..wire.mirror import MirrorImage
from ..wire.snapshot import Snapshot
from .image import Image, mirrored_as
from .journal.store import ImageJournal
from .mirroring import called, read_pairs
from .scan import Broken, Waiting, mirror


def needed_overlap(remote: ImageHeader, end: Optional[Snapshot] = None) -> Optional[int]:
    """How many bytes of the parent a new copy of the snapshots up to `end` shows.

    Without an `end`: of the image with all of its snapshots.  None when none of them has a parent
    any more.
    """
    shown = [s.parent_overlap for s in remote.user_snapshots if end is None or s.id < end.id]
    if end is not None:
        shown.append(end.parent_overlap)
    elif remote.parent is not None:
        shown.append(remote.parent.head_overlap)
    overlaps = [overlap for overlap in shown if overlap is not None]
    return max(overlaps) if overlaps else None


def counterpart(local: ImageHeader, remote: ImageHeader, snap_id: int) -> Optional[int]:
    """The local snapshot that is the same as a remote one of the parent; None while there is none.

    Only what a complete sync tells counts, whichever side was primary in it.
    """
    for snapshot in reversed(local.mirror_snapshots):
        ours = mirror(snapshot).snap_seqs.get(snap_id, NOSNAP)
        if mirror(snapshot).complete and local.snapshot(ours) is not None:
            return ours
    for snapshot in reversed(remote.mirror_snapshots):
        for ours, theirs in mirror(snapshot).snap_seqs.items():
            if theirs == snap_id and mirror(snapshot).complete and local.snapshot(ours):
                return ours
    return None


def namesake(local: ImageHeader, snapshot: Snapshot) -> Optional[int]:
    """The local snapshot of the same name: how images that are mirrored by journals pair them.

    On either side it may be out of sight, as it was removed and has clones.
    """
    found = [s for s in local.snapshots
             if s.user_name is not None and (s.user_name, s.size) == (snapshot.user_name,
                                                                      snapshot.size)]
    # Of several, those that were removed have another one in their place since.
    found.sort(key=lambda s: s.namespace != snapshot.namespace)
    return found[0].id if found else None


async def _is_synced(theirs: ImageJournal, ours: ImageJournal) -> bool:
    """Whether all snapshots of a journal-mode copy show what they should.

    Its first sync makes them before it fills them.  An image that is primary here has its own.
    """
    local, remote = await asyncio.gather(ours.header(), theirs.header())
    if local is not None and local.is_primary:
        return True
    clients = remote.clients.values() if remote is not None else ()
    peers = [decode_client_data(client.data) for client in clients]
    return any(isinstance(peer, PeerClientData) and peer.image_id == ours.image_id
               and peer.state == PeerState.REPLAYING for peer in peers)


async def find(pool: Pool, source: Pool, link: ParentLink,
               overlap: int) -> Union[ParentLink, Waiting, Broken]:
    """Given a clone's link at the primary (pool `source`), return the link of its copy in `pool`.

    `overlap` in bytes becomes the link's; where the parent is not there, what is missing.
    """
    theirs = source.connection.pool(link.pool_id, link.namespace)
    original = Image(theirs, link.image_id)
    remote = await original.header()
    name = await _name(original)
    snapshot = remote.snapshot(link.snap_id) if remote is not None else None
    pool_name = source.connection.pool_name(link.pool_id) or str(link.pool_id)
    spec = "/".join(filter(None, (pool_name, link.namespace, name)))
    if remote is None or snapshot is None:
        return Waiting(f"waiting for parent {spec}: the primary site does not show it")
    spec = f"{spec}@{snapshot.user_name or snapshot.name}"
    try:
        mirrored = cls_rbd.decode_mirror_image_get(await theirs.call(
            MIRRORING, cls_rbd.mirror_image_get(link.image_id)))
    except NotFound:
        return Broken(f"waiting for parent {spec}: it is not mirrored; "
                      "enable its mirroring, or flatten the clone at the primary site")
    # Two pools that mirror each other may have different names.
    here = (pool.pool_id if link.pool_id == source.pool_id
            else pool.connection.pool_id(pool_name))
    if here is None:
        return Broken(f"waiting for parent {spec}: there is no pool {pool_name!r} "
                      "here; create it and mirror it")
    namespace = await _namespace_here(pool, source, link, here)
    if namespace is None:
        return Broken(f"waiting for parent {spec}: no namespace of pool {pool_name!r} here is "
                      f"mirrored with the {called(link.namespace)} there; enable one")
    ours = pool.connection.pool(here, namespace)
    found = await _paired(original, remote, snapshot, mirrored, ours)
    if found is not None:
        return ParentLink(here, namespace, *found, overlap)
    if snapshot.is_hidden:
        return Broken(f"waiting for parent {spec}: it was removed at the primary site and is not "
                      "here; flatten the clone there")
    return Waiting(f"waiting for parent {spec}: not copied here yet")


async def _namespace_here(pool: Pool, source: Pool, link: ParentLink,
                          here: int) -> Optional[str]:
    """The namespace of the pool `here` that has the copies of the parent's; None if none has."""
    if (link.pool_id, link.namespace) == (source.pool_id, source.namespace):
        return pool.namespace
    return (await read_pairs(pool.connection, here)).copy_of(link.namespace)


async def _paired(original: Image, remote: ImageHeader, snapshot: Snapshot, mirrored: MirrorImage,
                  ours: Pool) -> Optional[Tuple[str, int]]:
    """The ids of the image and of the snapshot here that stand for those of the parent there."""
    local_id = await mirrored_as(ours, mirrored.global_id)
    if local_id is None:
        return None
    local = await Image(ours, local_id).header()
    if local is None:
        return None
    if mirrored.mode == ImageMode.SNAPSHOT:
        snap_id = counterpart(local, remote, snapshot.id)
    elif await _is_synced(ImageJournal(original.pool, original.id), ImageJournal(ours, local_id)):
        snap_id = namesake(local, snapshot)
    else:
        snap_id = None
    return None if snap_id is None else (local_id, snap_id)


async def _name(image: Image) -> str:
    try:
        return cls_rbd.decode_dir_get_name(await image.pool.call(
            DIRECTORY, cls_rbd.dir_get_name(image.id)))
    except NotFound:
        return image.id


class ParentReader:
    """Reads what a clone's parent shows, through librbd: it may be a clone itself.

    Opened at the first read.
    """

    def __init__(self, pool: Pool, link: ParentLink) -> None:
        self._connection = pool.connection
        self._parents = pool.connection.pool(link.pool_id, link.namespace)
        self._link = link
        self._image: "Optional[asyncio.Future[rbd.Image]]" = None
        self._uses = Uses()

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; raise a MirrorError when the parent can't be read."""
        if self._image is None:
            self._image = self._uses.begin(self._connection.run(self._open))
        opening = self._image
        try:
            image = await asyncio.shield(opening)
        except MirrorError:
            if self._image is opening:
                self._image = None
            raise
        return bytes(await self._uses.of(self._connection.run(image.read, offset, length)))

    def _open(self) -> rbd.Image:
        image = rbd.Image(self._parents.ioctx, image_id=self._link.image_id, read_only=True)
        try:
            image.set_snap_by_id(self._link.snap_id)
        except BaseException:
            image.close()
            raise
        return image

    async def close(self) -> None:
        opening, self._image = self._image, None
        await self._uses.ended()
        if opening is not None and opening.exception() is None:
            await self._connection.run(opening.result().close)
