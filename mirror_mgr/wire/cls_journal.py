"""Calls of the object class ``journal`` (``cls/journal/cls_journal.cc``, release 16).

As in :mod:`~mirror_mgr.wire.cls_rbd`: a function has the name of its method, arguments follow each
other with no frame around.  All are for the journal's header object.
"""

from typing import Optional, Tuple

from .cls import Call
from .encoding import Decoder, Encoder
from .journal import Client, ClientState, Positions, Tag, TagData, encode_positions

NEW_TAG_CLASS = 2**64 - 1
"""For ``tag_create``: the first tag of a class that it makes."""


def _call(method: str, arguments: Optional[Encoder] = None) -> Call:
    return Call("journal", method, b"" if arguments is None else arguments.done())


def create(order: int, splay_width: int, pool_id: int = -1) -> Call:
    """Objects of 2**``order`` bytes; ``pool_id`` -1: where the header is.  EEXIST: there is one."""
    return _call("create", Encoder().u8(order).u8(splay_width).s64(pool_id))


def get_order() -> Call:
    """ENOENT: there is no journal."""
    return _call("get_order")


def get_splay_width() -> Call:
    return _call("get_splay_width")


def decode_u8(data: bytes) -> int:
    """The answer of ``get_order`` and ``get_splay_width``."""
    return Decoder(data).u8()


def get_pool_id() -> Call:
    return _call("get_pool_id")


def decode_get_pool_id(data: bytes) -> int:
    return Decoder(data).s64()


def get_minimum_set() -> Call:
    return _call("get_minimum_set")


def get_active_set() -> Call:
    return _call("get_active_set")


def decode_u64(data: bytes) -> int:
    """The answer of ``get_minimum_set``, ``get_active_set`` and ``get_next_tag_tid``."""
    return Decoder(data).u64()


def client_register(client_id: str, data: bytes) -> Call:
    """The client starts at the position of those that are registered.  EEXIST: it is."""
    return _call("client_register", Encoder().string(client_id).bytes_(data))


def client_update_data(client_id: str, data: bytes) -> Call:
    """ENOENT: it is not registered."""
    return _call("client_update_data", Encoder().string(client_id).bytes_(data))


def client_update_state(client_id: str, state: ClientState) -> Call:
    """ENOENT: it is not registered."""
    return _call("client_update_state", Encoder().string(client_id).u8(state))


def client_unregister(client_id: str) -> Call:
    """ENOENT: it is not registered."""
    return _call("client_unregister", Encoder().string(client_id))


def client_commit(client_id: str, positions: Positions) -> Call:
    """EINVAL: more positions than the splay width."""
    return _call("client_commit", Encoder().string(client_id).raw(encode_positions(positions)))


def get_client(client_id: str) -> Call:
    """ENOENT: it is not registered."""
    return _call("get_client", Encoder().string(client_id))


def decode_get_client(data: bytes) -> Client:
    return Client.decode(Decoder(data))


def client_list(start_after: str = "", count: int = 64) -> Call:
    return _call("client_list", Encoder().string(start_after).u64(count))


def decode_client_list(data: bytes) -> Tuple[Client, ...]:
    return tuple(Decoder(data).list_(Client.decode))


def get_next_tag_tid() -> Call:
    return _call("get_next_tag_tid")


def get_tag(tid: int) -> Call:
    """ENOENT: it does not exist, or no longer."""
    return _call("get_tag", Encoder().u64(tid))


def decode_get_tag(data: bytes) -> Tag:
    return Tag.decode(Decoder(data))


def tag_create(tid: int, tag_class: int, data: TagData) -> Call:
    """ESTALE: ``tid`` is not the next one.  Tags that no client needs go with this."""
    return _call("tag_create", Encoder().u64(tid).u64(tag_class).bytes_(data.encode()))


def tag_list(client_id: str, tag_class: Optional[int] = None, start_after: int = 0,
             count: int = 64) -> Call:
    """Only tags from the one on that the client is at.  ``start_after`` 0: from the start."""
    return _call("tag_list", Encoder().u64(start_after).u64(count).string(client_id)
                 .optional(tag_class, Encoder.u64))


def decode_tag_list(data: bytes) -> Tuple[Tag, ...]:
    return tuple(Decoder(data).list_(Tag.decode))
