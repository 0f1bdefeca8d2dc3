import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.schedule.records import Record, decode_record, total


def test_a_record_is_stored_whole() -> None:
    record = Record().until(60).skip(2).succeeded(60.25, 0.25, 1.5, 4).failed_with(
        "why", 90.0, 30.0, 1.0)
    assert decode_record(record.encode()) == record
    assert decode_record(b'{"due": 7, "of_a_later_release": 1}') == Record(due=7)


@pytest.mark.parametrize("value", [b"", b"[]", b"3", b'{"due": "x"}', b'{"late": null}',
    b'{"due": 1e999}', b'{"late": NaN}', b'{"last_run": 1e300}', b'{"last_run": -1}',
    b"[" * 100000, b"\xff", b'{"snapshot": Infinity}'])
def test_what_is_no_record(value: bytes) -> None:
    with pytest.raises(MalformedData):
        decode_record(value)


def test_failures_in_a_row() -> None:
    record = Record().failed_with("a", 1.0, 0.0, 0.0).failed_with("b", 2.0, 0.0, 0.0)
    assert not record.is_failing
    record = record.failed_with("c", 3.0, 0.5, 60.0)
    assert record.is_failing and record.error == "c"
    assert (record.last_run, record.late, record.took) == (3.0, 0.5, 60.0)
    record = record.succeeded(1.0, 0.0, 0.0, 1)
    assert (record.is_failing, record.error, record.failed, record.done) == (False, "", 3, 1)


def test_turns() -> None:
    record = Record(due=120).skip(3)
    assert (record.due, record.skipped) == (120, 3)
    assert record.skip(1).skipped == 4
    assert record.until(0).due == 0


def test_sums() -> None:
    found = total([Record(done=1, skipped=2, failed=3, late=1.0, last_run=5.0, error="x"),
                   Record(done=1, late=0.5, took=2.0, last_run=9.0), None])
    assert (found.images, found.done, found.skipped, found.failed) == (3, 2, 2, 3)
    assert (found.late, found.took, found.last_run, found.error) == (1.0, 2.0, 9.0, "x")
