"""What the header of an image's journal holds: its clients, their positions, and tags.

Formats: ``cls/journal/cls_journal_types.h`` (Client, ObjectSetPosition, Tag) and
``librbd/journal/Types.h`` (ClientData, TagData) of release 16.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Tuple, TypeVar, Union

from ..errors import MalformedData
from .encoding import Decoder, Encoder
from .snapshot import Namespace, UserNamespace, decode_namespace, encode_namespace

T = TypeVar("T")

IMAGE_CLIENT = ""
"""The client that stands for the image itself; a mirror peer's is the uuid of its pool."""

LOCAL_OWNER = ""
"""Owner of a tag: the site that the journal is at."""

ORPHAN = "<orphan>"
"""Owner of a tag: nobody, as the image was demoted."""


def journal_oid(image_id: str) -> str:
    return f"journal.{image_id}"


def journal_data_oid(header_pool_id: int, image_id: str, number: int) -> str:
    """``header_pool_id``: the pool of the journal's header, wherever the data is."""
    return f"journal_data.{header_pool_id}.{image_id}.{number}"


class ObjectPosition(NamedTuple):
    """``ObjectPosition``: one entry, and which data object it is in."""

    object_number: int
    tag_tid: int
    entry_tid: int


Positions = Tuple[ObjectPosition, ...]
"""``ObjectSetPosition``: at most one for each of the set's objects, the newest first."""


def encode_positions(positions: Positions) -> bytes:
    body = Encoder().list_(positions, lambda target, position: target.struct(
        1, 1, Encoder().u64(position.object_number).u64(position.tag_tid)
        .u64(position.entry_tid)))
    return Encoder().struct(1, 1, body).done()


def decode_positions(source: Decoder) -> Positions:
    """Raise MalformedData when it is none."""
    return tuple(source.struct(1)[1].list_(_position))


def _position(source: Decoder) -> ObjectPosition:
    body = source.struct(1)[1]
    return ObjectPosition(body.u64(), body.u64(), body.u64())


class ClientState(IntEnum):
    CONNECTED = 0
    DISCONNECTED = 1


@dataclass(frozen=True)
class Client:
    """``Client``: who reads the journal, and up to where it has done what it read.

    ``data`` is for :func:`decode_client_data`.
    """

    id: str
    data: bytes
    positions: Positions = ()
    state: ClientState = ClientState.CONNECTED

    @classmethod
    def decode(cls, source: Decoder) -> "Client":
        """Raise MalformedData when it is none."""
        body = source.struct(1)[1]
        return cls(body.string(), body.bytes_(), decode_positions(body),
                   body.enum(ClientState, body.u8()))

    @property
    def front(self) -> Optional[ObjectPosition]:
        """The newest entry that the client is done with."""
        return self.positions[0] if self.positions else None


class PeerState(IntEnum):
    """Of a mirror peer: whether its first copy is still being made."""

    SYNCING = 0
    REPLAYING = 1


@dataclass(frozen=True)
class SyncPoint:
    """``MirrorPeerSyncPoint``: the snapshot of the primary that the first copy is made from.

    ``object_number`` is the last object that is copied, as far as that is noted.
    """

    snap_name: str
    from_snap_name: str = ""
    object_number: Optional[int] = None
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class ImageClientData:
    """``ImageClientMeta``: of the image itself.  ``resync_requested`` by its administrator."""

    tag_class: int
    resync_requested: bool = False

    def encode(self) -> bytes:
        body = Encoder().u32(_IMAGE).u64(self.tag_class).boolean(self.resync_requested)
        return Encoder().struct(2, 1, body).done()


@dataclass(frozen=True)
class PeerClientData:
    """``MirrorPeerClientMeta``.

    ``image_id`` is that of the copy, at the peer.  ``snap_seqs`` maps ids of the primary's
    snapshots to those of the copy's.
    """

    image_id: str
    state: PeerState = PeerState.REPLAYING
    sync_object_count: int = 0
    sync_points: Tuple[SyncPoint, ...] = ()
    snap_seqs: Mapping[int, int] = field(default_factory=dict, hash=False)

    def encode(self) -> bytes:
        body = Encoder().u32(_PEER).string(self.image_id).u32(self.state)
        body.u64(self.sync_object_count).list_(self.sync_points, _encode_sync_point)
        body.map_(self.snap_seqs, Encoder.u64, Encoder.u64)
        return Encoder().struct(2, 1, body).done()

    def replaced(self, **changes: object) -> "PeerClientData":
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class OtherClientData:
    """Of a client that is neither: the ``rbd`` command (2), or something newer."""

    type: int


ClientData = Union[ImageClientData, PeerClientData, OtherClientData]
_IMAGE, _PEER = 0, 1


def decode_client_data(data: bytes) -> ClientData:
    """Read ``ClientData``, versions 1 and 2; raise MalformedData."""
    version, body = Decoder(data).struct(2)
    number = body.u32()
    if number == _IMAGE:
        return ImageClientData(body.u64(), body.boolean())
    if number != _PEER:
        return OtherClientData(number)
    return PeerClientData(
        image_id=body.string(),
        state=body.enum(PeerState, body.u32()),
        sync_object_count=body.u64(),
        sync_points=tuple(body.list_(lambda item: _sync_point(item, version))),
        snap_seqs=body.map_(Decoder.u64, Decoder.u64))


def _sync_point(source: Decoder, version: int) -> SyncPoint:
    return SyncPoint(
        snap_name=source.string(),
        from_snap_name=source.string(),
        object_number=source.optional(Decoder.u64),
        namespace=decode_namespace(source) if version >= 2 else UserNamespace())


def _encode_sync_point(target: Encoder, point: SyncPoint) -> None:
    target.string(point.snap_name).string(point.from_snap_name)
    target.optional(point.object_number, Encoder.u64).raw(encode_namespace(point.namespace))


@dataclass(frozen=True)
class Predecessor:
    """``TagPredecessor``: the last entry before a tag.  ``valid``: there was one committed."""

    mirror_uuid: str = LOCAL_OWNER
    valid: bool = False
    tag_tid: int = 0
    entry_tid: int = 0


@dataclass(frozen=True)
class TagData:
    """``TagData``: who writes under a tag.

    ``mirror_uuid`` is ``LOCAL_OWNER``, ``ORPHAN`` or the uuid of the pool that is primary.
    """

    mirror_uuid: str
    predecessor: Predecessor = Predecessor()

    def encode(self) -> bytes:
        before = self.predecessor
        return (Encoder().string(self.mirror_uuid).string(before.mirror_uuid)
                .boolean(before.valid).u64(before.tag_tid).u64(before.entry_tid).done())

    @classmethod
    def decode(cls, source: Decoder) -> "TagData":
        """Raise MalformedData when it is none."""
        return cls(source.string(), Predecessor(
            source.string(), source.boolean(), source.u64(), source.u64()))


@dataclass(frozen=True)
class Tag:
    """``Tag``: a stretch of the journal that one owner wrote; its entries count from 0."""

    tid: int
    tag_class: int
    data: TagData

    @classmethod
    def decode(cls, source: Decoder) -> "Tag":
        """Raise MalformedData when it is none."""
        body = source.struct(1)[1]
        return cls(body.u64(), body.u64(), TagData.decode(Decoder(body.bytes_())))

    @property
    def owner(self) -> str:
        return self.data.mirror_uuid


# librbd/journal/CreateRequest.cc
_ORDERS = range(12, 65)
_CLIENT, _TAG = "client_", "tag_"


@dataclass(frozen=True)
class JournalHeader:
    """All that the omap of a journal's header says; ``tags`` ascend.

    ``splay_width`` data objects make a set; those of sets from ``minimum_set`` on exist, and the
    primary writes to ``active_set``.  ``pool_id`` -1: the data is in the header's pool.
    """

    splay_width: int
    order: int
    pool_id: int
    minimum_set: int
    active_set: int
    next_tag_tid: int
    clients: Dict[str, Client] = field(hash=False)
    tags: Tuple[Tag, ...]

    @classmethod
    def from_omap(cls, omap: Mapping[str, bytes]) -> "JournalHeader":
        """Given every key of the omap, return the header; raise MalformedData."""
        width = _decoded(omap, "splay_width", Decoder.u8)
        order = _decoded(omap, "order", Decoder.u8)
        if not width or order not in _ORDERS:
            raise MalformedData(f"journal of {width} objects of 2**{order} bytes")
        clients = [_decoded(omap, key, Client.decode) for key in omap if key.startswith(_CLIENT)]
        return cls(
            splay_width=width,
            order=order,
            pool_id=_decoded(omap, "pool_id", Decoder.s64),
            minimum_set=_decoded(omap, "minimum_set", Decoder.u64),
            active_set=_decoded(omap, "active_set", Decoder.u64),
            next_tag_tid=_decoded(omap, "next_tag_tid", Decoder.u64),
            clients={client.id: client for client in clients},
            tags=tuple(_decoded(omap, key, Tag.decode) for key in sorted(omap)
                       if key.startswith(_TAG)))

    @property
    def longest_entry(self) -> int:
        """In bytes: the primary writes none that is longer than an object is to be."""
        return 1 << self.order

    @property
    def image(self) -> ImageClientData:
        """What the journal says of the image itself; raise MalformedData where it says nothing."""
        client = self.clients.get(IMAGE_CLIENT)
        data = decode_client_data(client.data) if client is not None else None
        if not isinstance(data, ImageClientData):
            raise MalformedData("the journal has no client for the image itself")
        return data

    @property
    def image_tags(self) -> Tuple[Tag, ...]:
        tag_class = self.image.tag_class
        return tuple(tag for tag in self.tags if tag.tag_class == tag_class)

    @property
    def last_tag(self) -> Optional[Tag]:
        tags = self.image_tags
        return tags[-1] if tags else None

    @property
    def is_primary(self) -> bool:
        """Whether the site of the journal owns the image."""
        last = self.last_tag
        return last is not None and last.owner == LOCAL_OWNER

    def front(self, client_id: str) -> Optional[ObjectPosition]:
        """The newest entry that a client is done with."""
        client = self.clients.get(client_id)
        return client.front if client is not None else None

    def peer(self, mirror_uuid: str) -> Optional[PeerClientData]:
        """What the journal says of the copy that a site keeps; raise MalformedData."""
        client = self.clients.get(mirror_uuid)
        if client is None:
            return None
        data = decode_client_data(client.data)
        if not isinstance(data, PeerClientData):
            raise MalformedData(f"the journal's client {mirror_uuid} is no mirror peer")
        return data


def _decoded(omap: Mapping[str, bytes], key: str, decode: Callable[[Decoder], T]) -> T:
    if key not in omap:
        raise MalformedData(f"journal header has no '{key}'")
    try:
        return decode(Decoder(omap[key]))
    except MalformedData as error:
        raise MalformedData(f"'{key}': {error}") from None
