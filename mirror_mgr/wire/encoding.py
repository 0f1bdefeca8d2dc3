"""Ceph's ``encode``/``decode`` of plain values (``include/encoding.h``, releases 16 to 20).

All integers are little endian.  A string or a buffer is a u32 length and the bytes; a list, a
set or a map is a u32 count and the items; a versioned struct is u8 version, u8 compat, u32 length
and a body whose unknown tail is skipped.
"""

import struct as _struct
from enum import IntEnum
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from ..errors import InvalidArgument, MalformedData

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E", bound=IntEnum)

_U8 = _struct.Struct("<B")
_U16 = _struct.Struct("<H")
_U32 = _struct.Struct("<I")
_U64 = _struct.Struct("<Q")
_S64 = _struct.Struct("<q")
_FRAME = _struct.Struct("<BBI")

_NS_PER_S = 1_000_000_000
# Names are bytes to Ceph; this keeps the ones that are not UTF-8 as they are.
_ERRORS = "surrogateescape"


class Decoder:
    """Reads values one after the other from ``data``.

    Every method raises :class:`~mirror_mgr.errors.MalformedData` when the bytes run out.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes as they are."""
        end = self._at + size
        if end > len(self._data):
            raise MalformedData(
                f"{size} bytes expected at offset {self._at}, "
                f"{len(self._data) - self._at} are left")
        taken = self._data[self._at:end]
        self._at = end
        return taken

    def _number(self, form: _struct.Struct) -> int:
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def u8(self) -> int:
        return self._number(_U8)

    def u16(self) -> int:
        return self._number(_U16)

    def u32(self) -> int:
        return self._number(_U32)

    def u64(self) -> int:
        return self._number(_U64)

    def s64(self) -> int:
        return self._number(_S64)

    def boolean(self) -> bool:
        return self.u8() != 0

    def bytes_(self) -> bytes:
        return self.take(self.u32())

    def string(self) -> str:
        return self.bytes_().decode("utf-8", _ERRORS)

    def utime(self) -> int:
        """Return ``utime_t`` as nanoseconds since the epoch."""
        seconds = self.u32()
        return seconds * _NS_PER_S + self.u32()

    def enum(self, kind: Type[E], number: int) -> E:
        """Given a number just read, return the member of ``kind`` that it is."""
        try:
            return kind(number)
        except ValueError:
            raise MalformedData(f"{number} is no {kind.__name__} that is known") from None

    def _count(self) -> int:
        """The count before items, each of which has a byte at least."""
        count = self.u32()
        if count > len(self._data) - self._at:
            raise MalformedData(f"{count} items expected at offset {self._at}, "
                                f"{len(self._data) - self._at} bytes are left")
        return count

    def list_(self, item: Callable[["Decoder"], T]) -> List[T]:
        return [item(self) for _ in range(self._count())]

    def map_(self, key: Callable[["Decoder"], K], value: Callable[["Decoder"], V]) -> Dict[K, V]:
        pairs = {}
        for _ in range(self._count()):
            name = key(self)
            pairs[name] = value(self)
        return pairs

    def optional(self, value: Callable[["Decoder"], T]) -> Optional[T]:
        return value(self) if self.boolean() else None

    def frame(self, understood: int) -> Tuple[int, int, "Decoder"]:
        """Return version, compat and body of a versioned struct; see :meth:`struct`."""
        version, compat, length = _FRAME.unpack(self.take(_FRAME.size))
        if compat > understood:
            raise MalformedData(
                f"struct of version {version} needs a reader of version {compat}, "
                f"this one knows {understood}; upgrade mirror_mgr")
        return version, compat, Decoder(self.take(length))

    def struct(self, understood: int) -> Tuple[int, "Decoder"]:
        """Return version and body of a versioned struct.

        ``understood`` is the newest version that the caller can read; a struct whose compat is
        newer raises MalformedData.
        """
        version, _, body = self.frame(understood)
        return version, body

    def remaining(self) -> bytes:
        """Take all that is left."""
        return self.take(len(self._data) - self._at)

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)


class Encoder:
    """Appends values; every method but ``done`` returns the encoder itself."""

    def __init__(self) -> None:
        self._parts: List[bytes] = []

    def raw(self, data: bytes) -> "Encoder":
        """Append bytes that are encoded already."""
        self._parts.append(data)
        return self

    def u8(self, value: int) -> "Encoder":
        return self.raw(_U8.pack(value))

    def u16(self, value: int) -> "Encoder":
        return self.raw(_U16.pack(value))

    def u32(self, value: int) -> "Encoder":
        return self.raw(_U32.pack(value))

    def u64(self, value: int) -> "Encoder":
        return self.raw(_U64.pack(value))

    def s64(self, value: int) -> "Encoder":
        return self.raw(_S64.pack(value))

    def boolean(self, value: bool) -> "Encoder":
        return self.u8(1 if value else 0)

    def bytes_(self, value: bytes) -> "Encoder":
        return self.u32(len(value)).raw(value)

    def string(self, value: str) -> "Encoder":
        """Raise InvalidArgument for what is neither text nor came from a :class:`Decoder`."""
        try:
            return self.bytes_(value.encode("utf-8", _ERRORS))
        except UnicodeEncodeError:
            raise InvalidArgument(f"{value!a} is no text") from None

    def utime(self, nanoseconds: int) -> "Encoder":
        """Append nanoseconds since the epoch as ``utime_t``."""
        seconds, rest = divmod(nanoseconds, _NS_PER_S)
        return self.u32(seconds).u32(rest)

    def list_(self, items: Iterable[T], item: Callable[["Encoder", T], Any]) -> "Encoder":
        listed = list(items)
        self.u32(len(listed))
        for one in listed:
            item(self, one)
        return self

    def map_(self, pairs: Mapping[K, V], key: Callable[["Encoder", K], Any],
             value: Callable[["Encoder", V], Any]) -> "Encoder":
        """Append a map in ascending order of its keys, as ``std::map`` is written."""
        self.u32(len(pairs))
        for name in sorted(pairs, key=_order):
            key(self, name)
            value(self, pairs[name])
        return self

    def optional(self, value: Optional[T], fn: Callable[["Encoder", T], Any]) -> "Encoder":
        self.boolean(value is not None)
        if value is not None:
            fn(self, value)
        return self

    def struct(self, version: int, compat: int, body: "Encoder") -> "Encoder":
        data = body.done()
        return self.raw(_FRAME.pack(version, compat, len(data))).raw(data)

    def done(self) -> bytes:
        return b"".join(self._parts)


def _order(key: Any) -> Union[bytes, Any]:
    """``std::string`` sorts by byte."""
    return key.encode("utf-8", _ERRORS) if isinstance(key, str) else key
