"""What is stored of runs, image by image; pure.

A record is JSON, in the omap of `OBJECT` of the image's pool under the key of its level.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, NamedTuple, Optional

from .. import versions
from ..errors import MalformedData
from .entries import UNREADABLE
from .rules import END

OBJECT = "mirror_mgr_snapshot_runs"
VERSION = 1
FAILING = 3  # failures in a row


@dataclass(frozen=True)
class Record:
    """How it went for an image; times in seconds since the epoch, 0 for never.

    :ivar due: the last due time that had its turn: a later manager goes on from there
    :ivar last_run: when the last snapshot was asked for, whether it was made or not
    :ivar late: seconds from when it was due until then
    :ivar took: seconds until it was made, or failed
    :ivar snapshot: the id of the last that was made
    :ivar error: why the last run failed, empty if it did not
    :ivar in_a_row: how many runs failed since the last that did not
    """

    due: int = 0
    last_run: float = 0.0
    late: float = 0.0
    took: float = 0.0
    snapshot: int = 0
    error: str = ""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    in_a_row: int = 0

    @property
    def is_failing(self) -> bool:
        return self.in_a_row >= FAILING

    def until(self, due: int) -> "Record":
        """With 0 nothing is due for the image: when that changes it starts from then."""
        return replace(self, due=due)

    def succeeded(self, at: float, late: float, took: float, snapshot: int) -> "Record":
        return replace(self._ran(at, late, took), snapshot=snapshot, error="", done=self.done + 1,
                       in_a_row=0)

    def failed_with(self, error: str, at: float, late: float, took: float) -> "Record":
        return replace(self._ran(at, late, took), error=error, failed=self.failed + 1,
                       in_a_row=self.in_a_row + 1)

    def _ran(self, at: float, late: float, took: float) -> "Record":
        return replace(self, last_run=round(at, 3), late=round(max(0.0, late), 3),
                       took=round(max(0.0, took), 3))

    def skip(self, count: int) -> "Record":
        return replace(self, skipped=self.skipped + count)

    def encode(self) -> bytes:
        return json.dumps({versions.KEY: VERSION, **vars(self)}, separators=(",", ":")).encode()


def decode_record(value: bytes) -> Record:
    """Raise MalformedData where that is no record, NotSupported for one of a later mirror_mgr."""
    try:
        found: Dict[str, Any] = json.loads(value)
        versions.require(found, VERSION, "it")
        default = vars(Record())
        record = Record(**{name: type(default[name])(value)
                           for name, value in found.items() if name in default})
        for number in (record.due, record.last_run, record.late, record.took):
            if not 0 <= number < END:
                raise ValueError(f"{number} is no time")
        return record
    except UNREADABLE as error:
        raise MalformedData(f"not a record of ours: {error}") from None


class Sum(NamedTuple):
    """Of many records; as :class:`Record`, with the longest of each time."""

    images: int = 0
    last_run: float = 0.0
    late: float = 0.0
    took: float = 0.0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    error: str = ""


def total(records: Iterable[Optional[Record]]) -> Sum:
    """Sum up the records of images; None is one that has none yet."""
    found = Sum()
    for record in records:
        record = record or Record()
        found = Sum(found.images + 1, max(found.last_run, record.last_run),
                    max(found.late, record.late), max(found.took, record.took),
                    found.done + record.done, found.skipped + record.skipped,
                    found.failed + record.failed, found.error or record.error)
    return found
