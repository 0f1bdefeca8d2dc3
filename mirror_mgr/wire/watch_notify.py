"""Payloads of notifications: the pool's leader, image headers, mirrored images.

Formats: ``tools/rbd_mirror/leader_watcher/Types.h``, ``librbd/WatchNotifyTypes.h``,
``librbd/mirroring_watcher/Types.h`` of release 16.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Optional, Union

from ..errors import MalformedData
from .constants import MirrorImageState, MirrorMode
from .encoding import Decoder, Encoder


class LeaderOp(IntEnum):
    """On ``rbd_mirror_leader``, among the daemons of a pool."""

    HEARTBEAT = 0
    LOCK_ACQUIRED = 1
    LOCK_RELEASED = 2


def encode_leader(op: LeaderOp) -> bytes:
    return Encoder().struct(1, 1, Encoder().u32(op)).done()


def decode_leader(data: bytes) -> Optional[LeaderOp]:
    """Return None for a message of a newer release; raise MalformedData."""
    number = Decoder(data).struct(1)[1].u32()
    return LeaderOp(number) if number in set(LeaderOp) else None


class ImageOp(IntEnum):
    """On a header.  Higher numbers are requests that a lock holder may leave unanswered."""

    ACQUIRED_LOCK = 0
    RELEASED_LOCK = 1
    REQUEST_LOCK = 2
    HEADER_UPDATE = 3


@dataclass(frozen=True)
class ClientId:
    """A librbd client: its RADOS instance id and the cookie of its watch on the header.

    Zeros stand for a sender that does not say who it is.
    """

    gid: int = 0
    handle: int = 0


@dataclass(frozen=True)
class ImageNotice:
    """``op`` as a number of :class:`ImageOp`, or a higher one."""

    op: int
    client: Optional[ClientId] = None


_LOCK_OPS = (ImageOp.ACQUIRED_LOCK, ImageOp.RELEASED_LOCK, ImageOp.REQUEST_LOCK)
_IMAGE_VERSION = 7
_NOBODY = ClientId()


def encode_image(op: ImageOp, client: ClientId = _NOBODY) -> bytes:
    """Return a message; the three about the lock name the ``client`` that sends them."""
    body = Encoder().u32(op)
    if op in _LOCK_OPS:
        body.u64(client.gid).u64(client.handle)
    if op == ImageOp.REQUEST_LOCK:
        body.boolean(False)  # a forced request breaks the lock of one that does not answer
    return Encoder().struct(_IMAGE_VERSION, 1, body).done()


def decode_image(data: bytes) -> ImageNotice:
    """An empty payload is a header update.  Raise MalformedData."""
    if not data:
        return ImageNotice(ImageOp.HEADER_UPDATE)
    version, body = Decoder(data).struct(_IMAGE_VERSION)
    op = body.u32()
    if op in _LOCK_OPS and version >= 2:
        return ImageNotice(op, ClientId(body.u64(), body.u64()))
    return ImageNotice(op)


@dataclass(frozen=True)
class ModeUpdated:
    """A pool's mirroring mode changed."""

    mode: MirrorMode


@dataclass(frozen=True)
class ImageUpdated:
    """Mirroring of an image was enabled, disabled or changed."""

    state: MirrorImageState
    image_id: str
    global_id: str


def encode_image_updated(image_id: str, global_id: str) -> bytes:
    """Return a notification for ``rbd_mirroring``: mirroring of an image was enabled."""
    body = Encoder().u32(1).u32(MirrorImageState.ENABLED).string(image_id).string(global_id)
    return Encoder().struct(1, 1, body).done()


def decode_mirroring(data: bytes) -> Union[ModeUpdated, ImageUpdated]:
    """Given a notification on ``rbd_mirroring``, return what changed; raise MalformedData."""
    _, body = Decoder(data).struct(1)
    number = body.u32()
    if number == 0:
        return ModeUpdated(body.enum(MirrorMode, body.u32()))
    if number == 1:
        return ImageUpdated(body.enum(MirrorImageState, body.u32()), body.string(), body.string())
    raise MalformedData(f"{number} is no notification on rbd_mirroring that is known")
