"""One image as objects: header, maps and image states; reads for both sites, writes for ours."""

from typing import TYPE_CHECKING, Dict, List, Optional

from ..cluster.operation import VERSION_DIFFERS, Operation
from ..cluster.pool import Pool
from ..errors import Busy, MalformedData, MirrorError, NotFound, NotReady
from ..wire import cls_rbd, image_state
from ..wire.cls import Call
from ..wire.constants import NO_POOL, Feature, HeaderFlag, NamespaceType, Protection
from ..wire.encoding import Encoder
from ..wire.header import (
    MIRRORING,
    ImageHeader,
    header_oid,
    id_oid,
    image_state_oid,
    object_map_oid,
)
from ..wire.object_map import ObjectMap, require_count
from ..wire.snapshot import MirrorNamespace, Namespace, Snapshot, TrashNamespace
from . import children

if TYPE_CHECKING:
    from .hold import Hold

# All that another site may have us keep in memory for one image.
_MOST_HEADER_BYTES = 32 << 20
_MOST_STATE_BYTES = 32 << 20
_INVALID = HeaderFlag.OBJECT_MAP_INVALID | HeaderFlag.FAST_DIFF_INVALID


def _is_of_mirroring(snapshot: Snapshot) -> bool:
    """Also one whose removal a daemon began: first of all that calls it trash."""
    namespace = snapshot.namespace
    return isinstance(namespace, MirrorNamespace) or (
        isinstance(namespace, TrashNamespace)
        and namespace.original_type == NamespaceType.MIRROR)


class Image:
    """An image known by its id in a pool and namespace."""

    def __init__(self, pool: Pool, image_id: str) -> None:
        self.pool = pool
        self.id = image_id
        self._state_objects: Dict[int, int] = {}

    @property
    def header_oid(self) -> str:
        return header_oid(self.id)

    async def header(self) -> Optional[ImageHeader]:
        """The header, or None if the image does not exist."""
        try:
            return ImageHeader.from_omap(
                await self.pool.omap(self.header_oid, _MOST_HEADER_BYTES))
        except NotFound:
            return None

    async def has_name(self, name: str) -> bool:
        """Whether the id object of the name leads here."""
        return await self.pool.read(id_oid(name), 4096) == Encoder().string(self.id).done()

    async def claim_name(self, name: str) -> None:
        """Have the id object of the name lead here; raise AlreadyExists when there is one."""
        await self.pool.operate(id_oid(name), Operation().create(exclusive=True).call(
            cls_rbd.set_id(self.id)))

    def data_pool(self, header: ImageHeader) -> Pool:
        """Where the data objects are; raise NotFound when that pool is gone."""
        if header.data_pool_id == NO_POOL:
            return self.pool
        return self.pool.connection.pool(header.data_pool_id, self.pool.namespace)

    async def load_map(self, header: ImageHeader,
                       snap_id: Optional[int] = None) -> Optional[ObjectMap]:
        """The object map of the image or of a snapshot; None where there is none to be trusted."""
        flags = header.flags
        size = header.size
        if snap_id is not None:
            snapshot = header.snapshot(snap_id)
            if snapshot is None:
                return None
            flags, size = snapshot.flags, snapshot.size
        if not header.features & Feature.OBJECT_MAP or flags & _INVALID:
            return None
        found = await self.stored_map(header, size, snap_id)
        # One that is too short tells nothing of the other objects.
        return None if found is None or len(found) < header.object_count(size) else found

    async def stored_map(self, header: ImageHeader, size: int,
                         snap_id: Optional[int] = None) -> Optional[ObjectMap]:
        """The object map that there is for an image of `size` bytes, trusted or not."""
        # Two bits an object, and room for a frame and checksums.
        reply = 65536 + require_count(header.object_count(size)) // 3
        try:
            return cls_rbd.decode_object_map_load(await self.pool.call(
                object_map_oid(self.id, snap_id), cls_rbd.object_map_load(), reply))
        except NotFound:
            return None

    async def image_state_blobs(self, snap_id: int) -> List[bytes]:
        """The objects of a mirror snapshot's image state, object 0 first.

        Raise NotFound when one is missing, MalformedData for more than an image state can have.
        """
        blobs: List[bytes] = []
        left = _MOST_STATE_BYTES
        count = 1
        while len(blobs) < count:
            oid = image_state_oid(self.id, snap_id, len(blobs))
            blob = await self.pool.read(oid, left + 1)
            if blob is None:
                raise NotFound(f"{oid}: this part of the image state is missing")
            # Of as many objects as there are bytes no part but the last may be empty.
            left -= max(1, len(blob))
            if left < 0:
                raise MalformedData(f"{oid}: the image state has more than "
                                    f"{_MOST_STATE_BYTES} bytes")
            if not blobs:
                count = image_state.object_count(blob)
            blobs.append(blob)
        self._state_objects[snap_id] = count
        return blobs

    async def notify(self) -> None:
        """Tell who has the image open to read the header again."""
        await self.pool.notify(self.header_oid)

    async def change_header(self, call: Call) -> None:
        """Change the header by a cls method."""
        await self.pool.call(self.header_oid, call)

    async def change_map(self, snap_id: Optional[int], call: Call) -> None:
        """Change the object map of a snapshot, or that of the image, by a cls method."""
        await self.pool.call(object_map_oid(self.id, snap_id), call)

    async def remove_object(self, oid: str) -> None:
        """Remove another object of the image, if there is one."""
        await self.pool.remove(oid)

    async def protect(self, snap_id: int, protection: Protection) -> None:
        await self.change_header(cls_rbd.set_protection_status(snap_id, protection))

    async def remove_snapshot(self, header: ImageHeader, snapshot: Snapshot,
                              merged: bool = False) -> None:
        """Remove a snapshot, step by step as librbd does.

        `merged`: the next snapshot's object map already has this one's marks.  Raise Busy when
        clones hang on it.  May be repeated after a failure at any point.
        """
        if snapshot.child_count:
            raise Busy(f"snapshot {snapshot.name!r} has clones; flatten or remove them")
        if snapshot.protection != Protection.UNPROTECTED:
            if await children.has_uncounted(self.pool, self.id, snapshot.id):
                raise Busy(f"snapshot {snapshot.name!r} has clones; flatten or remove them")
            await self.protect(snapshot.id, Protection.UNPROTECTED)
        await self.remove_snapshot_map(header, snapshot, merged)
        await self.remove_mapless_snapshot(header, snapshot)

    async def remove_snapshot_map(self, header: ImageHeader, snapshot: Snapshot,
                                  merged: bool = False) -> None:
        """Let the next snapshot's object map take over this one's marks, and remove this one's."""
        if header.features & Feature.OBJECT_MAP:
            if not merged and header.features & Feature.FAST_DIFF:
                await self._merge_marks(header, snapshot)
            await self.remove_object(object_map_oid(self.id, snapshot.id))

    async def remove_mapless_snapshot(self, header: ImageHeader, snapshot: Snapshot) -> None:
        """The rest of a removal: image state, snapshot id, and last the header's entry."""
        if _is_of_mirroring(snapshot):
            await self._remove_image_state(snapshot.id)
        await self.data_pool(header).remove_snap_id(snapshot.id)
        try:
            await self.change_header(cls_rbd.snapshot_remove(snapshot.id))
        except NotFound:
            pass

    async def _merge_marks(self, header: ImageHeader, snapshot: Snapshot) -> None:
        """What changed up to this snapshot now counts as changed up to the next one."""
        removed = await self.load_map(header, snapshot.id)
        if removed is None:
            return
        newer = [s.id for s in header.snapshots if s.id > snapshot.id]
        try:
            await self.change_map(newer[0] if newer else None,
                                  cls_rbd.object_map_snap_remove(removed))
        except NotFound:
            pass

    async def _remove_image_state(self, snap_id: int) -> None:
        for index in reversed(range(await self._count_state_objects(snap_id))):
            await self.remove_object(image_state_oid(self.id, snap_id, index))
        self._state_objects.pop(snap_id, None)

    async def _count_state_objects(self, snap_id: int) -> int:
        if snap_id not in self._state_objects:
            first = await self.pool.read(image_state_oid(self.id, snap_id, 0), 64)
            self._state_objects[snap_id] = image_state.object_count(first) if first else 0
        return self._state_objects[snap_id]


class Copy(Image):
    """The local image while it is non-primary: librbd writes nothing to it, so we do.

    Its pool is a fork of its own.  `version` is that of the header when it was read last or, since,
    was changed by us under a hold.
    """

    def __init__(self, pool: Pool, image_id: str) -> None:
        super().__init__(pool, image_id)
        self.version = 0
        self._hold: Optional["Hold"] = None

    def held_by(self, hold: Optional["Hold"]) -> None:
        """From now on (until None is given) change nothing without this hold.

        The header is then changed only while nobody else changes it: a forced promotion begins with
        a snapshot that it adds without asking for the lock.
        """
        self._hold = hold

    async def header(self) -> Optional[ImageHeader]:
        try:
            omap, self.version = await self.pool.omap_versioned(self.header_oid)
        except NotFound:
            return None
        return ImageHeader.from_omap(omap)

    async def present_header(self) -> ImageHeader:
        """The header; raise NotFound if the image does not exist any more."""
        header = await self.header()
        if header is None:
            raise NotFound("it was removed meanwhile")
        return header

    def check(self) -> None:
        """Raise NotReady when changes must end; to be asked before each."""
        if self._hold is not None:
            self._hold.check()

    async def change_header(self, *calls: Call) -> None:
        """Change the header by cls methods, all or none of which count, and none sees another's.

        Raise NotReady when another client changed it under our hold.
        """
        self.check()
        operation = Operation()
        if self._hold is not None:
            operation.expect_version(self.version)
        for call in calls:
            operation.call(call)
        if self._hold is None:
            await self.pool.operate(self.header_oid, operation)
            return
        try:
            self.version = await self.pool.operate_versioned(self.header_oid, operation)
        except MirrorError as error:
            if error.errno in VERSION_DIFFERS:
                raise NotReady(f"image {self.id}: another client changed it meanwhile") from None
            raise

    async def change_map(self, snap_id: Optional[int], call: Call) -> None:
        self.check()
        await super().change_map(snap_id, call)

    async def remove_object(self, oid: str) -> None:
        self.check()
        await super().remove_object(oid)

    async def _write(self, oid: str, operation: Operation) -> None:
        self.check()
        await self.pool.operate(oid, operation)

    async def save_map(self, object_map: ObjectMap, snap_id: Optional[int] = None) -> None:
        await self._write(object_map_oid(self.id, snap_id), Operation().create().call(
            cls_rbd.object_map_save(object_map)))

    async def remove_mapless_snapshot(self, header: ImageHeader, snapshot: Snapshot) -> None:
        """The same; the last snapshot of a flattened clone that shows the parent lets it go."""
        parent = header.parent
        if parent and parent.head_overlap is None and snapshot.parent_overlap is not None:
            now = await super().header()
            if now and not any(s.parent_overlap is not None for s in now.snapshots
                               if s.id != snapshot.id):
                await children.release(self.pool, self.id, now)
        await super().remove_mapless_snapshot(header, snapshot)

    async def remove_snapshot_objects(self, header: ImageHeader, snap_id: int) -> None:
        """Remove what was made ready for a snapshot that was not added in the end."""
        await self.remove_object(object_map_oid(self.id, snap_id))
        await self._remove_image_state(snap_id)
        await self.data_pool(header).remove_snap_id(snap_id)

    async def set_size(self, size: int) -> None:
        await self.change_header(cls_rbd.set_size(size))

    async def shrink_overlap(self, overlap: int, size: int) -> None:
        """Have the image show but `overlap` bytes of its parent; `size` is its size and stays.

        An overlap shrinks with the size.  Neither of the two calls sees what the other writes.
        """
        await self.change_header(cls_rbd.set_size(overlap), cls_rbd.set_size(size))

    async def detach_parent(self, header: ImageHeader) -> None:
        """End the overlap with the parent; snapshots keep theirs unless deep-flatten is on."""
        self.check()
        if (header.features & Feature.DEEP_FLATTEN
                or all(s.parent_overlap is None for s in header.snapshots)):
            await children.release(self.pool, self.id, header)
        await self.change_header(cls_rbd.parent_detach())

    async def drop_feature(self, feature: Feature) -> None:
        await self.change_header(cls_rbd.set_features(0, feature))

    async def add_snapshot(self, name: str, snap_id: int, namespace: Namespace) -> None:
        """Add a snapshot; it takes size, flags and parent overlap from the header as it is now."""
        await self.change_header(cls_rbd.snapshot_add(name, snap_id, namespace))

    async def complete(self, snap_id: int, objects: int) -> None:
        """Mark a mirror snapshot as whole."""
        await self.change_header(cls_rbd.mirror_image_snapshot_set_copy_progress(
            snap_id, True, objects))

    async def set_progress(self, snap_id: int, last_object: int) -> None:
        await self.change_header(cls_rbd.mirror_image_snapshot_set_copy_progress(
            snap_id, False, last_object))

    async def write_image_state(self, snap_id: int, blobs: List[bytes]) -> None:
        """Object 0 is written last: with it the state is there."""
        self._state_objects[snap_id] = len(blobs)
        for index in reversed(range(len(blobs))):
            await self._write(image_state_oid(self.id, snap_id, index),
                              Operation().write_full(blobs[index]))


async def mirrored_as(pool: Pool, global_id: str) -> Optional[str]:
    """The id of the image that has this global id in a pool, None if there is none."""
    try:
        return cls_rbd.decode_mirror_image_get_image_id(await pool.call(
            MIRRORING, cls_rbd.mirror_image_get_image_id(global_id)))
    except NotFound:
        return None
