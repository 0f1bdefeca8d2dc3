import pytest

from mirror_mgr.errors import InvalidArgument
from mirror_mgr.schedule.rules import Rule, interval_text, parse_interval, parse_start

HOUR = 3600


@pytest.mark.parametrize("text, seconds, shown", [
    ("1m", 60, "1m"), ("15", 900, "15m"), ("60m", HOUR, "1h"), ("90m", 5400, "90m"),
    ("6h", 6 * HOUR, "6h"), ("24h", 24 * HOUR, "1d"), ("7d", 168 * HOUR, "7d"),
    ("36500d", 36500 * 24 * HOUR, "36500d")])
def test_intervals(text: str, seconds: int, shown: str) -> None:
    assert parse_interval(text) == seconds
    assert interval_text(seconds) == shown


@pytest.mark.parametrize("text", [
    "0m", "0", "00h", "-1h", "1w", "5x", "", "h", "1.5h", "1h30m", " 1h", "1 h", "36501d",
    "9" * 400 + "d", "٣h"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_interval(text)
    assert repr(text)[:20] in caught.value.message


@pytest.mark.parametrize("text, anchor, shown", [
    ("14:00", 14 * HOUR, "14:00:00"),
    ("14:00:00", 14 * HOUR, "14:00:00"),
    ("T14:00:30", 14 * HOUR + 30, "14:00:30"),
    ("1400", 14 * HOUR, "14:00:00"),
    ("14:00:00-05:00", 19 * HOUR, "14:00:00-05:00"),
    ("14:00+02", 12 * HOUR, "14:00:00+02:00"),
    ("00:30+01:00", -HOUR // 2, "00:30:00+01:00"),
    ("14:00+0530", 14 * HOUR - 5 * HOUR - HOUR // 2, "14:00:00+05:30"),
    ("14:00Z", 14 * HOUR, "14:00:00+00:00"),
    ("14:00:00.000Z", 14 * HOUR, "14:00:00+00:00"),
    ("1970-01-02T00:00Z", 24 * HOUR, "1970-01-02T00:00:00+00:00"),
    ("2024-02-29T12:00", 1709208000, "2024-02-29T12:00:00"),
    ("20240229T120000z", 1709208000, "2024-02-29T12:00:00+00:00"),
    ("2024-02-29 12:00:00 utc", 1709208000, "2024-02-29T12:00:00+00:00")])
def test_start_times(text: str, anchor: int, shown: str) -> None:
    start = parse_start(text)
    assert (start.anchor, start.text) == (anchor, shown)
    assert start.dated == ("-" in shown[:5])
    assert parse_start(start.text) == start
    assert start.zoned == (shown[-6] in "+-")


@pytest.mark.parametrize("text", [
    "noon", "25:00", "14:60", "14", "14:00:00-25:00", "14:00+05:99", "2026-02-29T14:00",
    "2026-13-01T00:00", "2026-11-23", "14:00 EST", "14:00:61", "0000-01-01T00:00",
    "2026-1123T14:00", "14:00+99:00", "9999-12-31T23:59", "", "14:00:00.5", "24:00"])
def test_what_is_no_start_time(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_start(text)


def test_a_rule_in_words() -> None:
    assert str(Rule(HOUR)) == "every 1h"
    assert str(Rule(24 * HOUR, parse_start("14:00"))) == "every 1d starting at 14:00:00 UTC"
    assert str(Rule(24 * HOUR, parse_start("14:00-05:00"), spread=True, deadline=600)) == (
        "every 1d starting at 14:00:00-05:00, spread, at most 10m late")


@pytest.mark.parametrize("rule", [
    Rule(60), Rule(HOUR, parse_start("01:00+02:00"), spread=True, deadline=300, since=17)])
def test_a_rule_is_stored_whole(rule: Rule) -> None:
    assert Rule.from_dict(rule.to_dict()) == rule


def test_times_tell_rules_apart() -> None:
    at = parse_start("14:00Z")
    assert Rule(HOUR, at, spread=True).times == Rule(HOUR, parse_start("14:00")).times
    assert Rule(HOUR, at).times != Rule(HOUR).times
