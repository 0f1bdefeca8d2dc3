"""The image state that goes with each mirror snapshot.

``librbd/mirror/snapshot/Types.h``, release 16: name, features, metadata and user snapshots as
they were.  It is written as one blob cut into objects: the first begins with a frame that holds
the count of objects, and is written last.
"""

from dataclasses import dataclass, field
from typing import Dict, List, Sequence

from ..errors import MalformedData
from .constants import NO_SNAP_LIMIT, Feature, Protection
from .encoding import Decoder, Encoder
from .snapshot import Namespace, UserNamespace, decode_namespace, encode_namespace


@dataclass(frozen=True)
class SnapshotState:
    """``SnapState``: one user snapshot of the primary image."""

    name: str
    namespace: Namespace = UserNamespace()
    protection: Protection = Protection.UNPROTECTED


@dataclass(frozen=True)
class ImageState:
    """``ImageState``.  ``snapshots`` by the primary's snapshot id.

    ``features`` leaves out what another bit implies (fast-diff) or the site decides (data-pool,
    striping, operations, migrating, non-primary).
    """

    name: str
    features: Feature
    snap_limit: int = NO_SNAP_LIMIT
    snapshots: Dict[int, SnapshotState] = field(default_factory=dict, hash=False)
    metadata: Dict[str, bytes] = field(default_factory=dict, hash=False)


def object_count(first: bytes) -> int:
    """Given object 0, return how many objects the state has; raise MalformedData."""
    return Decoder(first).struct(1)[1].u32()


def decode(objects: Sequence[bytes]) -> ImageState:
    """Given the contents of all objects, object 0 first, return the state.

    Raise MalformedData when an object is missing or the whole does not decode.
    """
    if not objects:
        raise MalformedData("an image state has at least one object")
    source = Decoder(objects[0])
    count = source.struct(1)[1].u32()
    if count > len(objects):
        raise MalformedData(f"image state of {count} objects: only {len(objects)} are there")
    _, body = Decoder(source.remaining() + b"".join(objects[1:count])).struct(1)
    return ImageState(
        name=body.string(),
        features=Feature(body.u64()),
        snap_limit=body.u64(),
        snapshots=body.map_(Decoder.u64, _decode_snapshot),
        metadata=body.map_(Decoder.string, Decoder.bytes_))


def encode(state: ImageState, object_size: int) -> List[bytes]:
    """Return the contents of the objects, object 0 first, each at most ``object_size`` bytes."""
    body = Encoder().string(state.name).u64(state.features).u64(state.snap_limit)
    body.map_(state.snapshots, Encoder.u64, _encode_snapshot)
    body.map_(state.metadata, Encoder.string, Encoder.bytes_)
    blob = Encoder().struct(1, 1, body).done()
    head_size = len(_head(0))
    count = -(-(head_size + len(blob)) // object_size)
    whole = _head(count) + blob
    return [whole[n * object_size:(n + 1) * object_size] for n in range(count)]


def _head(count: int) -> bytes:
    return Encoder().struct(1, 1, Encoder().u32(count)).done()


def _decode_snapshot(source: Decoder) -> SnapshotState:
    _, body = source.struct(1)
    namespace = decode_namespace(body)
    return SnapshotState(
        name=body.string(), namespace=namespace, protection=body.enum(Protection, body.u8()))


def _encode_snapshot(target: Encoder, snapshot: SnapshotState) -> None:
    body = Encoder().raw(encode_namespace(snapshot.namespace))
    target.struct(1, 1, body.string(snapshot.name).u8(snapshot.protection))
