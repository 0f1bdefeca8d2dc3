"""Counters under the names that the C++ daemon has for them (`perf dump`, `perf schema`).  Pure."""

from typing import Any, Dict, Iterable, Mapping, Tuple

from .status import SyncHistory

_SUM = "rbd_mirror_snapshot"
_OF_IMAGE = "rbd_mirror_snapshot_image_"
_PROCESS = "mirror_mgr"
# Kinds of counters: PERFCOUNTER_U64 | COUNTER, PERFCOUNTER_TIME | LONGRUNAVG, PERFCOUNTER_U64.
_COUNTER, _AVERAGE_TIME, _GAUGE = 10, 5, 2

Images = Iterable[Tuple[str, SyncHistory]]


def dump(process: Mapping[str, int], images: Images) -> Dict[str, Any]:
    """Given counters of the process and the syncs of each image by its spec, return all loggers."""
    known = list(images)
    loggers: Dict[str, Any] = {
        _PROCESS: dict(process), _SUM: _values([history for _, history in known])}
    loggers.update((_OF_IMAGE + spec, _values([history])) for spec, history in known)
    return loggers


def schema(process: Mapping[str, int], images: Images, priority: int,
           image_priority: int) -> Dict[str, Any]:
    """Given the same and the priorities of counters, return what `dump` consists of."""
    loggers: Dict[str, Any] = {
        _PROCESS: {name: _counter(name.replace("_", " "), priority, _GAUGE, "gauge")
                   for name in process},
        _SUM: _schema(priority)}
    loggers.update((_OF_IMAGE + spec, _schema(image_priority)) for spec, _ in images)
    return loggers


def _values(histories: Iterable[SyncHistory]) -> Dict[str, Any]:
    histories = list(histories)
    count = sum(history.snapshots for history in histories)
    seconds = sum(history.total_seconds for history in histories)
    return {
        "snapshots": count,
        "snapshots_time": {"avgcount": count, "sum": seconds,
                           "avgtime": seconds / count if count else 0.0},
        "replay_bytes": sum(history.total_bytes for history in histories),
    }


def _schema(priority: int) -> Dict[str, Any]:
    return {
        "snapshots": _counter("Snapshots", priority, nick="r"),
        "snapshots_time": _counter("Snapshots time", priority, _AVERAGE_TIME, "gauge",
                                   "real-integer-pair", "rl"),
        "replay_bytes": _counter("Replayed data", priority, nick="rb", units="bytes"),
    }


def _counter(description: str, priority: int, kind: int = _COUNTER, metric: str = "counter",
             value: str = "integer", nick: str = "", units: str = "none") -> Dict[str, Any]:
    return {"type": kind, "metric_type": metric, "value_type": value, "description": description,
            "nick": nick, "priority": priority, "units": units}
