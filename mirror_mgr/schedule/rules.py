"""One schedule: every so often, from a start on; pure.

An interval is a number with ``d``, ``h`` or ``m`` (minutes if there is none of these), a start time
is ISO 8601.  Both print as ``rbd`` prints them.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, Optional, Tuple

from ..errors import InvalidArgument

MINUTE = 60
DAY = 86400
_UNITS = {"d": DAY, "h": 3600, "m": MINUTE, "": MINUTE}
_LONGEST = 36500 * DAY
END = 2932896 * DAY  # 10000-01-01: no later time can be written

_INTERVAL = re.compile(r"([0-9]+)([dhm]?)")
_START = re.compile(
    r"(?:(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[T ])?T?"
    r"(?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,]0+)?)?"
    r" ?(?P<zone>Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Start:
    """When it begins.

    :ivar anchor: seconds since the epoch; of a time without a date, on the epoch's first day
    :ivar dated: whether nothing is due before
    :ivar text: as it was written, normalised
    """

    anchor: int
    dated: bool
    text: str = field(compare=False)

    @property
    def zoned(self) -> bool:
        return self.text[-6:-5] in ("+", "-")


@dataclass(frozen=True)
class Rule:
    """One schedule.

    :ivar interval: in seconds
    :ivar spread: each image has its own moment within the interval
    :ivar deadline: a run that is later than this many seconds is skipped; None: never
    :ivar since: it counts from this moment on, in seconds since the epoch
    """

    interval: int
    start: Optional[Start] = None
    spread: bool = False
    deadline: Optional[int] = None
    since: int = 0

    @property
    def times(self) -> Tuple[int, Optional[Start]]:
        """What tells one rule of a level from another."""
        return self.interval, self.start

    def __str__(self) -> str:
        text = f"every {interval_text(self.interval)}"
        if self.start:
            text += f" starting at {self.start.text}{'' if self.start.zoned else ' UTC'}"
        if self.spread:
            text += ", spread"
        if self.deadline is not None:
            text += f", at most {interval_text(self.deadline)} late"
        return text

    def to_dict(self) -> Dict[str, Any]:
        found: Dict[str, Any] = {
            "interval": interval_text(self.interval),
            "start_time": self.start.text if self.start else None, "since": self.since}
        if self.spread:
            found["spread"] = True
        if self.deadline is not None:
            found["deadline"] = interval_text(self.deadline)
        return found

    @classmethod
    def from_dict(cls, value: Dict[str, Any]) -> "Rule":
        """Given what `to_dict` returns, return the rule; raise InvalidArgument."""
        start = typed(value, "start_time", str, None)
        deadline = typed(value, "deadline", str, None)
        return cls(parse_interval(typed(value, "interval", str)),
                   None if start is None else parse_start(start),
                   typed(value, "spread", bool, False),
                   None if deadline is None else parse_interval(deadline, "deadline"),
                   moment_of(value, "since"))


_REQUIRED: Any = object()


def typed(value: Dict[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    """Return what is stored under a key; raise InvalidArgument where it is of another type."""
    found = value.get(key, default)
    if found is default and default is not _REQUIRED:
        return found
    if type(found) is not kind:
        shown = "missing" if found is _REQUIRED else repr(found)
        raise InvalidArgument(f"{key}: must be of type {kind.__name__}, it is {shown:.60}")
    return found


def moment_of(value: Dict[str, Any], key: str) -> int:
    """Return seconds since the epoch, 0 for none; raise InvalidArgument for what is no time."""
    found: int = typed(value, key, int, 0)
    if not 0 <= found < END:
        raise InvalidArgument(f"{key}: {found} is no time in seconds since the epoch")
    return found


def parse_interval(text: str, what: str = "interval") -> int:
    """Return the seconds that ``6h`` and the like stand for; raise InvalidArgument."""
    match = _INTERVAL.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"{what} {text!r}: must be a number of days, hours or minutes, "
                              "like 1d, 6h or 15m")
    seconds = int(match[1][:12]) * _UNITS[match[2]]
    if seconds == 0:
        raise InvalidArgument(f"{what} {text!r}: must be 1m or longer")
    if seconds > _LONGEST:
        raise InvalidArgument(f"{what} {text!r}: must be {interval_text(_LONGEST)} or shorter")
    return seconds


def interval_text(seconds: int) -> str:
    """Return seconds as ``rbd`` prints an interval: in the greatest unit that it is a whole of."""
    for unit in "dh":
        if seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds // MINUTE}m"


def parse_start(text: str) -> Start:
    """Given ISO 8601, like ``14:00``, ``14:00:00-05:00`` or ``2026-11-23T14:00Z``, return it.

    Without a zone it is UTC.  Raise InvalidArgument for what is no time.
    """
    match = _START.fullmatch(text)
    try:
        if match is None:
            raise ValueError("not ISO 8601")
        day = _date(match["date"]) if match["date"] else date(1970, 1, 1)
        when = datetime(day.year, day.month, day.day, int(match["hour"]), int(match["minute"]),
                        int(match["second"] or 0), tzinfo=_zone(match["zone"]))
        anchor = (when - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
        if anchor >= END - 2 * _LONGEST:
            raise ValueError("too far in the future")
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"start time {text!r}: {error}; write a time like 14:00, "
                              "14:00:00-05:00 or 2026-11-23T14:00:00Z") from None
    if not match["zone"]:
        when = when.replace(tzinfo=None)
    shown = when.isoformat() if match["date"] else when.timetz().isoformat()
    return Start(anchor, bool(match["date"]), shown)


def _date(text: str) -> date:
    digits = text.replace("-", "")
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _zone(text: Optional[str]) -> timezone:
    if text is None or text.upper() in ("Z", "UTC"):
        return timezone.utc
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no such time zone")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
