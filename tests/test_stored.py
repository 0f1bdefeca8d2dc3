"""What mirror_mgr keeps for itself is read by every later one, and by no older one by mistake.

The records are as they were written.  Whoever changes what is written adds the new ones, and leaves
the old ones here.
"""

import json
import logging
from typing import Any, Callable, Dict, NamedTuple

import pytest

from mirror_mgr import versions
from mirror_mgr.errors import MalformedData, NotSupported
from mirror_mgr.schedule.entries import Entry, decode_entry
from mirror_mgr.schedule.records import Record, decode_record
from mirror_mgr.schedule.rules import Rule, parse_start
from mirror_mgr.supervisor import store
from mirror_mgr.worker import removal_rules
from mirror_mgr.worker.roster import SLOTS, Member, Roster

ROSTER = '"members": [[4123, 94011, "10.0.0.1:0/1234567"]], "owners": %s' % json.dumps(
    [4123] + [None] * (SLOTS - 1))


class Kind(NamedTuple):
    """One kind of record: how it is read, and written, and what these hold that were written."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    content: Any
    written: Dict[str, str]


KINDS = {
    "schedules of a level": Kind(decode_entry, Entry.encode, Entry(
        (Rule(900, since=1795855000),
         Rule(86400, parse_start("14:00:00-05:00"), True, 600, 1795855000)),
        0, 1795856000, "disk"), {
        "0.1.0, early": '{"rules": [{"interval": "15m", "start_time": null, "since": 1795855000}, '
        '{"interval": "1d", "start_time": "14:00:00-05:00", "since": 1795855000, "spread": true, '
        '"deadline": "10m"}], "paused": 0, "since": 1795856000, "name": "disk"}',
        "0.1.0": '{"version": 1, "rules": [{"interval": "15m", "start_time": null, "since": '
        '1795855000}, {"interval": "1d", "start_time": "14:00:00-05:00", "since": 1795855000, '
        '"spread": true, "deadline": "10m"}], "paused": 0, "since": 1795856000, "name": "disk"}'}),
    "snapshots of an image": Kind(decode_record, Record.encode, Record(
        1795855500, 1795855500.2, 0.2, 1.04, 17, "", 1, 2, 0, 0), {
        "0.1.0, early": '{"due":1795855500,"last_run":1795855500.2,"late":0.2,"took":1.04,'
        '"snapshot":17,"error":"","done":1,"skipped":2,"failed":0,"in_a_row":0}',
        "0.1.0": '{"version":1,"due":1795855500,"last_run":1795855500.2,"late":0.2,"took":1.04,'
        '"snapshot":17,"error":"","done":1,"skipped":2,"failed":0,"in_a_row":0}'}),
    "a copy whose primary is missing": Kind(
        removal_rules.Record.decode, removal_rules.Record.encode,
        removal_rules.Record(1795855500.25, True, "disk"), {
            "0.1.0": '{"version": 1, "since": 1795855500.25, "held": true, "name": "disk"}'}),
    "the workers of a pool": Kind(
        Roster.decode, Roster.encode,
        Roster((Member(4123, 94011, "10.0.0.1:0/1234567"),), (4123,) + (None,) * (SLOTS - 1)), {
            "0.1.0, early": "{%s}" % ROSTER, "0.1.0": '{"version": 1, %s}' % ROSTER}),
}
WRITTEN = [(kind, text) for kind in KINDS.values() for text in kind.written.values()]


@pytest.mark.parametrize("kind, text", WRITTEN)
def test_what_was_written_is_read(kind: Kind, text: str) -> None:
    assert kind.decode(text.encode()) == kind.content


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_written_now_is_recorded_here(kind: Kind) -> None:
    assert json.loads(kind.encode(kind.content)) == json.loads(list(kind.written.values())[-1])


@pytest.mark.parametrize("kind, text", WRITTEN)
def test_what_is_new_in_a_record_is_passed_over(kind: Kind, text: str) -> None:
    more = {**json.loads(text), "of_a_later_release": [1]}
    assert kind.decode(json.dumps(more).encode()) == kind.content


@pytest.mark.parametrize("kind, text", WRITTEN)
def test_one_of_a_later_version_is_not_read(kind: Kind, text: str) -> None:
    later = {**json.loads(text), versions.KEY: 2}
    with pytest.raises(NotSupported, match="later mirror_mgr .* upgrade mirror_mgr"):
        kind.decode(json.dumps(later).encode())


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, []])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_version_that_is_none(kind: Kind, version: object) -> None:
    text = list(kind.written.values())[-1]
    with pytest.raises(MalformedData):
        kind.decode(json.dumps({**json.loads(text), versions.KEY: version}).encode())


def test_when_an_administrator_confirmed_removals() -> None:
    key = removal_rules.CONFIRMED
    found = removal_rules.Records.from_omap({key: b'{"version": 1, "at": 1795855600.5}'})
    assert found.confirmed == 1795855600.5 and not found.later
    found = removal_rules.Records.from_omap({key: b'{"version": 2, "at": 1795855600.5}'})
    assert found.confirmed == 0 and "upgrade mirror_mgr" in found.later[key]


class Host:
    log = logging.getLogger("test")

    def __init__(self, value: str) -> None:
        self.value = value

    def get_store(self, key: str) -> str:
        return self.value

    def set_store(self, key: str, value: str) -> None:
        self.value = value


WORKERS = ('{"mirror-mgr.0": {"addresses": ["10.0.0.1:0/1234567", "10.0.0.1:0/89"], "pid": 17%s}}')


@pytest.mark.parametrize("version", ["", ', "version": 1', ', "version": 1, "later": 1'])
def test_the_workers_of_the_manager(version: str) -> None:
    host: Any = Host(WORKERS % version)
    found = store.load(host)
    assert found == {"mirror-mgr.0": store.Known(17, ("10.0.0.1:0/1234567", "10.0.0.1:0/89"))}
    store.save(host, found)
    assert json.loads(host.value) == json.loads(WORKERS % ', "version": 1')


def test_the_workers_of_a_later_manager_are_nobody(caplog: pytest.LogCaptureFixture) -> None:
    host: Any = Host(WORKERS % ', "version": 2')
    assert store.load(host) == {}
    assert "written by a later mirror_mgr" in caplog.text
