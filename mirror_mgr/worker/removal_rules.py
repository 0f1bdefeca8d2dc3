"""When a copy goes whose primary is gone: a wrong listing of the peer removes nothing.  Pure.

An image must be missing at the peer for some time.  Where many of a pool's are missing at once they
all stay, until an administrator confirms that or a week has passed.
"""

import enum
import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping

from .. import versions
from ..errors import MalformedData, NotSupported

OBJECT = "mirror_mgr_removals"
"""In each mirrored namespace: omap entries `missing_<global id>`, and `confirmed`, all JSON."""

CONFIRMED = "confirmed"
MISSING = "missing_"

VERSION = 1
HELD_SECONDS = 7 * 86400.0
# At once: more than so many, and more than this share of the pool's copies.
_FEW = 5
_SHARE = 0.1


@dataclass(frozen=True)
class Record:
    """A copy whose primary is missing.

    :ivar since: when that was seen first, in seconds since the epoch
    :ivar held: it went together with many others
    :ivar name: of the copy, for people
    """

    since: float
    held: bool = False
    name: str = ""

    def encode(self) -> bytes:
        return json.dumps({versions.KEY: VERSION, "since": self.since, "held": self.held,
                           "name": self.name}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Record":
        """Raise MalformedData, and NotSupported for one of a later mirror_mgr."""
        fields = _fields(data)
        held, name = fields.get("held", False), fields.get("name", "")
        if not isinstance(held, bool) or not isinstance(name, str):
            raise MalformedData(f"a record in {OBJECT} does not decode")
        return cls(_time(fields, "since"), held, name)


def encode_confirmed(now: float) -> bytes:
    return json.dumps({versions.KEY: VERSION, "at": now}).encode()


@dataclass(frozen=True)
class Records:
    """All of a namespace.

    :ivar missing: by global id
    :ivar confirmed: when an administrator did so
    :ivar later: why those are not read that a later mirror_mgr wrote, by their keys
    """

    missing: Mapping[str, Record]
    confirmed: float = 0.0
    later: Mapping[str, str] = field(default_factory=dict)

    def is_later(self, global_id: str) -> bool:
        return MISSING + global_id in self.later

    @classmethod
    def from_omap(cls, omap: Mapping[str, bytes]) -> "Records":
        """What does not decode counts as not there: then the time begins anew."""
        missing: Dict[str, Record] = {}
        later: Dict[str, str] = {}
        confirmed = 0.0
        for key, value in omap.items():
            try:
                if key.startswith(MISSING):
                    missing[key[len(MISSING):]] = Record.decode(value)
                elif key == CONFIRMED:
                    confirmed = _time(_fields(value), "at")
            except MalformedData:
                continue
            except NotSupported as error:
                later[key] = error.message
        return cls(missing, confirmed, later)


@dataclass
class Delays:
    """What may be changed while workers run, in seconds.

    :ivar missing: how long an image must be missing at its primary site before its copy goes
    :ivar trash: how long the copy then stays in the trash, at least
    """

    missing: float = 30.0
    trash: float = 3600.0


class Verdict(enum.Enum):
    WAIT = "wait"
    HOLD = "hold"
    REMOVE = "remove"


def judge(record: Record, confirmed: float, now: float, wait_seconds: float) -> Verdict:
    """What is to become of a copy; `wait_seconds`: how long its primary must have been missing."""
    if now - record.since < wait_seconds:
        return Verdict.WAIT
    if record.held and confirmed < record.since and now < held_until(record):
        return Verdict.HOLD
    return Verdict.REMOVE


def held_until(record: Record) -> float:
    return record.since + HELD_SECONDS


def are_many(missing: int, copies: int) -> bool:
    """Whether so many of a pool's copies are too many to go by themselves."""
    return missing > _FEW and missing > _SHARE * copies


def hold(records: Mapping[str, Record], confirmed: float) -> Dict[str, Record]:
    """These with all held that were not confirmed."""
    return {global_id: replace(record, held=record.held or confirmed < record.since)
            for global_id, record in records.items()}


def _fields(data: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise MalformedData(f"a record in {OBJECT} does not decode")
    versions.require(fields, VERSION, f"a record in {OBJECT}")
    return fields


def _time(fields: Mapping[str, Any], key: str) -> float:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise MalformedData(f"a record in {OBJECT} does not decode")
    return float(value)
