"""The schedules of Ceph's own module ``rbd_support``, which is always on; pure.

They are JSON lists of ``{"interval": "1d", "start_time": "14:00:00-05:00"}``: in the omap of
`OBJECT` of each pool under the keys of `levels`, and for all pools in its option
``mirror_snapshot_schedule`` (releases before 17 also kept that one under the name of a manager).
Checked on release 16.2.15.
"""

import json
import re
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from ..errors import InvalidArgument, MalformedData
from .entries import UNREADABLE, Entry
from .levels import Level
from .rules import DAY, MINUTE, Rule, parse_interval, parse_start, typed

OBJECT = "rbd_mirror_snapshot_schedule"
OPTIONS = "mgr/rbd_support/"
_OPTION = re.compile(OPTIONS + "(?:[^/]+/)?mirror_snapshot_schedule")

Rules = Tuple[Rule, ...]


def is_option(name: str) -> bool:
    """Tell whether a configuration option holds its schedules for all pools."""
    return _OPTION.fullmatch(name) is not None


@lru_cache(maxsize=1 << 15)
def decode(value: bytes) -> Rules:
    """Given an entry, return its rules; raise MalformedData when one of them can't be."""
    try:
        return tuple(map(_rule, _items(value)))
    except InvalidArgument as error:
        raise MalformedData(error.message) from None


def readable(value: bytes) -> Rules:
    """Return those rules of an entry that can be, none where it is no list."""
    found = []
    with suppress(MalformedData):
        for item in _items(value):
            with suppress(InvalidArgument):
                found.append(_rule(item))
    return tuple(found)


def without(value: bytes, rules: Rules) -> Optional[bytes]:
    """Return an entry without some of its rules, None when nothing is left of it."""
    times = {rule.times for rule in rules}
    left = []
    for item in _items(value):
        try:
            if _rule(item).times in times:
                continue
        except InvalidArgument:
            pass
        left.append(item)
    return json.dumps(left, indent=4, sort_keys=True).encode() if left else None


def _items(value: bytes) -> List[Any]:
    try:
        found = json.loads(value)
    except UNREADABLE as error:
        raise MalformedData(f"not an entry of rbd_support: {error}") from None
    if not isinstance(found, list):
        raise MalformedData("not an entry of rbd_support: no list")
    return found


def _rule(item: Any) -> Rule:
    """As rbd_support reads it, which wants both keys."""
    if not isinstance(item, dict) or "start_time" not in item:
        raise InvalidArgument(f"not a schedule of rbd_support: {item!r:.60}")
    start = typed(item, "start_time", str, None)
    return Rule(parse_interval(typed(item, "interval", str)), parse_start(start) if start else None)


def is_due(rules: Rules, time: int, offset: int) -> bool:
    """Tell whether it makes a snapshot for this due time.

    It counts in whole minutes of the manager's local time, `offset` seconds ahead of UTC, and adds
    the offset of a start time where it is to be taken off.
    """
    local = (time + offset) // MINUTE * MINUTE
    return any((local - _base(rule)) % rule.interval == 0 for rule in rules)


def next_due(rules: Rules, time: int, offset: int) -> int:
    """Return the first due time after `time` that it has for an image with these rules."""
    local = time + offset
    return min(_base(rule) + ((local - _base(rule)) // rule.interval + 1) * rule.interval
               for rule in rules) - offset


def _base(rule: Rule) -> int:
    if rule.start is None:
        return 0
    clock, ahead = _clock_and_offset(rule)
    return clock // MINUTE * MINUTE + ahead % DAY // MINUTE * MINUTE


def _clock_and_offset(rule: Rule) -> Tuple[int, int]:
    """Return what the start time's clock shows and its offset from UTC, both in seconds."""
    assert rule.start is not None
    when = datetime.fromisoformat(f"1970-01-01T{rule.start.text.rpartition('T')[2]}")
    ahead = when.utcoffset()
    clock = when.hour * 3600 + when.minute * MINUTE + when.second
    return clock, int(ahead.total_seconds()) if ahead is not None else 0


class Adoption(NamedTuple):
    """What is to be done with one entry of rbd_support.

    :ivar entry: ours after it
    :ivar rules: what it adds to ours
    :ivar notes: what will be another than it was
    """

    level: Level
    entry: Entry
    rules: Rules
    notes: Tuple[str, ...]


def adopt(theirs: Mapping[Level, Rules], ours: Mapping[Level, Entry], names: Mapping[Level, str],
          within: Level, now: int, offset: int) -> Tuple[Adoption, ...]:
    """Return what moves all entries at `within` and below over to ours.

    `offset` is how many seconds the manager's local time is ahead of UTC: their start times without
    a zone are local.
    """
    found = []
    for level, rules in sorted(theirs.items(), key=lambda item: item[0].key):
        if not within.covers(level):
            continue
        entry = replace(ours.get(level, Entry()), name=names.get(level, ""))
        added, notes = [], []
        for rule in rules:
            exact, note = _exact(rule, offset)
            exact = replace(exact, since=now)
            if not entry.has(exact):
                entry = entry.with_rule(exact)
            added.append(exact)
            notes += [note] if note else []
        found.append(Adoption(level, entry, tuple(added), tuple(notes)))
    return tuple(found)


def _exact(rule: Rule, offset: int) -> Tuple[Rule, str]:
    """Return the rule as ours, and what to say about it."""
    if rule.start is not None and rule.start.zoned:
        clock, ahead = _clock_and_offset(rule)
        ran, runs = (_base(rule) - offset) % DAY, (clock - ahead) % DAY
        if (ran - runs) % rule.interval == 0:
            return rule, ""
        return rule, (f"{rule}: rbd_support ran it at {_hhmm(ran)} UTC, "
                      f"from now on it runs at {_hhmm(runs)} UTC as written")
    if offset % rule.interval == 0:
        return rule, ""
    text = rule.start.text if rule.start else "00:00:00"
    exact = replace(rule, start=parse_start(text + _zone_text(offset)))
    return exact, f"{rule}: rbd_support runs it by the manager's local time; it becomes {exact}"


def _hhmm(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}"


def _zone_text(offset: int) -> str:
    return f"{'-' if offset < 0 else '+'}{_hhmm(abs(offset))}"


def covering(theirs: Mapping[Level, Rules], levels: Tuple[Level, ...]) -> Optional[Rules]:
    """Return the rules of the most specific of an image's levels that has one of theirs."""
    return next((theirs[level] for level in levels if theirs.get(level)), None)
