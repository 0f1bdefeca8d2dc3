"""When a rule is due for an image, exactly; pure.  All times are whole seconds since the epoch."""

import hashlib
import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .levels import ImageKey
from .rules import Rule

_APART = 6


def base(rule: Rule, image: ImageKey) -> int:
    """Return the due time of the image that the others are counted from."""
    return (rule.start.anchor if rule.start else 0) + moment(rule, image)


def moment(rule: Rule, image: ImageKey) -> int:
    """Return where in the interval the image has its turn: 0 unless the rule spreads."""
    if not rule.spread:
        return 0
    name = "/".join(str(word) for word in image).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % rule.interval


def first_after(rule: Rule, base: int, time: int) -> int:
    """Return the first due time that is later than `time`."""
    turns = (time - base) // rule.interval + 1
    if turns < 0 and _begins(rule):
        turns = 0
    return base + turns * rule.interval


def last_until(rule: Rule, base: int, time: int) -> Optional[int]:
    """Return the last due time that is not later than `time`; None before a dated start."""
    turns = (time - base) // rule.interval
    return None if turns < 0 and _begins(rule) else base + turns * rule.interval


class Series(NamedTuple):
    """The due times of a rule that are later than `after`."""

    base: int
    interval: int
    after: int

    @classmethod
    def of(cls, rule: Rule, base: int, after: int) -> "Series":
        return cls(base, rule.interval, max(after, base - 1) if _begins(rule) else after)

    def count(self, until: int) -> int:
        """Return how many are not later than `until`."""
        turns = (until - self.base) // self.interval - (self.after - self.base) // self.interval
        return max(0, turns)

    def meeting(self, other: "Series") -> Optional["Series"]:
        """Return the due times of both; None if they never meet."""
        step = math.gcd(self.interval, other.interval)
        if (other.base - self.base) % step:
            return None
        modulus = other.interval // step
        turns = (other.base - self.base) // step * pow(self.interval // step, -1, modulus) % modulus
        return Series(self.base + turns * self.interval, self.interval * modulus,
                      max(self.after, other.after))


def count_distinct(series: Sequence[Series], until: int) -> int:
    """Return how many due times there are until then, where those that meet are one.

    That doubles the work with each series: of the last of very many all are counted.
    """
    terms: List[Tuple[int, Series]] = []
    for one in series[:_APART]:
        met = [(-sign, both) for sign, term in terms
               for both in (term.meeting(one),) if both is not None]
        terms += [(1, one), *met]
    return (sum(sign * term.count(until) for sign, term in terms)
            + sum(one.count(until) for one in series[_APART:]))


def _begins(rule: Rule) -> bool:
    return rule.start is not None and rule.start.dated
