"""Counters under the names that the C++ daemon has for them (`perf dump`, `perf schema`).  Pure."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Tuple

from ..replay.journal.replay import History
from .status import SyncHistory

_PROCESS = "mirror_mgr"
# Kinds of counters: PERFCOUNTER_U64 | COUNTER, PERFCOUNTER_TIME | LONGRUNAVG, PERFCOUNTER_U64.
_COUNTER, _AVERAGE_TIME, _GAUGE = 10, 5, 2

Values = Dict[str, Any]
Loggers = Dict[str, Values]


@dataclass
class Images:
    """What was done to each image, by its spec."""

    snapshot_mode: List[Tuple[str, SyncHistory]] = field(default_factory=list)
    journal_mode: List[Tuple[str, History]] = field(default_factory=list)


def dump(process: Mapping[str, int], images: Images) -> Loggers:
    """Given counters of the process, return all loggers."""
    return {_PROCESS: dict(process), **_loggers(
        images, lambda histories, of_image: _snapshot_values(histories),
        lambda histories, of_image: _journal_values(histories))}


def schema(process: Mapping[str, int], images: Images, priority: int,
           image_priority: int) -> Loggers:
    """Given the same and the priorities of counters, return what `dump` consists of."""
    def chosen(of_image: bool) -> int:
        return image_priority if of_image else priority

    return {_PROCESS: {name: _counter(name.replace("_", " "), priority, _GAUGE, "gauge")
                       for name in process},
            **_loggers(images, lambda _, of_image: _snapshot_schema(chosen(of_image)),
                       lambda _, of_image: _journal_schema(chosen(of_image)))}


def _loggers(images: Images, snapshot: Callable[[List[SyncHistory], bool], Values],
             journal: Callable[[List[History], bool], Values]) -> Loggers:
    """The sums of each mode, and each image; both functions are told whether it is one."""
    found = {
        "rbd_mirror": journal([history for _, history in images.journal_mode], False),
        "rbd_mirror_snapshot": snapshot([history for _, history in images.snapshot_mode], False)}
    found.update((f"rbd_mirror_image_{spec}", journal([history], True))
                 for spec, history in images.journal_mode)
    found.update((f"rbd_mirror_snapshot_image_{spec}", snapshot([history], True))
                 for spec, history in images.snapshot_mode)
    return found


def _snapshot_values(histories: List[SyncHistory]) -> Values:
    count = sum(history.snapshots for history in histories)
    return {
        "snapshots": count,
        "snapshots_time": _average(count, sum(history.total_seconds for history in histories)),
        "replay_bytes": sum(history.total_bytes for history in histories),
    }


def _journal_values(histories: List[History]) -> Values:
    """The latency is that of windows: what is written at once has one."""
    return {
        "replay": sum(history.entries for history in histories),
        "replay_bytes": sum(history.bytes for history in histories),
        "replay_latency": _average(sum(history.windows for history in histories),
                                   sum(history.seconds for history in histories)),
    }


def _average(count: int, seconds: float) -> Values:
    return {"avgcount": count, "sum": seconds, "avgtime": seconds / count if count else 0.0}


def _snapshot_schema(priority: int) -> Values:
    return {
        "snapshots": _counter("Snapshots", priority, nick="r"),
        "snapshots_time": _counter("Snapshots time", priority, _AVERAGE_TIME, "gauge",
                                   "real-integer-pair", "rl"),
        "replay_bytes": _counter("Replayed data", priority, nick="rb", units="bytes"),
    }


def _journal_schema(priority: int) -> Values:
    return {
        "replay": _counter("Replays", priority, nick="r"),
        "replay_bytes": _counter("Replayed data", priority, nick="rb", units="bytes"),
        "replay_latency": _counter("Replay latency", priority, _AVERAGE_TIME, "gauge",
                                   "real-integer-pair", "rl"),
    }


def _counter(description: str, priority: int, kind: int = _COUNTER, metric: str = "counter",
             value: str = "integer", nick: str = "", units: str = "none") -> Dict[str, Any]:
    return {"type": kind, "metric_type": metric, "value_type": value, "description": description,
            "nick": nick, "priority": priority, "units": units}
