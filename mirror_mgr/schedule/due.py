"""When a rule is due for an image, exactly; pure.  All times are whole seconds since the epoch."""

import hashlib
from typing import Optional

from .levels import ImageKey
from .rules import Rule


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


def count_between(rule: Rule, base: int, after: int, until: int) -> int:
    """Return how many due times are later than `after` and not later than `until`."""
    last = last_until(rule, base, until)
    if last is None or last <= after:
        return 0
    return (last - first_after(rule, base, after)) // rule.interval + 1


def _begins(rule: Rule) -> bool:
    return rule.start is not None and rule.start.dated
