"""Calls of the object class ``rbd`` (``cls/rbd/cls_rbd.cc``, release 16).

A function has the name of the method and returns the :class:`~mirror_mgr.wire.cls.Call`;
``decode_<method>`` decodes what the OSD answers and raises MalformedData when it can't.  Errnos
that a call is known to give are named with it.  Arguments follow each other with no frame around.
"""

from typing import Dict, List, Mapping, Optional, Tuple

from .cls import Call
from .constants import NO_POOL, NOSNAP, MirrorMode, ObjectState, PeerDirection, TrashState
from .encoding import Decoder, Encoder
from .mirror import MirrorImage, MirrorPeer, SiteStatus, decode_image_status
from .object_map import ObjectMap
from .snapshot import Namespace, encode_namespace
from .trash import TrashEntry


def _call(method: str, arguments: Optional[Encoder] = None) -> Call:
    return Call("rbd", method, b"" if arguments is None else arguments.done())


def _page(method: str, start_after: str, count: int) -> Call:
    return _call(method, Encoder().string(start_after).u64(count))


# -- rbd_mirroring

def mirror_uuid_get() -> Call:
    """ENOENT: mirroring was never enabled."""
    return _call("mirror_uuid_get")


def decode_mirror_uuid_get(data: bytes) -> str:
    return Decoder(data).string()


def mirror_mode_get() -> Call:
    """ENOENT: mirroring is disabled."""
    return _call("mirror_mode_get")


def decode_mirror_mode_get(data: bytes) -> MirrorMode:
    source = Decoder(data)
    return source.enum(MirrorMode, source.u32())


def mirror_peer_list() -> Call:
    return _call("mirror_peer_list")


def decode_mirror_peer_list(data: bytes) -> Tuple[MirrorPeer, ...]:
    return tuple(Decoder(data).list_(MirrorPeer.decode))


def mirror_peer_set_direction(uuid: str, direction: PeerDirection) -> Call:
    """ENOENT: there is no such peer."""
    return _call("mirror_peer_set_direction", Encoder().string(uuid).u8(direction))


def mirror_peer_ping(site_name: str, mirror_uuid: str) -> Call:
    """Say to the other site that ``mirror_uuid`` pulls from it; adds or refreshes its peer.

    EINVAL: the uuid is empty.
    """
    return _call("mirror_peer_ping",
                 Encoder().string(site_name).string(mirror_uuid).u8(PeerDirection.TX))


def mirror_image_list(start_after: str = "", count: int = 1024) -> Call:
    return _page("mirror_image_list", start_after, count)


def decode_mirror_image_list(data: bytes) -> Dict[str, str]:
    """Return global image ids by image id."""
    return Decoder(data).map_(Decoder.string, Decoder.string)


def mirror_image_get(image_id: str) -> Call:
    """ENOENT: the image is not mirrored."""
    return _call("mirror_image_get", Encoder().string(image_id))


def decode_mirror_image_get(data: bytes) -> MirrorImage:
    return MirrorImage.decode(Decoder(data))


def mirror_image_get_image_id(global_id: str) -> Call:
    """ENOENT: no image has this global id."""
    return _call("mirror_image_get_image_id", Encoder().string(global_id))


def decode_mirror_image_get_image_id(data: bytes) -> str:
    return Decoder(data).string()


def mirror_image_set(image_id: str, image: MirrorImage) -> Call:
    """EINVAL: the image has another global id.  EEXIST: the global id is another image's.

    ENOENT: a new entry whose state is disabling.
    """
    return _call("mirror_image_set", Encoder().string(image_id).raw(image.encode()))


def mirror_image_remove(image_id: str) -> Call:
    """EBUSY: its state is not disabling.  ENOENT: it is not mirrored."""
    return _call("mirror_image_remove", Encoder().string(image_id))


def mirror_image_status_set(global_id: str, status: SiteStatus) -> Call:
    return _call("mirror_image_status_set", Encoder().string(global_id).raw(status.encode()))


def mirror_image_status_get(global_id: str) -> Call:
    """ENOENT: there is no status, or the image is not in state enabled."""
    return _call("mirror_image_status_get", Encoder().string(global_id))


def decode_mirror_image_status_get(data: bytes) -> Tuple[SiteStatus, ...]:
    """Return the own site's status first, if there is one, then those of other sites."""
    return decode_image_status(Decoder(data))


def mirror_image_status_list(start_after: str = "", count: int = 1024) -> Call:
    return _page("mirror_image_status_list", start_after, count)


def decode_mirror_image_status_list(
        data: bytes) -> Tuple[Dict[str, MirrorImage], Dict[str, Tuple[SiteStatus, ...]]]:
    """Return the mirrored images by image id, and the statuses of those that have any."""
    source = Decoder(data)
    return (source.map_(Decoder.string, MirrorImage.decode),
            source.map_(Decoder.string, decode_image_status))


def mirror_image_status_remove(global_id: str) -> Call:
    return _call("mirror_image_status_remove", Encoder().string(global_id))


# -- rbd_mirror_leader

def mirror_instances_list() -> Call:
    return _call("mirror_instances_list")


def decode_mirror_instances_list(data: bytes) -> List[str]:
    return Decoder(data).list_(Decoder.string)


# -- rbd_namespace

def namespace_list(start_after: str = "", count: int = 1024) -> Call:
    """ENOENT: the pool never had a namespace."""
    return _page("namespace_list", start_after, count)


def decode_namespace_list(data: bytes) -> List[str]:
    return Decoder(data).list_(Decoder.string)


# -- rbd_directory

def dir_list(start_after: str = "", count: int = 1024) -> Call:
    return _page("dir_list", start_after, count)


def decode_dir_list(data: bytes) -> Dict[str, str]:
    """Return image ids by image name."""
    return Decoder(data).map_(Decoder.string, Decoder.string)


def dir_get_id(name: str) -> Call:
    return _call("dir_get_id", Encoder().string(name))


def decode_dir_get_id(data: bytes) -> str:
    return Decoder(data).string()


def dir_get_name(image_id: str) -> Call:
    return _call("dir_get_name", Encoder().string(image_id))


def decode_dir_get_name(data: bytes) -> str:
    return Decoder(data).string()


def dir_add_image(name: str, image_id: str) -> Call:
    """EEXIST: the name is taken.  EBADF: the id is."""
    return _call("dir_add_image", Encoder().string(name).string(image_id))


def dir_remove_image(name: str, image_id: str) -> Call:
    """ESTALE: name and id do not belong together."""
    return _call("dir_remove_image", Encoder().string(name).string(image_id))


def dir_rename_image(source: str, destination: str, image_id: str) -> Call:
    """EEXIST: the new name is taken.  ESTALE: the old one is not this image's."""
    return _call("dir_rename_image",
                 Encoder().string(source).string(destination).string(image_id))


def dir_state_assert_ready() -> Call:
    """``dir_state_assert``: fail unless images may be added.

    For a namespace only: ENOENT in the default one.
    """
    return _call("dir_state_assert", Encoder().u32(0))


# -- rbd_id.*

def set_id(image_id: str) -> Call:
    """The object must be made by the same operation."""
    return _call("set_id", Encoder().string(image_id))


def get_id() -> Call:
    """ENOENT: no image of this name."""
    return _call("get_id")


def decode_get_id(data: bytes) -> str:
    return Decoder(data).string()


# -- rbd_header.*

def create(size: int, order: int, features: int, object_prefix: str,
           data_pool_id: int = NO_POOL) -> Call:
    """EEXIST: there is a header already."""
    return _call("create", Encoder().u64(size).u8(order).u64(features).string(object_prefix)
                 .s64(data_pool_id))


def set_stripe_unit_count(stripe_unit: int, stripe_count: int) -> Call:
    """Needs an operation of its own after ``create``: in the same one it gives ENOEXEC."""
    return _call("set_stripe_unit_count", Encoder().u64(stripe_unit).u64(stripe_count))


def set_features(features: int, mask: int) -> Call:
    """Set the bits in ``mask`` to those of ``features``.

    Give only bits that change: EINVAL when a bit in the mask can't be changed.
    """
    return _call("set_features", Encoder().u64(features).u64(mask))


def set_size(size: int) -> Call:
    return _call("set_size", Encoder().u64(size))


def set_flags(flags: int, mask: int, snap_id: int = NOSNAP) -> Call:
    return _call("set_flags", Encoder().u64(flags).u64(mask).u64(snap_id))


def op_features_set(op_features: int, mask: int) -> Call:
    """Sets or clears the feature ``operations`` as well."""
    return _call("op_features_set", Encoder().u64(op_features).u64(mask))


def snapshot_add(name: str, snap_id: int, namespace: Namespace) -> Call:
    """The snapshot takes size, flags and parent overlap of the image as they are.

    EEXIST: another one of the same kind has the name.  ESTALE: the id is not above the last.
    EDQUOT: the limit is reached.
    """
    return _call("snapshot_add",
                 Encoder().string(name).u64(snap_id).raw(encode_namespace(namespace)))


def snapshot_remove(snap_id: int) -> Call:
    """ENOENT: there is none.  EBUSY: it is protected or has clones."""
    return _call("snapshot_remove", Encoder().u64(snap_id))


def snapshot_trash_add(snap_id: int) -> Call:
    """Move a user snapshot that has clones (format 2) out of sight.  EBUSY: it is protected."""
    return _call("snapshot_trash_add", Encoder().u64(snap_id))


def snapshot_rename(snap_id: int, name: str) -> Call:
    """EEXIST: another one has the name."""
    return _call("snapshot_rename", Encoder().u64(snap_id).string(name))


def snapshot_set_limit(limit: int) -> Call:
    """``NO_SNAP_LIMIT`` takes the limit away.  ERANGE: there are more already."""
    return _call("snapshot_set_limit", Encoder().u64(limit))


def set_protection_status(snap_id: int, protection: int) -> Call:
    return _call("set_protection_status", Encoder().u64(snap_id).u8(protection))


def mirror_image_snapshot_set_copy_progress(snap_id: int, complete: bool,
                                            last_copied_object_number: int) -> Call:
    return _call("mirror_image_snapshot_set_copy_progress",
                 Encoder().u64(snap_id).boolean(complete).u64(last_copied_object_number))


def mirror_image_snapshot_unlink_peer(snap_id: int, peer_uuid: str) -> Call:
    """ENOENT: the peer is not listed."""
    return _call("mirror_image_snapshot_unlink_peer", Encoder().u64(snap_id).string(peer_uuid))


def metadata_set(pairs: Mapping[str, bytes]) -> Call:
    return _call("metadata_set", Encoder().map_(pairs, Encoder.string, Encoder.bytes_))


def metadata_remove(key: str) -> Call:
    return _call("metadata_remove", Encoder().string(key))


def metadata_list(start_after: str = "", count: int = 1024) -> Call:
    return _page("metadata_list", start_after, count)


def decode_metadata_list(data: bytes) -> Dict[str, bytes]:
    return Decoder(data).map_(Decoder.string, Decoder.bytes_)


def parent_attach(pool_id: int, namespace: str, image_id: str, snap_id: int, overlap: int,
                  reattach: bool = False) -> Call:
    """Make the image a clone.  ``overlap`` in bytes.

    EEXIST: it has a parent.  EROFS once the image is non-primary.
    """
    parent = Encoder().s64(pool_id).string(namespace).string(image_id).u64(snap_id)
    return _call("parent_attach",
                 Encoder().struct(1, 1, parent).u64(overlap).boolean(reattach))


def parent_detach() -> Call:
    return _call("parent_detach")


def child_attach(snap_id: int, pool_id: int, namespace: str, image_id: str) -> Call:
    """On the parent's header: note a clone (format 2) of its snapshot."""
    return _call("child_attach", _child(snap_id, pool_id, namespace, image_id))


def child_detach(snap_id: int, pool_id: int, namespace: str, image_id: str) -> Call:
    return _call("child_detach", _child(snap_id, pool_id, namespace, image_id))


def _child(snap_id: int, pool_id: int, namespace: str, image_id: str) -> Encoder:
    # ChildImageSpec has the id before the namespace, ParentImageSpec the other way round.
    child = Encoder().s64(pool_id).string(image_id).string(namespace)
    return Encoder().u64(snap_id).struct(2, 1, child)


# -- rbd_children

def add_child(pool_id: int, parent_id: str, snap_id: int, child_id: str) -> Call:
    """Note a clone (format 1), in the clone's pool."""
    return _call("add_child", _legacy_child(pool_id, parent_id, snap_id, child_id))


def remove_child(pool_id: int, parent_id: str, snap_id: int, child_id: str) -> Call:
    return _call("remove_child", _legacy_child(pool_id, parent_id, snap_id, child_id))


def get_children(pool_id: int, parent_id: str, snap_id: int) -> Call:
    """ENOENT: no clone (format 1) of that snapshot is in this pool."""
    return _call("get_children", Encoder().s64(pool_id).string(parent_id).u64(snap_id))


def decode_get_children(data: bytes) -> List[str]:
    """Return the image ids of the clones."""
    return Decoder(data).list_(Decoder.string)


def _legacy_child(pool_id: int, parent_id: str, snap_id: int, child_id: str) -> Encoder:
    return Encoder().s64(pool_id).string(parent_id).u64(snap_id).string(child_id)


# -- rbd_object_map.*

def object_map_load() -> Call:
    """ENOENT: there is no map."""
    return _call("object_map_load")


def decode_object_map_load(data: bytes) -> ObjectMap:
    return ObjectMap.decode(data)


def object_map_save(object_map: ObjectMap) -> Call:
    return Call("rbd", "object_map_save", object_map.encode())


def object_map_resize(count: int, state: int = ObjectState.NONEXISTENT) -> Call:
    """Creates the map if there is none; new objects get ``state``."""
    return _call("object_map_resize", Encoder().u64(count).u8(state))


def object_map_update(start: int, end: int, state: int, current: Optional[int] = None) -> Call:
    """Set objects from ``start`` to before ``end``; only those in ``current``, if given.

    ``current`` EXISTS stands for EXISTS_CLEAN as well.
    """
    return _call("object_map_update",
                 Encoder().u64(start).u64(end).u8(state).optional(current, Encoder.u8))


def object_map_snap_add() -> Call:
    """Turn EXISTS into EXISTS_CLEAN."""
    return _call("object_map_snap_add")


def object_map_snap_remove(removed: ObjectMap) -> Call:
    """On the map of the next newer snapshot: take over what ``removed`` has as written."""
    return _call("object_map_snap_remove", Encoder().raw(removed.encode()))


# -- rbd_trash

def trash_add(image_id: str, entry: TrashEntry) -> Call:
    """EEXIST: it is there."""
    return _call("trash_add", Encoder().string(image_id).raw(entry.encode()))


def trash_remove(image_id: str) -> Call:
    return _call("trash_remove", Encoder().string(image_id))


def trash_get(image_id: str) -> Call:
    """Raise NotFound (of the object or of the entry) where there is none."""
    return _call("trash_get", Encoder().string(image_id))


def decode_trash_get(data: bytes) -> TrashEntry:
    return TrashEntry.decode(Decoder(data))


def trash_state_set(image_id: str, state: TrashState, expected: TrashState) -> Call:
    """Fails with ESTALE when an entry is in neither of the two states."""
    return _call("trash_state_set", Encoder().string(image_id).u8(state).u8(expected))


def trash_list(start_after: str = "", count: int = 1024) -> Call:
    return _page("trash_list", start_after, count)


def decode_trash_list(data: bytes) -> Dict[str, TrashEntry]:
    """Return entries by image id."""
    return Decoder(data).map_(Decoder.string, TrashEntry.decode)
