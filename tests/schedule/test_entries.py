import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.schedule.entries import Book, Entry, decode_entry
from mirror_mgr.schedule.levels import EVERYWHERE, ImageKey, Level
from mirror_mgr.schedule.rules import Rule, parse_start

IMAGE = ImageKey(1, "ns", "a")
HOURLY, DAILY = Rule(3600), Rule(86400, parse_start("14:00"), deadline=60)


def test_an_entry_is_stored_whole() -> None:
    entry = Entry((HOURLY, DAILY), paused=3, since=2, name="disk")
    assert decode_entry(entry.encode()) == entry
    assert decode_entry(b'{"rules": [], "of_a_later_release": 1}') == Entry()


@pytest.mark.parametrize("value", [
    b"", b"\xff", b"[]", b"{}", b"7", b'{"rules": 1}', b'{"rules": [1]}',
    b'{"rules": [{"interval": "0m"}]}', b'{"rules": [{"interval": "1h", "start_time": "x"}]}',
    b'{"rules": [], "paused": "x"}', b'{"rules": [], "paused": 1e999}',
    b'{"rules": [], "paused": -1}', b'{"rules": [], "since": 253402300800}', b"[" * 100000,
    b'{"rules": [], "name": 7}', b'{"rules": {}}', b'{"rules": [{"interval": 60}]}',
    b'{"rules": [{"interval": "1h", "since": 1e999}]}',
    b'{"rules": [{"interval": "1h", "since": true}]}',
    b'{"rules": [{"interval": "1h", "spread": "no"}]}',
    b'{"rules": [{"interval": "1h", "deadline": 60}]}',
    b'{"rules": [{"interval": "1h", "start_time": ["14:00"]}]}',
    b'{"rules": [{"start_time": "14:00"}]}'])
def test_what_is_no_entry(value: bytes) -> None:
    with pytest.raises(MalformedData):
        decode_entry(value)


def test_a_rule_with_the_same_times_is_replaced() -> None:
    entry = Entry().with_rule(DAILY).with_rule(HOURLY).with_rule(Rule(3600, spread=True))
    assert entry.rules == (Rule(3600, spread=True), DAILY)
    assert entry.has(HOURLY) and not entry.has(Rule(60))
    assert entry.without(HOURLY).rules == (DAILY,)
    assert Entry().is_empty and not Entry(paused=1).is_empty and not entry.is_empty


def test_only_the_most_specific_level_with_a_schedule_applies() -> None:
    entries = {EVERYWHERE: Entry((HOURLY,))}
    assert Book({}).applied(IMAGE) is None
    for level, rule in ((Level(1), Rule(60)), (Level(1, "ns"), Rule(120)),
                        (Level(1, "ns", "a"), Rule(180))):
        entries[level] = Entry((rule,))
        applied = Book(entries).applied(IMAGE)
        assert applied is not None
        assert (applied.level, applied.rules, applied.paused_at) == (level, (rule,), None)
    applied = Book(entries).applied(ImageKey(2, "", "a"))
    assert applied is not None and applied.level == EVERYWHERE


def test_a_pause_at_any_level_holds() -> None:
    for level in (EVERYWHERE, Level(1), Level(1, "ns"), Level(1, "ns", "a")):
        entries = {Level(1, "ns"): Entry((HOURLY,))}
        entries[level] = Entry(entries.get(level, Entry()).rules, paused=5)
        applied = Book(entries).applied(IMAGE)
        assert applied is not None
        assert (applied.level, applied.paused_at) == (Level(1, "ns"), level)


def test_what_was_due_in_a_pause_stays_so() -> None:
    book = Book({EVERYWHERE: Entry((HOURLY,)), Level(1): Entry((), since=77)})
    applied, other = book.applied(IMAGE), book.applied(ImageKey(2, "", "x"))
    assert applied is not None and applied.rules == (Rule(3600, since=77),)
    assert other is not None and other.rules == (HOURLY,)
