"""What the entries of an image's journal say (``librbd/journal/Types.h``, release 16).

``EventEntry``, versions 1 to 5: a frame with a number and a body, and since version 4 a second
frame with the time.  Operations have an id that counts from 1 for each opening of the journal; they
begin with their event and end with :class:`OpFinish`.
"""

import struct as _struct
from dataclasses import dataclass
from typing import Callable, Dict, NamedTuple, Tuple, Type, Union

from ..errors import MalformedData
from .encoding import Decoder
from .snapshot import Namespace, UserNamespace, decode_namespace

_VERSION = 5
_WITH_TIME = 4
_SKIP_PARTIAL = 2**32 - 1
_WRITE_HEAD = _struct.Struct("<BBIIQQI")
_FRAME = _struct.Struct("<BBI")
_FRAME_AND_TIME = _struct.Struct("<BBIII")
_NS_PER_S = 10**9


class Write(NamedTuple):
    """``AioWriteEvent``; offsets and lengths of all events in bytes of the image."""

    offset: int
    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)


class Discard(NamedTuple):
    """``AioDiscardEvent``: only whole pieces of ``granularity`` bytes of an object are freed.

    Of 0: all of it.
    """

    offset: int
    length: int
    granularity: int = 0


class WriteSame(NamedTuple):
    """``AioWriteSameEvent``: the pattern, again and again."""

    offset: int
    length: int
    pattern: bytes


class CompareAndWrite(NamedTuple):
    """``AioCompareAndWriteEvent``: written only where the image holds ``compare``."""

    offset: int
    compare: bytes
    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class Flush:
    """``AioFlushEvent``: what came before is to be durable before anything that follows."""


@dataclass(frozen=True)
class OpFinish:
    """``OpFinishEvent``: an operation ended; ``code`` is 0 or a negative errno."""

    op_tid: int
    code: int = 0


@dataclass(frozen=True)
class SnapCreate:
    op_tid: int
    name: str
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class SnapRemove:
    op_tid: int
    name: str
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class SnapRename:
    """``snap_id`` is the primary's."""

    op_tid: int
    name: str
    snap_id: int
    old_name: str


@dataclass(frozen=True)
class SnapProtect:
    op_tid: int
    name: str
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class SnapUnprotect:
    op_tid: int
    name: str
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class SnapRollback:
    op_tid: int
    name: str
    namespace: Namespace = UserNamespace()


@dataclass(frozen=True)
class Rename:
    """Of the image."""

    op_tid: int
    name: str


@dataclass(frozen=True)
class Resize:
    op_tid: int
    size: int


@dataclass(frozen=True)
class Flatten:
    op_tid: int


@dataclass(frozen=True)
class DemotePromote:
    """``DemotePromoteEvent``: the image changed hands; the tag tells to whom."""


@dataclass(frozen=True)
class SnapLimit:
    op_tid: int
    limit: int


@dataclass(frozen=True)
class UpdateFeatures:
    op_tid: int
    features: int
    enabled: bool


@dataclass(frozen=True)
class MetadataSet:
    op_tid: int
    key: str
    value: str


@dataclass(frozen=True)
class MetadataRemove:
    op_tid: int
    key: str


@dataclass(frozen=True)
class Unknown:
    """Of a newer release; the daemon passes over such events."""

    type: int


Data = Union[Write, Discard, WriteSame, CompareAndWrite]
Operation = Union[
    SnapCreate, SnapRemove, SnapRename, SnapProtect, SnapUnprotect, SnapRollback, Rename, Resize,
    Flatten, SnapLimit, UpdateFeatures, MetadataSet, MetadataRemove]
Event = Union[Data, Flush, OpFinish, DemotePromote, Unknown, Operation]

DATA = (Write, Discard, WriteSame, CompareAndWrite)
OPERATIONS = (
    SnapCreate, SnapRemove, SnapRename, SnapProtect, SnapUnprotect, SnapRollback, Rename, Resize,
    Flatten, SnapLimit, UpdateFeatures, MetadataSet, MetadataRemove)

_WRITE = 1


def decode(data: bytes) -> Tuple[Event, int]:
    """Return an event and its time (ns since the epoch, by the primary's clock; 0: not told).

    Raise MalformedData.
    """
    if len(data) >= _WRITE_HEAD.size:
        version, compat, frame, number, offset, length, size = _WRITE_HEAD.unpack_from(data)
        end = _FRAME.size + frame
        # The one kind that comes by the thousand.
        if (number == _WRITE and version >= _WITH_TIME and compat <= _VERSION
                and end == _WRITE_HEAD.size + size and length == size
                and len(data) >= end + _FRAME_AND_TIME.size):
            seconds, rest = _FRAME_AND_TIME.unpack_from(data, end)[3:]
            return (Write(offset, data[_WRITE_HEAD.size:end]), seconds * _NS_PER_S + rest)
    return _decode(Decoder(data))


def _decode(source: Decoder) -> Tuple[Event, int]:
    version, body = source.struct(_VERSION)
    number = body.u32()
    read = _READERS.get(number)
    event = read(body, version) if read is not None else Unknown(number)
    time = source.struct(1)[1].utime() if version >= _WITH_TIME else 0
    return event, time


def _write(body: Decoder, version: int) -> Write:
    offset, length = body.u64(), body.u64()
    return Write(offset, _exactly(body.bytes_(), length))


def _discard(body: Decoder, version: int) -> Discard:
    offset, length = body.u64(), body.u64()
    granularity = 0
    if version >= 4 and body.boolean():
        granularity = _SKIP_PARTIAL
    if version >= 5:
        granularity = body.u32()
    return Discard(offset, length, granularity)


def _write_same(body: Decoder, version: int) -> WriteSame:
    offset, length, pattern = body.u64(), body.u64(), body.bytes_()
    if not pattern or length % len(pattern):
        raise MalformedData(f"{length} bytes of a pattern of {len(pattern)}")
    return WriteSame(offset, length, pattern)


def _compare_and_write(body: Decoder, version: int) -> CompareAndWrite:
    offset, length = body.u64(), body.u64()
    compare = _exactly(body.bytes_(), length)
    return CompareAndWrite(offset, compare, _exactly(body.bytes_(), length))


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise MalformedData(f"{length} bytes announced, {len(data)} are there")
    return data


def _finish(body: Decoder, version: int) -> OpFinish:
    body.u64()
    op_tid = body.u64()
    code = body.u32()
    return OpFinish(op_tid, code - 2**32 if code >= 2**31 else code)


_OfSnapshot = Union[Type[SnapCreate], Type[SnapRemove], Type[SnapProtect], Type[SnapUnprotect],
                    Type[SnapRollback]]


def _of_snapshot(kind: _OfSnapshot) -> Callable[[Decoder, int], Event]:
    """Events that name a snapshot; its namespace came with version 3 or 4."""
    first = 3 if kind is SnapCreate else 4

    def read(body: Decoder, version: int) -> Event:
        op_tid, name = body.u64(), body.string()
        return kind(op_tid, name, decode_namespace(body) if version >= first else UserNamespace())

    return read


_READERS: Dict[int, Callable[[Decoder, int], Event]] = {
    0: _discard,
    _WRITE: _write,
    2: lambda body, version: Flush(),
    3: _finish,
    4: _of_snapshot(SnapCreate),
    5: _of_snapshot(SnapRemove),
    6: lambda body, version: SnapRename(body.u64(), body.string(), body.u64(), body.string()),
    7: _of_snapshot(SnapProtect),
    8: _of_snapshot(SnapUnprotect),
    9: _of_snapshot(SnapRollback),
    10: lambda body, version: Rename(body.u64(), body.string()),
    11: lambda body, version: Resize(body.u64(), body.u64()),
    12: lambda body, version: Flatten(body.u64()),
    13: lambda body, version: DemotePromote(),
    14: lambda body, version: SnapLimit(body.u64(), body.u64()),
    15: lambda body, version: UpdateFeatures(body.u64(), body.u64(), body.boolean()),
    16: lambda body, version: MetadataSet(body.u64(), body.string(), body.string()),
    17: lambda body, version: MetadataRemove(body.u64(), body.string()),
    18: _write_same,
    19: _compare_and_write,
}
