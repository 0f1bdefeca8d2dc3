"""The tick's decision: which images are due, whatever the clock does; pure."""

import heapq
from dataclasses import dataclass
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .due import Series, count_distinct, first_after, last_until
from .due import base as base_of
from .levels import ImageKey
from .rules import Rule

Rules = Tuple[Rule, ...]

STEP_BACK = 1.0  # seconds: less is the clock being slewed


class Due(NamedTuple):
    """An image's turn.

    :ivar time: when it is due, in seconds since the epoch
    :ivar missed: how many due times before it had no turn
    :ivar before: the due time that was handled before
    :ivar skipped: how many later ones were skipped as this one still ran
    """

    image: ImageKey
    time: int
    rule: Rule
    missed: int
    before: int
    skipped: int = 0

    def is_too_late(self, now: float) -> bool:
        return self.rule.deadline is not None and now - self.time > self.rule.deadline


@dataclass
class _Item:
    rules: Rules
    bases: Tuple[Tuple[Rule, int], ...]
    handled: int
    next: int = 0


class Agenda:
    """The images that have rules, by the time that each is due next."""

    def __init__(self) -> None:
        self._items: Dict[ImageKey, _Item] = {}
        self._slots: Dict[int, Dict[ImageKey, _Item]] = {}
        self._times: List[int] = []
        self._now = float("-inf")

    def __contains__(self, image: ImageKey) -> bool:
        return image in self._items

    def __iter__(self) -> Iterator[ImageKey]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def rules(self, image: ImageKey) -> Rules:
        return self._items[image].rules if image in self._items else ()

    def put(self, image: ImageKey, rules: Rules, handled: int, now: float) -> None:
        """Enter an image, or change its rules; due times until `handled` are none of its.

        A `handled` that is more than an interval ahead of `now` comes from a clock that was wrong.
        """
        self.drop(image)
        item = _Item(rules, tuple((rule, base_of(rule, image)) for rule in rules), handled)
        _forget_future(item, now)
        self._items[image] = item
        self._seat(image, item, now)

    def drop(self, image: ImageKey) -> None:
        item = self._items.pop(image, None)
        if item is not None:
            self._unseat(image, item)

    def handled(self, image: ImageKey) -> Optional[int]:
        """Return until when due times had their turns; None where nothing is due."""
        item = self._items.get(image)
        return item.handled if item else None

    def next_time(self) -> Optional[int]:
        """Return when the next image is due."""
        while self._times and not self._slots.get(self._times[0]):
            self._slots.pop(heapq.heappop(self._times), None)
        return self._times[0] if self._times else None

    def next_of(self, image: ImageKey) -> Optional[int]:
        item = self._items.get(image)
        return item.next if item else None

    def take(self, now: float, lead: float = 0.0) -> List[Due]:
        """Return each image that is due until `lead` seconds from `now`, once for all its missed
        due times, and have it wait for its next."""
        if now < self._now - STEP_BACK:
            self._step_back(now)
        self._now = now
        found: List[Due] = []
        while True:
            time = self.next_time()
            if time is None or time > now + lead:
                return found
            for image, item in self._slots.pop(heapq.heappop(self._times)).items():
                turn = _turn(item, max(int(now + lead), time), now)
                found.append(Due(image, *turn, item.handled))
                item.handled = turn.time
                self._seat(image, item, now)

    def put_back(self, due: Due, now: float) -> None:
        """Have a turn that was taken and came to nothing be due again, unless there is a later."""
        item = self._items.get(due.image)
        if item is not None and item.handled == due.time:
            self._unseat(due.image, item)
            item.handled = due.before
            self._seat(due.image, item, now)

    def _seat(self, image: ImageKey, item: _Item, now: float) -> None:
        item.next = min(first_after(rule, base, _floor(rule, item.handled, now))
                        for rule, base in item.bases)
        slot = self._slots.get(item.next)
        if slot is None:
            slot = self._slots[item.next] = {}
            heapq.heappush(self._times, item.next)
        slot[image] = item

    def _unseat(self, image: ImageKey, item: _Item) -> None:
        slot = self._slots.get(item.next)
        if slot is not None:
            slot.pop(image, None)

    def _step_back(self, now: float) -> None:
        for image, item in self._items.items():
            self._unseat(image, item)
            _forget_future(item, now)
            self._seat(image, item, now)


class _Turn(NamedTuple):
    time: int
    rule: Rule
    missed: int


def _turn(item: _Item, until: int, now: float) -> _Turn:
    """Return the last due time until `until`, its rule, and how many were missed before it."""
    if len(item.bases) == 1 and item.next + item.rules[0].interval > until:
        return _Turn(item.next, item.rules[0], 0)
    found: Optional[Tuple[int, Rule]] = None
    series = []
    for rule, base in item.bases:
        floor = _floor(rule, item.handled, now)
        last = last_until(rule, base, until)
        if last is None or last <= floor:
            continue
        series.append(Series.of(rule, base, floor))
        if found is None or last > found[0]:
            found = last, rule
    assert found is not None, "an image has its turn at its next due time"
    return _Turn(*found, count_distinct(series, until) - 1)


def _floor(rule: Rule, handled: int, now: float) -> int:
    """Return from when on the rule counts; one made before the clock was set back counts now."""
    return max(handled, rule.since) if rule.since <= now else handled


def _forget_future(item: _Item, now: float) -> None:
    if item.handled > now + min(rule.interval for rule in item.rules):
        item.handled = int(now)
