"""Whatever is stored, said or typed: its reader gives a value or its own error."""

import base64
import json
import logging
from typing import Any, Callable, Dict, Optional, Tuple, Type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_mgr.admin import token
from mirror_mgr.errors import InvalidArgument, MalformedData
from mirror_mgr.schedule import entries, rbd_support, records
from mirror_mgr.supervisor import store
from mirror_mgr.worker import protocol
from mirror_mgr.worker.roster import SLOTS, Member, Roster, slot_of

RULE = {"interval": "1h", "start_time": "14:00:00-05:00", "since": 5}
WORDS = st.one_of(st.text(max_size=20), st.sampled_from(
    ["", "1d", "99999999999d", "-1h", "14:00", "2020-01-01T00:00:00Z", "14:00:00+99:99", "\ud800"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4),
                            st.dictionaries(WORDS, inner, max_size=4)), max_leaves=10)


def _message(message: Any) -> Any:
    return json.loads(protocol.encode(message))


SAMPLES: Dict[str, Any] = {
    "hello": _message(protocol.ManagerHello("w", "client.w", "key", "m", "f", {"a": 1}, ("x",))),
    "worker": _message(protocol.WorkerHello(5, "127.0.0.1:0/1", "4711")),
    "beat": _message(protocol.Heartbeat(
        {"a": 1}, (protocol.PoolReport(2, "p", images={"total": 1}),),
        (protocol.ImageReport("p/i", "g", "syncing", sync=protocol.SyncReport(7, 1.5)),), ("g",))),
    "log": _message(protocol.LogLine("info", "x")),
    "roster": json.loads(Roster((Member(1, 2, "a"),), (1, None) * (SLOTS // 2)).encode()),
    "record": json.loads(records.Record().encode()),
    "entry": {"rules": [RULE], "paused": 0, "since": 0, "name": "i"},
    "theirs": [RULE, {"interval": "5m", "start_time": None}],
    "workers": {"mirror-mgr.0": {"pid": 17, "addresses": ["127.0.0.1:0/123"]}},
    "token": {"fsid": "f", "client_id": "c", "key": "k", "mon_host": "m"},
}


class Host:
    log = logging.getLogger("host")

    def __init__(self, value: str) -> None:
        self._value = value

    def get_store(self, key: str) -> Optional[str]:
        return self._value


def _stored(data: bytes) -> Any:
    host: Any = Host(data.decode("utf-8", "surrogateescape"))
    return store.load(host)


READERS: Dict[str, Tuple[Callable[[bytes], Any], Tuple[Type[Exception], ...]]] = {
    "protocol": (protocol.decode, (MalformedData,)),
    "roster": (Roster.decode, (MalformedData,)),
    "record": (records.decode_record, (MalformedData,)),
    "entry": (entries.decode_entry, (MalformedData,)),
    "rbd_support": (rbd_support.decode, (MalformedData,)),
    "rbd_support, what can be": (rbd_support.readable, ()),
    "workers": (_stored, ()),
    "token": (lambda data: token.decode(data.decode("latin-1")), (InvalidArgument,)),
    "token's content": (lambda data: token.decode(base64.b64encode(data).decode()),
                        (InvalidArgument,)),
}


@st.composite
def spoiled(draw: Any) -> bytes:
    """A value as it is stored or sent, with something in it replaced by anything."""
    value = json.loads(json.dumps(draw(st.sampled_from(list(SAMPLES.values())))))
    place, key = {"": value}, ""
    for _ in range(draw(st.integers(0, 5))):
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner:
            break
        place = inner
        key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict)
                                   else list(range(min(4, len(inner))))))
    place[key] = draw(VALUES)
    return json.dumps(value if key != "" else place[""]).encode()


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(data=st.one_of(spoiled(), st.binary(max_size=100), VALUES.map(
    lambda value: json.dumps(value).encode())))
def test_readers(name: str, data: bytes) -> None:
    read, errors = READERS[name]
    try:
        read(data)
    except errors:
        pass


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("data", [
    b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b'["' + b"x" * 100_000,
    b'{"rules": 1e999}',
    b'{"w": {"pid": 1e999, "addresses": []}}',
    b'{"members": [[1e999, 1, "a"]], "owners": []}',
    b'[{"pid": NaN}]', b"\xff\xfe[\0]\0"], ids=range(9))
def test_readers_of_what_is_deep_or_long(name: str, data: bytes) -> None:
    read, errors = READERS[name]
    try:
        read(data)
    except errors:
        pass


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(message=st.one_of(
    st.builds(protocol.LogLine, st.sampled_from(protocol.LEVELS), st.text()),
    st.builds(protocol.Event, st.just("info"), st.just("code"), st.text()),
    st.builds(protocol.WorkerHello, st.integers(0, 2 ** 31), WORDS, WORDS),
    st.builds(protocol.Command, WORDS, st.dictionaries(WORDS, WORDS)),
    st.builds(protocol.Heartbeat, st.dictionaries(WORDS, st.integers(0, 2 ** 63)),
              st.tuples(st.builds(protocol.PoolReport, st.integers(0, 2 ** 31), WORDS)),
              st.tuples(st.builds(protocol.ImageReport, WORDS, WORDS, WORDS, WORDS,
                                  st.floats(allow_nan=False, allow_infinity=False))))))
def test_what_is_sent_arrives(message: Any) -> None:
    assert protocol.decode(protocol.encode(message)) == message


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(name=st.binary(max_size=40))
def test_every_name_has_its_slot(name: bytes) -> None:
    assert slot_of(name.decode("utf-8", "surrogateescape")) in range(SLOTS)
