"""Long syncs as events of the manager's progress module; pure."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from . import states
from .output import size
from .worker.protocol import ImageReport, SyncReport

LONG_SECONDS = 5.0     # a sync that takes less is not shown
SILENT_SECONDS = 60.0  # a worker that comes back within these goes on with what it was at
AT_ONCE = 10           # events, so that they don't fill the screen

# A method of the progress module with its arguments.
Call = Tuple[object, ...]


@dataclass
class _Event:
    began: float
    heard: float
    shown: Optional[Tuple[str, float]] = None


class Syncs:
    """What the progress module was told of syncs."""

    def __init__(self) -> None:
        self._events: Dict[Tuple[str, int], _Event] = {}

    def look(self, images: Iterable[ImageReport], now: float) -> List[Call]:
        """Given all reports and the time in seconds, return what the progress module is to do."""
        reports = {image.global_id: image for image in images}
        for report in reports.values():
            if report.sync is not None:
                key = report.global_id, report.sync.snapshot
                self._events.setdefault(key, _Event(now, now)).heard = now
        return self._end(reports, now) + self._update(reports, now)

    def _end(self, reports: Mapping[str, ImageReport], now: float) -> List[Call]:
        calls: List[Call] = []
        for key, event in list(self._events.items()):
            end = _ending(key, event, reports.get(key[0]), now)
            if end is not None:
                del self._events[key]
                if event.shown is not None:
                    if end[0] == "complete":
                        calls.append(("update", event_id(*key), event.shown[0].partition(":")[0],
                                      1.0, [], True))
                    calls.append((end[0], event_id(*key), *end[1:]))
        return calls

    def _update(self, reports: Mapping[str, ImageReport], now: float) -> List[Call]:
        calls: List[Call] = []
        count = sum(event.shown is not None for event in self._events.values())
        for key, event in self._events.items():
            report = reports.get(key[0])
            if report is None or report.sync is None or now - event.began < LONG_SECONDS:
                continue
            if event.shown is None and count >= AT_ONCE:
                continue
            state = _message(report.spec, report.sync), report.sync.percent / 100
            if state != event.shown:
                count += event.shown is None
                event.shown = state
                calls.append(("update", event_id(*key), *state, [], True))
        return calls


def event_id(global_id: str, snapshot: int) -> str:
    """The same for every worker and manager that has to do with this sync."""
    return f"rbd-mirror/{global_id}/{snapshot}"


def _ending(key: Tuple[str, int], event: _Event, report: Optional[ImageReport],
            now: float) -> Optional[Call]:
    """How a sync ended; None while it goes on, or may do so."""
    if report is not None:
        if report.sync is not None:
            return None if report.sync.snapshot == key[1] else ("complete",)
        if report.state in (states.UP_TO_DATE, states.DEMOTED):
            return ("complete",)
        if report.state not in (states.WAITING, states.SYNCING):
            return ("fail", report.reason or report.state)
    if now - event.heard < SILENT_SECONDS:
        return None
    return ("fail", report.reason if report and report.reason else "nobody goes on with it")


def _message(spec: str, sync: SyncReport) -> str:
    total = f" of about {size(sync.bytes_total)}" if sync.bytes_total is not None else ""
    return (f"Mirroring of image {spec}: {size(sync.bytes_done)}{total} copied, "
            f"{size(int(sync.bytes_per_second))}/s")
