"""What is stored of schedules, level by level; pure.

An entry is JSON, in the omap of `OBJECT` of the pool that it belongs to under its level's key, or
in the manager's key/value store for all pools::

    {"version": 1, "rules": [{"interval": "1h", "start_time": "14:00:00", "since": 1700000000}],
     "paused": 0, "since": 0, "name": "image1"}

``paused`` is the moment from which on nothing of the level runs, 0 if it does; ``since`` the moment
when that ended last; ``name`` helps to tell whose entry it is when the image is gone.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from .. import versions
from ..errors import InvalidArgument, MalformedData
from .levels import ImageKey, Level, levels_of
from .rules import Rule, moment_of, typed

OBJECT = "mirror_mgr_snapshot_schedule"
VERSION = 1

# What reading JSON that anybody may have written raises, and taking it for what it is not.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Entry:
    """The schedules of one level.

    :ivar paused: since when they are, in seconds since the epoch, or 0
    :ivar since: when the last pause ended, or 0
    :ivar name: that of the image, for the level of one
    """

    rules: Tuple[Rule, ...] = ()
    paused: int = 0
    since: int = 0
    name: str = ""

    def with_rule(self, rule: Rule) -> "Entry":
        """Return it with the rule added, or put in the place of one with the same times."""
        return replace(self, rules=_sorted((*self.without(rule).rules, rule)))

    def without(self, rule: Rule) -> "Entry":
        """Return it without the rule of the same times."""
        return replace(self, rules=tuple(
            other for other in self.rules if other.times != rule.times))

    def has(self, rule: Rule) -> bool:
        return any(other.times == rule.times for other in self.rules)

    @property
    def is_empty(self) -> bool:
        return not self.rules and not self.paused

    def encode(self) -> bytes:
        return json.dumps({versions.KEY: VERSION,
                           "rules": [rule.to_dict() for rule in self.rules], "paused": self.paused,
                           "since": self.since, "name": self.name}).encode()


def _sorted(rules: Iterable[Rule]) -> Tuple[Rule, ...]:
    return tuple(sorted(rules, key=lambda rule: (
        rule.interval, rule.start.text if rule.start else "")))


@lru_cache(maxsize=1 << 15)
def decode_entry(value: bytes) -> Entry:
    """Raise MalformedData where that is no entry, or one of a rule that can't be.

    Raise NotSupported for one of a later mirror_mgr.
    """
    try:
        found = json.loads(value)
        versions.require(found, VERSION, "it")
        return Entry(_sorted(map(Rule.from_dict, typed(found, "rules", list))),
                     moment_of(found, "paused"), moment_of(found, "since"),
                     typed(found, "name", str, ""))
    except InvalidArgument as error:
        raise MalformedData(error.message) from None
    except UNREADABLE as error:
        raise MalformedData(f"not an entry of ours: {error}") from None


def changed(entries: Mapping[Level, Entry], changes: Mapping[Level, Entry]) -> Dict[Level, Entry]:
    """Return the entries with some of them put in or replaced, or removed where they are empty."""
    return {level: entry for level, entry in {**entries, **changes}.items() if not entry.is_empty}


class Applied(NamedTuple):
    """What holds for one image.

    :ivar level: the most specific one that has rules
    :ivar paused_at: the most specific one that is paused
    """

    level: Level
    rules: Tuple[Rule, ...]
    paused_at: Optional[Level]


class Book:
    """All entries, in memory."""

    def __init__(self, entries: Dict[Level, Entry]) -> None:
        self.entries = entries
        self._shared: Dict[Tuple[Tuple[Rule, ...], int], Tuple[Rule, ...]] = {}

    def get(self, level: Level) -> Entry:
        return self.entries.get(level, Entry())

    def applied(self, image: ImageKey) -> Optional[Applied]:
        """Return what holds for the image, None if no level of it has a schedule."""
        levels = [level for level in levels_of(image) if level in self.entries]
        level = next((level for level in levels if self.entries[level].rules), None)
        if level is None:
            return None
        paused = next((level for level in levels if self.entries[level].paused), None)
        since = max(self.entries[level].since for level in levels)
        return Applied(level, self._rules_from(self.entries[level].rules, since), paused)

    def _rules_from(self, rules: Tuple[Rule, ...], since: int) -> Tuple[Rule, ...]:
        """The rules, counting from the end of a pause on; the same object for the same rules."""
        key = (rules, since)
        if key not in self._shared:
            self._shared[key] = tuple(
                replace(rule, since=max(rule.since, since)) for rule in rules)
        return self._shared[key]
