import json

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.schedule.entries import Entry
from mirror_mgr.schedule.levels import EVERYWHERE, Level
from mirror_mgr.schedule.rbd_support import (
    adopt,
    covering,
    decode,
    is_due,
    is_option,
    next_due,
    readable,
    without,
)
from mirror_mgr.schedule.rules import DAY, Rule, parse_start

HOUR = 3600
NOON = 1_700_049_600  # 2023-11-15T12:00:00Z
MIDNIGHT = NOON - 12 * HOUR


def test_entries() -> None:
    assert decode(b'[\n  {"interval": "1d", "start_time": "14:00:00-05:00"},'
                  b' {"interval": "2h", "start_time": null}]') == (
        Rule(DAY, parse_start("14:00-05:00")), Rule(2 * HOUR))


@pytest.mark.parametrize("value", [
    b"", b"{}x", b"7", b"[1]", b'[{"interval": "0m", "start_time": null}]', b'[{}]', b"\xff",
    b"[" * 100000, b'[{"interval": 60, "start_time": null}]', b'[{"interval": "1h"}]',
    b'[{"interval": "1h", "start_time": 14}]'])
def test_what_is_no_entry(value: bytes) -> None:
    with pytest.raises(MalformedData):
        decode(value)


def test_what_can_be_read_of_an_entry_is_taken_and_the_rest_stays() -> None:
    value = json.dumps([
        {"interval": "1h", "start_time": None}, {"interval": "0d", "start_time": None}, 7,
        {"interval": "1d", "start_time": "14:00:00"}]).encode()
    rules = (Rule(HOUR), Rule(DAY, parse_start("14:00")))
    assert readable(value) == rules
    assert readable(b"x") == readable(b"7") == ()
    left = without(value, rules[:1])
    assert left is not None and readable(left) == rules[1:]
    left = without(left, rules[1:])
    assert left is not None and json.loads(left) == [{"interval": "0d", "start_time": None}, 7]
    assert without(b'[{"interval": "24h", "start_time": "14:00:00"}]', rules) is None


def test_the_next_due_time_is_the_earliest() -> None:
    rules = (Rule(DAY, parse_start("14:00:00-05:00")), Rule(6 * HOUR, parse_start("01:00")))
    assert next_due(rules, MIDNIGHT, 0) == MIDNIGHT + HOUR
    assert next_due(rules, MIDNIGHT + 7 * HOUR, 0) == MIDNIGHT + 9 * HOUR
    assert next_due(rules, MIDNIGHT + 9 * HOUR, 0) == MIDNIGHT + 13 * HOUR
    assert next_due(rules[1:], MIDNIGHT, 30 * 60) == MIDNIGHT + HOUR // 2


def test_options() -> None:
    assert is_option("mgr/rbd_support/mirror_snapshot_schedule")
    assert is_option("mgr/rbd_support/x/mirror_snapshot_schedule")
    assert not is_option("mgr/rbd_support/trash_purge_schedule")


def test_when_it_runs_what_the_guide_has_at_fourteen() -> None:
    """It adds the offset: measured on 16.2.15."""
    rules = (Rule(DAY, parse_start("14:00:00-05:00")),)
    assert is_due(rules, MIDNIGHT + 9 * HOUR, offset=0)
    assert not is_due(rules, MIDNIGHT + 19 * HOUR, offset=0)
    assert is_due((Rule(DAY, parse_start("14:00+02:00")),), MIDNIGHT + 16 * HOUR, offset=0)
    assert is_due((Rule(DAY, parse_start("14:00")),), MIDNIGHT + 12 * HOUR, offset=2 * HOUR)
    assert is_due((Rule(60),), NOON + 17, offset=0)  # it knows whole minutes only
    assert not is_due((), NOON, offset=0)


def test_the_most_specific_level_covers() -> None:
    theirs = {EVERYWHERE: (Rule(60),), Level(1): (Rule(120),)}
    assert covering(theirs, (Level(1, ""), Level(1), EVERYWHERE)) == (Rule(120),)
    assert covering({}, (EVERYWHERE,)) is None


def test_adoption() -> None:
    theirs = {EVERYWHERE: (Rule(DAY),), Level(1): (Rule(60), Rule(HOUR, parse_start("00:10"))),
              Level(2, "", "a"): (Rule(120),)}
    ours = {Level(1): Entry((Rule(60, spread=True),), paused=4)}
    found = adopt(theirs, ours, {Level(2, "", "a"): "disk"}, EVERYWHERE, now=9, offset=0)
    assert [adoption.level for adoption in found] == [EVERYWHERE, Level(1), Level(2, "", "a")]
    assert not any(adoption.notes for adoption in found)
    assert found[0].entry.rules == (Rule(DAY, since=9),)
    assert found[1].entry.rules == (
        Rule(60, spread=True), Rule(HOUR, parse_start("00:10"), since=9))
    assert found[1].entry.paused == 4
    assert found[2].entry.name == "disk"
    assert [a.level for a in adopt(theirs, {}, {}, Level(1), 9, 0)] == [Level(1)]


def test_adoption_tells_of_start_times_that_were_wrong() -> None:
    [adoption] = adopt({EVERYWHERE: (Rule(DAY, parse_start("14:00:00-05:00")),)}, {}, {},
                       EVERYWHERE, 0, 0)
    assert "at 09:00 UTC" in adoption.notes[0] and "at 19:00 UTC" in adoption.notes[0]
    assert adoption.entry.rules == (Rule(DAY, parse_start("14:00-05:00")),)
    [adoption] = adopt({EVERYWHERE: (Rule(HOUR, parse_start("14:00:00-05:00")),)}, {}, {},
                       EVERYWHERE, 0, 0)
    assert adoption.notes == ()


def test_adoption_keeps_local_times() -> None:
    theirs = {EVERYWHERE: (Rule(DAY, parse_start("14:00")), Rule(HOUR), Rule(DAY))}
    [adoption] = adopt(theirs, {}, {}, EVERYWHERE, 0, offset=-5 * HOUR)
    assert set(adoption.entry.rules) == {
        Rule(DAY, parse_start("14:00-05:00")), Rule(HOUR), Rule(DAY, parse_start("00:00-05:00"))}
    assert len(adoption.notes) == 2
