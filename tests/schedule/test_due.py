"""Due times against a slow walk through all seconds, and over years."""

import random
from datetime import datetime, timedelta, timezone

import pytest

from mirror_mgr.schedule.due import (
    Series,
    base,
    count_distinct,
    first_after,
    last_until,
    moment,
)
from mirror_mgr.schedule.levels import ImageKey
from mirror_mgr.schedule.rules import DAY, Rule, parse_start

IMAGE = ImageKey(3, "", "1041fb6cc096")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())


@pytest.mark.parametrize("rule", [
    Rule(60), Rule(420), Rule(600, parse_start("00:03")), Rule(600, parse_start("00:03:20-00:05")),
    Rule(600, spread=True), Rule(600, parse_start("1970-01-02T00:04"))])
def test_against_a_walk(rule: Rule) -> None:
    origin = base(rule, IMAGE)
    begin = DAY - 1300

    def is_due(time: int) -> bool:
        return (time - origin) % rule.interval == 0 and not (
            rule.start and rule.start.dated and time < origin)

    walk = [time for time in range(begin, DAY + 3000) if is_due(time)]
    assert walk
    for time in (begin, begin + 1, walk[0] - 1, walk[0], walk[0] + 1, walk[-2], walk[-2] + 1):
        assert first_after(rule, origin, time) == min(t for t in walk if t > time)
        expected = max((t for t in walk if t <= time), default=None)
        if expected is not None or (rule.start and rule.start.dated):
            assert last_until(rule, origin, time) == expected
        assert Series.of(rule, origin, time).count(walk[-1]) == sum(time < t for t in walk)
    assert Series.of(rule, origin, walk[-1]).count(walk[0]) == 0


def test_the_guides_example_is_at_nineteen_hours() -> None:
    rule = Rule(DAY, parse_start("14:00:00-05:00"))
    origin = base(rule, IMAGE)
    assert first_after(rule, origin, at("2020-02-26T18:00")) == at("2020-02-26T19:00")
    assert first_after(rule, origin, at("2020-02-26T19:00")) == at("2020-02-27T19:00")


@pytest.mark.parametrize("start, hour", [
    ("00:30+14:00", "10:30"), ("23:30-12:00", "11:30"), ("12:00", "12:00")])
def test_every_day_of_years_at_the_same_time(start: str, hour: str) -> None:
    """Over leap days and the changes of other people's clocks."""
    rule = Rule(DAY, parse_start(start))
    origin = base(rule, IMAGE)
    time, day = at("2023-12-31T23:59:59"), datetime(2024, 1, 1, tzinfo=timezone.utc)
    for _ in range(5 * 366):
        time = first_after(rule, origin, time)
        assert datetime.fromtimestamp(time, timezone.utc) == day + timedelta(
            hours=int(hour[:2]), minutes=int(hour[3:]))
        day += timedelta(days=1)
    assert Series.of(rule, origin, at("2023-12-31T23:59:59")).count(time) == 5 * 366


def test_nothing_is_due_before_a_start_with_a_date() -> None:
    rule = Rule(7 * DAY, parse_start("2026-11-23T14:00Z"))
    origin = base(rule, IMAGE)
    assert first_after(rule, origin, at("2026-01-01T00:00")) == at("2026-11-23T14:00")
    assert last_until(rule, origin, at("2026-11-23T13:59")) is None
    assert first_after(rule, origin, at("2026-11-23T14:00")) == at("2026-11-30T14:00")


def test_spread_is_stable_and_even() -> None:
    rule = Rule(3600, spread=True)
    moments = [moment(rule, ImageKey(3, "", f"{number:x}")) for number in range(6000)]
    assert moments[255] == moment(rule, ImageKey(3, "", "ff"))
    assert all(0 <= found < 3600 for found in moments)
    by_minute = [sum(found // 60 == minute for found in moments) for minute in range(60)]
    assert 60 < min(by_minute) and max(by_minute) < 150
    assert moment(Rule(3600), IMAGE) == 0
    assert moment(rule, ImageKey(3, "", "1")) != moment(rule, ImageKey(3, "n", "1"))


@pytest.mark.parametrize("seed", range(30))
def test_due_times_that_meet_are_one(seed: int) -> None:
    chance = random.Random(seed)
    minutes = [1, 2, 7, 15, 60, 90, 360, 1440]
    series = [Series(chance.randrange(-10**6, 10**6) // 60 * 60, 60 * chance.choice(minutes),
                     after=chance.randrange(0, 2 * DAY)) for _ in range(chance.randint(1, 6))]
    until = 3 * DAY
    due = {time for one in series
           for time in range(one.base % one.interval - one.interval, until + 1, one.interval)
           if time > one.after}
    assert count_distinct(series, until) == len(due)


def test_of_many_schedules_the_counting_ends() -> None:
    series = [Series(0, 60 * number, 0) for number in range(1, 60)]
    assert count_distinct(series, 3600) >= 60
