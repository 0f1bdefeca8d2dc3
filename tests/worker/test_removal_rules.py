"""When a copy goes whose primary is gone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_mgr.errors import MalformedData
from mirror_mgr.worker import removal_rules as rules
from mirror_mgr.worker.removal_rules import Record, Records, Verdict

WEEK = 7 * 86400.0
TIMES = st.floats(0, 1e10)


class TestJudge:
    def verdict(self, now, held=False, confirmed=0.0, wait=30.0):
        return rules.judge(Record(1000.0, held), confirmed, now, wait)

    @pytest.mark.parametrize("held", [False, True])
    def test_it_must_be_missing_for_some_time(self, held):
        assert self.verdict(1029.9, held) is Verdict.WAIT
        assert self.verdict(999.0, held) is Verdict.WAIT, "the clock was set back"

    def test_then_it_goes(self):
        assert self.verdict(1030.0) is Verdict.REMOVE
        assert self.verdict(1000.0, wait=0.0) is Verdict.REMOVE

    @pytest.mark.parametrize("confirmed", [0.0, 999.9])
    def test_held_for_a_week(self, confirmed):
        assert self.verdict(1000 + WEEK - 1, True, confirmed) is Verdict.HOLD
        assert self.verdict(1000 + WEEK, True, confirmed) is Verdict.REMOVE

    @pytest.mark.parametrize("confirmed", [1000.0, 1500.0])
    def test_held_until_confirmed_after_it_was_missed(self, confirmed):
        assert self.verdict(2000.0, True, confirmed) is Verdict.REMOVE
        assert self.verdict(1010.0, True, confirmed) is Verdict.WAIT


@pytest.mark.parametrize("missing, copies, many", [
    (0, 0, False), (5, 5, False), (6, 6, True), (6, 59, True), (6, 60, False), (7, 60, True),
    (100, 1000, False), (101, 1000, True)])
def test_what_is_many(missing, copies, many):
    assert rules.are_many(missing, copies) is many


def test_what_is_held():
    found = rules.hold({"old": Record(1.0), "new": Record(3.0), "held": Record(1.0, True)}, 2.0)
    assert {gid: record.held for gid, record in found.items()} == {
        "old": False, "new": True, "held": True}


class TestRecords:
    @given(TIMES, st.booleans(), st.text())
    def test_what_is_written_is_read(self, since, held, name):
        record = Record(since, held, name)
        assert Record.decode(record.encode()) == record

    @given(st.binary())
    def test_any_bytes(self, data):
        found = Records.from_omap({"missing_g": data, "confirmed": data, "other": data})
        assert not found.missing and found.confirmed == 0.0

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
           st.sampled_from(["version", "since", "held", "name", "at"]))
    def test_any_value(self, value, key):
        fields = {"version": rules.VERSION, "since": 1.0, "held": True, "name": "i", "at": 1.0}
        data = json.dumps({**fields, key: value}).encode()
        found = Records.from_omap({"missing_g": data, "confirmed": data})
        for record in found.missing.values():
            assert Record.decode(record.encode()) == record and 0 <= record.since < 1e11
        assert 0 <= found.confirmed < 1e11

    @pytest.mark.parametrize("data", [
        b"", b"[]", b"{}", b"1", b'{"version": 0, "since": 1}', b'{"version": 1}',
        b'{"version": 1, "since": true}', b'{"version": 1, "since": -1}',
        b'{"version": 1, "since": NaN}', b'{"version": 1, "since": Infinity}',
        b'{"version": 1, "since": 1, "held": 1}', b'{"version": 1, "since": 1, "name": null}',
        b"[" * 100000])
    def test_what_does_not_decode(self, data):
        with pytest.raises(MalformedData):
            Record.decode(data)

    def test_all_of_a_namespace(self):
        omap = {"missing_a": Record(1.0, True, "x").encode(), "missing_b": b"?",
                "confirmed": rules.encode_confirmed(5.0)}
        assert Records.from_omap(omap) == Records({"a": Record(1.0, True, "x")}, 5.0)
