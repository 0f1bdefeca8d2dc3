"""Whatever bytes come: a decoder gives a value or raises MalformedData, soon and in bounds."""

import tracemalloc
from typing import Any, Callable, Dict, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import (
    cls_journal,
    cls_lock,
    cls_rbd,
    image_state,
    journal,
    journal_entry,
    journal_event,
    snapshot,
    watch_notify,
)
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.header import ImageHeader, ParentLink
from mirror_mgr.wire.journal import JournalHeader
from mirror_mgr.wire.mirror import MirrorImage, MirrorPeer, MirrorPool, SiteStatus
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.trash import TrashEntry
from tests.wire.conftest import load, omap

Decode = Callable[[bytes], Any]

# Of one byte of an omap's listing there may be a str, which is an object of some fifty bytes.
_BYTES_A_BYTE = 120
_OVERHEAD = 1 << 16


def _from(decode: Callable[[Decoder], Any]) -> Decode:
    return lambda data: decode(Decoder(data))


DECODERS: Dict[str, Decode] = {
    **{f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
       for module in (cls_rbd, cls_journal, cls_lock) for name in dir(module)
       if name.startswith("decode_") and getattr(module, name).__module__ == module.__name__},
    "client data": journal.decode_client_data,
    "positions": _from(journal.decode_positions),
    "tag": _from(journal.Tag.decode),
    "event": journal_event.decode,
    "entry": lambda data: journal_entry.parse(data, 0, sum),
    "namespace": _from(snapshot.decode_namespace),
    "snapshot": snapshot.Snapshot.decode,
    "parent": ParentLink.decode,
    "image state": lambda data: image_state.decode([data]),
    "image state's count": image_state.object_count,
    "mirror image": _from(MirrorImage.decode),
    "peer": _from(MirrorPeer.decode),
    "status": _from(SiteStatus.decode),
    "trash": _from(TrashEntry.decode),
    "object map": ObjectMap.decode,
    "leader": watch_notify.decode_leader,
    "image notice": watch_notify.decode_image,
    "mirroring notice": watch_notify.decode_mirroring,
    "address": _from(cls_lock.entity_address),
}


def _recorded(value: Any) -> List[bytes]:
    """Every value that was recorded, of whatever kind."""
    if isinstance(value, dict):
        return [one for item in value.values() for one in _recorded(item)]
    if isinstance(value, list):
        return [one for item in value for one in _recorded(item)]
    try:
        return [bytes.fromhex(value)] if isinstance(value, str) else []
    except ValueError:
        return []


RECORDED = sorted({one for name in ("headers", "image_states", "journals", "leader", "listings",
                                    "lock", "mirroring", "mirroring_notices")
                   for one in _recorded(load(name)) if 0 < len(one) < 2000})


@st.composite
def mutated(draw: Any) -> bytes:
    """A value that was recorded, with some bytes changed, left out or put in."""
    data = bytearray(draw(st.sampled_from(RECORDED)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        data[place:place + draw(st.integers(0, 4))] = draw(st.one_of(
            st.binary(max_size=8), st.sampled_from([b"\xff" * 4, b"\xff" * 8, b"\0" * 4])))
    return bytes(data)


@st.composite
def framed(draw: Any) -> bytes:
    """A struct as Ceph frames it, of values that mean something to most decoders."""
    body = Encoder()
    for _ in range(draw(st.integers(0, 8))):
        body.raw(draw(st.one_of(
            st.integers(0, 20).map(lambda n: Encoder().u32(n).done()),
            st.integers(0, 3).map(lambda n: Encoder().u8(n).done()),
            st.integers(0, 2 ** 64 - 1).map(lambda n: Encoder().u64(n).done()),
            st.binary(max_size=12).map(lambda b: Encoder().bytes_(b).done()),
            st.binary(max_size=6))))
    return Encoder().struct(draw(st.integers(0, 9)), draw(st.integers(0, 3)), body).done()


@pytest.mark.parametrize("name", sorted(DECODERS))
@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(data=st.one_of(st.binary(max_size=200), mutated(), framed()))
def test_decoders(name: str, data: bytes) -> None:
    try:
        DECODERS[name](data)
    except MalformedData:
        pass


@pytest.mark.parametrize("name", sorted(DECODERS))
@pytest.mark.parametrize("data", [
    b"\xff" * 5000, b"\0" * 5000, b"\1\1" + b"\xff" * 4 + b"\0" * 5000,
    b"\1\1\x80\x13\0\0" + b"\xff\xff\xff\x7f" * 1250, b"\x88\x13\0\0" + b"\0" * 20000,
    b"\0\x10\0\0" + b"\1" * 20000], ids=range(6))
def test_decoders_take_no_more_memory_than_what_they_read(name: str, data: bytes) -> None:
    tracemalloc.start()
    try:
        DECODERS[name](data)
    except MalformedData:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < _OVERHEAD + _BYTES_A_BYTE * len(data)


OMAPS = [(from_omap, omap(entry))
         for name, from_omap in (("headers", ImageHeader.from_omap),
                                 ("mirroring", MirrorPool.from_omap),
                                 ("journals", JournalHeader.from_omap))
         for entry in load(name).values()]


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(which=st.sampled_from(OMAPS), data=st.data())
def test_omaps(which: Any, data: Any) -> None:
    from_omap, whole = which
    changed = dict(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(whole)))
        kind = data.draw(st.sampled_from(["drop", "cut", "bytes", "flip"]))
        value = bytearray(changed.get(key, b""))
        if kind == "drop":
            changed.pop(key, None)
            continue
        if kind == "cut":
            del value[data.draw(st.integers(0, len(value))):]
        elif kind == "bytes":
            value[:] = data.draw(st.binary(max_size=64))
        elif value:
            value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
        changed[key] = bytes(value)
    try:
        found = from_omap(changed)
        if isinstance(found, ImageHeader):
            found.max_object_count, found.mirror_snapshots, found.user_snapshots  # noqa: B018
        elif isinstance(found, JournalHeader):
            found.is_primary, found.longest_entry  # noqa: B018
            for client_id in found.clients:
                found.peer(client_id)
    except MalformedData:
        pass
