"""Calls of the object class ``lock`` (``cls/lock/cls_lock_ops.h``, release 16)."""

import socket
from dataclasses import dataclass
from typing import Tuple

from ..errors import InvalidArgument, MalformedData
from .cls import Call
from .encoding import Decoder, Encoder

IMAGE_LOCK = "rbd_lock"
"""The lock of librbd on a header, and of the C++ daemon's leader."""

INTERNAL_TAG = "internal"

RENEW = 1
"""Flag of ``lock``: taking a lock that one holds is no error."""

_ENTITY_TYPES = {1: "mon", 2: "mds", 4: "osd", 8: "client", 16: "mgr"}
_ENTITY_NUMBERS = {name: number for number, name in _ENTITY_TYPES.items()}
_EXCLUSIVE, _SHARED = 1, 2
_SOCKADDR_STORAGE = 128


@dataclass(frozen=True)
class Locker:
    """Who holds a lock.

    ``entity`` as "client.4123"; ``address`` as ``ceph osd blocklist add`` takes it.
    ``expiration_ns`` since the epoch, 0 for never.
    """

    entity: str
    cookie: str
    address: str
    description: str
    expiration_ns: int


@dataclass(frozen=True)
class LockInfo:
    """``type``: 0 none, 1 exclusive, 2 shared."""

    type: int
    tag: str
    lockers: Tuple[Locker, ...]


def lock(name: str, exclusive: bool = True, cookie: str = "", tag: str = "",
         description: str = "", duration_s: int = 0, flags: int = 0) -> Call:
    """``duration_s`` 0: until it is unlocked or broken.

    EBUSY: another holds it, or holds it with another tag.  EEXIST: this client with this cookie
    holds it already (no error with ``RENEW``).
    """
    body = Encoder().string(name).u8(_EXCLUSIVE if exclusive else _SHARED)
    body.string(cookie).string(tag).string(description).utime(duration_s * 10**9).u8(flags)
    return _call("lock", body)


def unlock(name: str, cookie: str = "") -> Call:
    """ENOENT: this client does not hold it with this cookie."""
    return _call("unlock", Encoder().string(name).string(cookie))


def break_lock(name: str, entity: str, cookie: str) -> Call:
    """Take the lock from ``entity``, as :class:`Locker` names it.

    Raise InvalidArgument for a malformed entity.  ENOENT: it does not hold the lock.
    """
    kind, _, number = entity.partition(".")
    if kind not in _ENTITY_NUMBERS or not number.isdigit():
        raise InvalidArgument(f"'{entity}' is no entity such as client.4123")
    body = Encoder().string(name).u8(_ENTITY_NUMBERS[kind]).s64(int(number)).string(cookie)
    return _call("break_lock", body)


def get_info(name: str) -> Call:
    """ENOENT: the object does not exist; an object with no lock gives no lockers."""
    return _call("get_info", Encoder().string(name))


def decode_get_info(data: bytes) -> LockInfo:
    """Raise MalformedData when the answer does not decode."""
    _, body = Decoder(data).struct(1)
    lockers = tuple(body.list_(_locker))
    return LockInfo(type=body.u8(), tag=body.string(), lockers=lockers)


def _call(method: str, body: Encoder) -> Call:
    return Call("lock", method, Encoder().struct(1, 1, body).done())


def _locker(source: Decoder) -> Locker:
    """Read ``locker_id_t`` and ``locker_info_t``."""
    _, holder = source.struct(1)
    entity, cookie = _entity_name(holder), holder.string()
    _, info = source.struct(1)
    expiration, address, description = info.utime(), entity_address(info), info.string()
    return Locker(entity, cookie, address, description, expiration)


def _entity_name(source: Decoder) -> str:
    """Read ``entity_name_t``."""
    kind = source.u8()
    if kind not in _ENTITY_TYPES:
        raise MalformedData(f"{kind} is no type of an entity")
    return f"{_ENTITY_TYPES[kind]}.{source.s64()}"


def entity_address(source: Decoder) -> str:
    """Read ``entity_addr_t`` (``msg/msg_types.h``); return it as "ip:port/nonce".

    First byte 0 is the form before msgr2, 1 the form with a type.  The family is big endian in
    the first and little endian in the second.  Raise MalformedData.
    """
    marker = source.u8()
    if marker == 0:
        source.u8()
        source.u16()
        nonce = source.u32()
        sockaddr = source.take(_SOCKADDR_STORAGE)
        return _address(int.from_bytes(sockaddr[:2], "big"), sockaddr, nonce)
    if marker != 1:
        raise MalformedData(f"{marker} begins no entity address")
    _, body = source.struct(1)
    body.u32()
    nonce = body.u32()
    sockaddr = body.bytes_()
    return _address(int.from_bytes(sockaddr[:2], "little"), sockaddr, nonce)


def _address(family: int, sockaddr: bytes, nonce: int) -> str:
    """Given a Linux ``sockaddr_in`` or ``sockaddr_in6``, return it as Ceph writes it."""
    port = int.from_bytes(sockaddr[2:4], "big")
    if family == socket.AF_INET and len(sockaddr) >= 8:
        return f"{socket.inet_ntop(socket.AF_INET, sockaddr[4:8])}:{port}/{nonce}"
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        return f"[{socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])}]:{port}/{nonce}"
    raise MalformedData(f"address of family {family}: neither IPv4 nor IPv6")
