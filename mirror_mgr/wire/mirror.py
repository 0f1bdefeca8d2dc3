"""What ``rbd_mirroring`` holds: a pool's mode, peers, mirrored images and their statuses.

Formats: ``cls_rbd_types.h`` of release 16 (Octopus to Tentacle write the same).
"""

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Mapping, Optional, Tuple

from ..errors import MalformedData
from .constants import ImageMode, MirrorImageState, MirrorMode, PeerDirection, StatusState
from .encoding import Decoder, Encoder

IMAGE_PREFIX = "image_"
MODE = "mirror_mode"
_REMOTE = "remote_namespace"
SETUP = (MODE, _REMOTE)
"""The keys that tell whether a namespace is mirrored, and with which of the peer."""
# Ceph's own are uuids.  They are keys of omaps, and are kept and told of each image.
_LONGEST_GLOBAL_ID = 256
_PEER = "mirror_peer_"


@dataclass(frozen=True)
class MirrorImage:
    """``MirrorImage``: one mirrored image."""

    global_id: str
    state: MirrorImageState
    mode: ImageMode

    def encode(self) -> bytes:
        body = Encoder().string(self.global_id).u8(self.state).u8(self.mode)
        return Encoder().struct(2, 1, body).done()

    @classmethod
    def decode(cls, source: Decoder) -> "MirrorImage":
        """Read versions 1 (journal mode only) and 2; raise MalformedData."""
        version, body = source.struct(2)
        global_id = body.string()
        if not global_id or len(global_id) > _LONGEST_GLOBAL_ID:
            raise MalformedData(f"a global image id of {len(global_id)} characters")
        return cls(
            global_id=global_id,
            state=body.enum(MirrorImageState, body.u8()),
            mode=body.enum(ImageMode, body.u8()) if version >= 2 else ImageMode.JOURNAL)


@dataclass(frozen=True)
class MirrorPeer:
    """``MirrorPeer``: the other site.  ``mirror_uuid`` is empty until it has been seen."""

    uuid: str
    site_name: str
    client_name: str
    pool_id: int = -1
    direction: PeerDirection = PeerDirection.RX_TX
    mirror_uuid: str = ""
    last_seen_ns: int = 0

    def encode(self) -> bytes:
        body = Encoder().string(self.uuid).string(self.site_name).string(self.client_name)
        body.s64(self.pool_id).u8(self.direction).string(self.mirror_uuid).utime(self.last_seen_ns)
        return Encoder().struct(2, 1, body).done()

    @classmethod
    def decode(cls, source: Decoder) -> "MirrorPeer":
        """Read versions 1 (no direction yet: both ways) and 2; raise MalformedData."""
        version, body = source.struct(2)
        names = body.string(), body.string(), body.string(), body.s64()
        if version < 2:
            return cls(*names)
        return cls(*names, body.enum(PeerDirection, body.u8()), body.string(), body.utime())


@dataclass(frozen=True)
class SiteStatus:
    """``MirrorImageSiteStatus``: what one site says of an image.

    ``mirror_uuid`` is empty for the site's own status and names the writer of a status that was
    put into the other site's pool.  ``up`` and ``last_update_ns`` are filled in by the OSD.
    """

    mirror_uuid: str
    state: StatusState
    description: str
    last_update_ns: int = 0
    up: bool = False

    def encode(self) -> bytes:
        version = 2 if self.mirror_uuid else 1
        body = Encoder()
        if version >= 2:
            body.string(self.mirror_uuid)
        body.u8(self.state).string(self.description).utime(self.last_update_ns).boolean(self.up)
        return Encoder().struct(version, version, body).done()

    @classmethod
    def decode(cls, source: Decoder) -> "SiteStatus":
        """Read versions 1 and 2; raise MalformedData."""
        version, body = source.struct(2)
        return cls._decode_body(body, version)

    @classmethod
    def _decode_body(cls, body: Decoder, version: int) -> "SiteStatus":
        return cls(
            mirror_uuid=body.string() if version >= 2 else "",
            state=_state(body.u8()),
            description=body.string(),
            last_update_ns=body.utime(),
            up=body.boolean())


def _state(number: int) -> StatusState:
    """What another site wrote: one that is not known must not hide all the others."""
    try:
        return StatusState(number)
    except ValueError:
        return StatusState.UNKNOWN


def decode_image_status(source: Decoder) -> Tuple[SiteStatus, ...]:
    """Read ``MirrorImageStatus`` (versions 1 and 2): the own site's status first, if there is one.

    The statuses in it have no frames of their own.  The own one, of version 1, is always there;
    whether it says anything follows it.  Raise MalformedData.
    """
    version, body = source.struct(2)
    own = SiteStatus._decode_body(body, 1)
    if version < 2:
        return (own,)
    valid = body.boolean()
    others = body.list_(lambda item: SiteStatus._decode_body(item, 2))
    return (own, *others) if valid else tuple(others)


@dataclass(frozen=True)
class MirrorPool:
    """One ``rbd_mirroring`` object, read whole; ``images`` by image id.

    ``unreadable`` are the ids of those whose entries do not decode: nothing is known of them, which
    is not to say that they are not mirrored.

    ``remote_namespace`` is None where the peer's of the same name is meant (always before release
    20, which wrote it first).  In a namespace ``mirror_uuid`` and ``peers`` mean nothing: they
    count in the default namespace alone.
    """

    mode: MirrorMode = MirrorMode.DISABLED
    mirror_uuid: str = ""
    peers: Tuple[MirrorPeer, ...] = ()
    images: Dict[str, MirrorImage] = field(default_factory=dict, hash=False)
    unreadable: FrozenSet[str] = frozenset()
    remote_namespace: Optional[str] = None

    @property
    def is_mirrored(self) -> bool:
        """Whether images of this namespace may be mirrored."""
        return self.mode in (MirrorMode.IMAGE, MirrorMode.POOL)

    def source(self, namespace: str) -> str:
        """Of which namespace of the peer this one, of the name `namespace`, has the copies."""
        return namespace if self.remote_namespace is None else self.remote_namespace

    @classmethod
    def from_omap(cls, omap: Mapping[str, bytes]) -> "MirrorPool":
        """Given every key of the object's omap (none when it does not exist), return the pool;
        given some of its keys, what they say of it.

        Raise MalformedData when a value does not decode that is not of one image alone.
        """
        images = {key[len(IMAGE_PREFIX):]: _readable(value) for key, value in sorted(omap.items())
                  if key.startswith(IMAGE_PREFIX)}
        mode = MirrorMode.DISABLED
        if MODE in omap:
            source = Decoder(omap[MODE])
            mode = source.enum(MirrorMode, source.u32())
        remote = omap.get(_REMOTE)
        return cls(
            mode=mode,
            mirror_uuid=omap.get("mirror_uuid", b"").decode("utf-8", "replace"),
            peers=tuple(MirrorPeer.decode(Decoder(omap[key])) for key in sorted(omap)
                        if key.startswith(_PEER)),
            images={image_id: image for image_id, image in images.items() if image is not None},
            unreadable=frozenset(image_id for image_id, image in images.items() if image is None),
            remote_namespace=None if remote is None else Decoder(remote).string())


def _readable(value: bytes) -> Optional[MirrorImage]:
    try:
        return MirrorImage.decode(Decoder(value))
    except MalformedData:
        return None
