"""Snapshots of an image and what namespace each is in (``cls_rbd_types.h``, release 16)."""

from dataclasses import dataclass, field
from typing import FrozenSet, Mapping, Optional, Union

from ..errors import InvalidArgument
from .constants import NOSNAP, HeaderFlag, NamespaceType, Protection, SnapState
from .encoding import Decoder, Encoder


@dataclass(frozen=True)
class UserNamespace:
    """``UserSnapshotNamespace``: made by a user."""


@dataclass(frozen=True)
class GroupNamespace:
    """``GroupSnapshotNamespace``: the image's part of a group snapshot."""

    pool: int
    group_id: str
    group_snapshot_id: str


@dataclass(frozen=True)
class TrashNamespace:
    """``TrashSnapshotNamespace``: removed, but a clone or a failed removal keeps it."""

    original_name: str
    original_type: int


@dataclass(frozen=True)
class MirrorNamespace:
    """``MirrorSnapshotNamespace``.

    ``peer_uuids`` are the peers that still need the snapshot.  ``primary_mirror_uuid`` and
    ``primary_snap_id`` name the site and the snapshot that a non-primary one is a copy of; in a
    primary one ``primary_snap_id`` is ``clean_since_snap_id``, as both share one slot.
    ``snap_seqs`` maps ids of the primary's snapshots to ids of the copy's.
    """

    state: SnapState
    complete: bool
    peer_uuids: FrozenSet[str] = frozenset()
    primary_mirror_uuid: str = ""
    primary_snap_id: int = NOSNAP
    last_copied_object_number: int = 0
    snap_seqs: Mapping[int, int] = field(default_factory=dict, hash=False)

    @property
    def is_primary(self) -> bool:
        return self.state in (SnapState.PRIMARY, SnapState.PRIMARY_DEMOTED)

    @property
    def is_non_primary(self) -> bool:
        return not self.is_primary

    @property
    def is_demoted(self) -> bool:
        return self.state in (SnapState.PRIMARY_DEMOTED, SnapState.NON_PRIMARY_DEMOTED)


@dataclass(frozen=True)
class UnknownNamespace:
    """Of a release newer than this code."""

    type: int


Namespace = Union[UserNamespace, GroupNamespace, TrashNamespace, MirrorNamespace, UnknownNamespace]


def encode_namespace(namespace: Namespace) -> bytes:
    """Return ``SnapshotNamespace``, version 1, as ``snapshot_add`` takes it.

    Raise InvalidArgument for an unknown namespace: what it held was not kept.
    """
    body = Encoder()
    if isinstance(namespace, UserNamespace):
        body.u32(NamespaceType.USER)
    elif isinstance(namespace, GroupNamespace):
        body.u32(NamespaceType.GROUP).s64(namespace.pool)
        body.string(namespace.group_id).string(namespace.group_snapshot_id)
    elif isinstance(namespace, TrashNamespace):
        body.u32(NamespaceType.TRASH)
        body.string(namespace.original_name).u32(namespace.original_type)
    elif isinstance(namespace, MirrorNamespace):
        body.u32(NamespaceType.MIRROR)
        _encode_mirror(body, namespace)
    else:
        raise InvalidArgument(f"snapshot namespace type {namespace.type} cannot be written")
    return Encoder().struct(1, 1, body).done()


def decode_namespace(source: Decoder) -> Namespace:
    """Read a ``SnapshotNamespace``; raise MalformedData when it is not one."""
    _, body = source.struct(1)
    number = body.u32()
    if number == NamespaceType.USER:
        return UserNamespace()
    if number == NamespaceType.GROUP:
        return GroupNamespace(body.s64(), body.string(), body.string())
    if number == NamespaceType.TRASH:
        return TrashNamespace(body.string(), body.u32())
    if number == NamespaceType.MIRROR:
        return _decode_mirror(body)
    return UnknownNamespace(number)


def _encode_mirror(body: Encoder, namespace: MirrorNamespace) -> None:
    body.u8(namespace.state).boolean(namespace.complete)
    body.list_(sorted(namespace.peer_uuids), Encoder.string)
    body.string(namespace.primary_mirror_uuid).u64(namespace.primary_snap_id)
    body.u64(namespace.last_copied_object_number)
    body.map_(namespace.snap_seqs, Encoder.u64, Encoder.u64)


def _decode_mirror(body: Decoder) -> MirrorNamespace:
    return MirrorNamespace(
        state=body.enum(SnapState, body.u8()),
        complete=body.boolean(),
        peer_uuids=frozenset(body.list_(Decoder.string)),
        primary_mirror_uuid=body.string(),
        primary_snap_id=body.u64(),
        last_copied_object_number=body.u64(),
        snap_seqs=body.map_(Decoder.u64, Decoder.u64))


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of an image.  ``size`` in bytes; ``parent_overlap`` in bytes, of a clone."""

    id: int
    name: str
    size: int
    protection: Protection = Protection.UNPROTECTED
    flags: HeaderFlag = HeaderFlag(0)
    namespace: Namespace = UserNamespace()
    timestamp_ns: int = 0
    child_count: int = 0
    parent_overlap: Optional[int] = None

    @property
    def is_hidden(self) -> bool:
        """Whether a user removed it while it had clones (format 2), which keep it."""
        return (isinstance(self.namespace, TrashNamespace)
                and self.namespace.original_type == NamespaceType.USER)

    @property
    def user_name(self) -> Optional[str]:
        """The name that a user gave it; None for one that no user made."""
        if isinstance(self.namespace, TrashNamespace) and self.is_hidden:
            return self.namespace.original_name
        return self.name if isinstance(self.namespace, UserNamespace) else None

    @classmethod
    def decode(cls, data: bytes) -> "Snapshot":
        """Given a ``snapshot_<id>`` value of a header's omap, return the snapshot.

        ``cls_rbd_snap`` (``cls/rbd/cls_rbd.h``), versions 1 to 8.  A compat below 8 is the form
        that holds features and parent as well; both are skipped, but for the parent's overlap.
        Raise MalformedData when it does not decode.
        """
        version, compat, body = Decoder(data).frame(8)
        snap_id, name, size = body.u64(), body.string(), body.u64()
        overlap = None
        if compat < 8:
            body.u64()
            if version >= 2:
                overlap = _overlap_of_parent(body)
        return cls(
            id=snap_id,
            name=name,
            size=size,
            protection=(body.enum(Protection, body.u8()) if version >= 3
                        else Protection.UNPROTECTED),
            flags=HeaderFlag(body.u64() if version >= 4 else 0),
            namespace=decode_namespace(body) if version >= 5 else UserNamespace(),
            timestamp_ns=body.utime() if version >= 6 else 0,
            child_count=body.u32() if version >= 7 else 0,
            parent_overlap=body.optional(Decoder.u64) if version >= 8 else overlap)


def _overlap_of_parent(source: Decoder) -> Optional[int]:
    """Read a ``cls_rbd_parent`` of version 1 or 2; None when it names no parent."""
    version, body = source.struct(2)
    pool_id = body.s64()
    if version >= 2:
        body.string()
    body.string()
    snap_id = body.u64()
    overlap = body.optional(Decoder.u64) if version >= 2 else body.u64()
    return overlap if pool_id >= 0 and snap_id != NOSNAP else None
