"""Counters under the names that the C++ daemon has for them.  Pure.

Release 16 has a logger for each image with the image's name in its own (`perf dump`).  From release
18 on such a logger has labels (`counter dump`), and other counters.  Both are given, everywhere.
"""

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Tuple

from ..replay.journal.replay import History
from .status import SyncHistory

_PROCESS = "mirror_mgr"

Values = Dict[str, Any]
Loggers = Dict[str, Values]
Labelled = Dict[str, List[Dict[str, Values]]]


class Name(NamedTuple):
    """Of an image here.  `namespace` is empty for the default one."""

    pool: str
    namespace: str
    image: str

    @property
    def spec(self) -> str:
        return "/".join(filter(None, self))

    @property
    def labels(self) -> Dict[str, str]:
        return self._asdict()


@dataclass(frozen=True)
class Synced:
    """What was synced by snapshots, of one image or of several.

    `remote_ns` and `local_ns` are when the primary took its newest mirror snapshot and that which
    the copy has whole, since the epoch; 0 before there is one.
    """

    history: SyncHistory
    remote_ns: int = 0
    local_ns: int = 0


@dataclass
class Images:
    """What was done to each image."""

    snapshot_mode: List[Tuple[Name, Synced]] = field(default_factory=list)
    journal_mode: List[Tuple[Name, History]] = field(default_factory=list)


class _Kind(NamedTuple):
    """What a schema says of a counter's values; `number` are the bits of ``perfcounter_type_d``."""

    number: int
    metric: str
    value: str


_COUNTER = _Kind(10, "counter", "integer")  # U64 | COUNTER
_AVERAGE_TIME = _Kind(5, "gauge", "real-integer-pair")  # TIME | LONGRUNAVG
_GAUGE = _Kind(2, "gauge", "integer")  # U64
_TIME = _Kind(1, "gauge", "real")  # TIME


class _Counter(NamedTuple):
    """`value`, given what its logger is of, is what the counter stands at."""

    name: str
    description: str
    kind: _Kind
    value: Callable[[Any], Any]
    nick: str = ""
    units: str = "none"

    def schema(self, priority: int) -> Values:
        return {"type": self.kind.number, "metric_type": self.kind.metric,
                "value_type": self.kind.value, "description": self.description,
                "nick": self.nick, "priority": priority, "units": self.units}


_Counters = Tuple[_Counter, ...]
# Shows counters, given what they are of, and whether that is an image.
_Show = Callable[[_Counters, Any, bool], Values]


def _sync_time(synced: Synced) -> Values:
    return _average(synced.history.snapshots, synced.history.total_seconds)


def _latency(history: History) -> Values:
    """That of windows: what is written at once has one."""
    return _average(history.windows, history.seconds)


def _average(count: int, seconds: float) -> Values:
    return {"avgcount": count, "sum": seconds, "avgtime": seconds / count if count else 0.0}


# tools/rbd_mirror/image_replayer/{snapshot,journal}/Replayer.cc and main.cc, releases 16 and 18
_SNAPSHOTS_16: _Counters = (
    _Counter("snapshots", "Snapshots", _COUNTER, lambda s: s.history.snapshots, "r"),
    _Counter("snapshots_time", "Snapshots time", _AVERAGE_TIME, _sync_time, "rl"),
    _Counter("replay_bytes", "Replayed data", _COUNTER, lambda s: s.history.total_bytes, "rb",
             "bytes"))
_SNAPSHOTS: _Counters = (
    _Counter("snapshots", "Number of snapshots synced", _COUNTER, lambda s: s.history.snapshots),
    _Counter("sync_time", "Average sync time", _AVERAGE_TIME, _sync_time),
    _Counter("sync_bytes", "Total bytes synced", _COUNTER, lambda s: s.history.total_bytes,
             units="bytes"))
_SNAPSHOTS_OF_IMAGE: _Counters = (
    *_SNAPSHOTS,
    _Counter("remote_timestamp", "Timestamp of the remote snapshot", _TIME,
             lambda s: s.remote_ns / 1e9),
    _Counter("local_timestamp", "Timestamp of the local snapshot", _TIME,
             lambda s: s.local_ns / 1e9),
    _Counter("last_sync_time", "Time taken to sync the last snapshot", _TIME,
             lambda s: s.history.last_seconds),
    _Counter("last_sync_bytes", "Bytes synced for the last snapshot", _GAUGE,
             lambda s: s.history.last_bytes, units="bytes"))
_JOURNAL_16: _Counters = (
    _Counter("replay", "Replays", _COUNTER, lambda h: h.entries, "r"),
    _Counter("replay_bytes", "Replayed data", _COUNTER, lambda h: h.bytes, "rb", "bytes"),
    _Counter("replay_latency", "Replay latency", _AVERAGE_TIME, _latency, "rl"))
_JOURNAL: _Counters = (
    _Counter("entries", "Number of entries replayed", _COUNTER, lambda h: h.entries),
    _Counter("replay_bytes", "Total bytes replayed", _COUNTER, lambda h: h.bytes, units="bytes"),
    _Counter("replay_latency", "Replay latency", _AVERAGE_TIME, _latency))



def dump(process: Mapping[str, int], images: Images) -> Loggers:
    """Given counters of the process, return all loggers without labels, with those of release 16.
    """
    return _loggers(process, images, _values)


def schema(process: Mapping[str, int], images: Images, priority: int,
           image_priority: int) -> Loggers:
    """Given the same and the priorities of counters, return what `dump` consists of."""
    return _loggers(process, images, _schemas(priority, image_priority))


def labelled_dump(process: Mapping[str, int], images: Images) -> Labelled:
    """Return the loggers of release 18, each with its labels."""
    return _labelled(process, images, _values)


def labelled_schema(process: Mapping[str, int], images: Images, priority: int,
                    image_priority: int) -> Labelled:
    """Return what `labelled_dump` consists of, in the same order: readers go by that."""
    return _labelled(process, images, _schemas(priority, image_priority))


def _values(counters: _Counters, what: Any, of_image: bool) -> Values:
    return {counter.name: counter.value(what) for counter in counters}


def _schemas(priority: int, image_priority: int) -> _Show:
    return lambda counters, what, of_image: {
        counter.name: counter.schema(image_priority if of_image else priority)
        for counter in counters}


def _loggers(process: Mapping[str, int], images: Images, show: _Show) -> Loggers:
    synced, replayed = _all_synced(images), _all_replayed(images)
    found = {
        _PROCESS: show(_of_process(process), process, False),
        "rbd_mirror": show(_JOURNAL_16, replayed, False),
        "rbd_mirror_journal": show(_JOURNAL, replayed, False),
        "rbd_mirror_snapshot": {**show(_SNAPSHOTS, synced, False),
                                **show(_SNAPSHOTS_16, synced, False)}}
    found.update((f"rbd_mirror_image_{name.spec}", show(_JOURNAL_16, history, True))
                 for name, history in images.journal_mode)
    found.update((f"rbd_mirror_snapshot_image_{name.spec}", show(_SNAPSHOTS_16, one, True))
                 for name, one in images.snapshot_mode)
    return found


def _labelled(process: Mapping[str, int], images: Images, show: _Show) -> Labelled:
    def whole(counters: _Counters, what: Any) -> List[Dict[str, Values]]:
        return [{"labels": {}, "counters": show(counters, what, False)}]

    def of_images(counters: _Counters, all_: Iterable[Tuple[Name, Any]]) -> List[Dict[str, Values]]:
        return [{"labels": name.labels, "counters": show(counters, one, True)}
                for name, one in all_]

    found = {
        _PROCESS: whole(_of_process(process), process),
        "rbd_mirror_journal": whole(_JOURNAL, _all_replayed(images)),
        "rbd_mirror_journal_image": of_images(_JOURNAL, images.journal_mode),
        "rbd_mirror_snapshot": whole(_SNAPSHOTS, _all_synced(images)),
        "rbd_mirror_snapshot_image": of_images(_SNAPSHOTS_OF_IMAGE, images.snapshot_mode)}
    return {logger: entries for logger, entries in found.items() if entries}


def _of_process(process: Mapping[str, int]) -> _Counters:
    return tuple(_Counter(name, name.replace("_", " "), _GAUGE, itemgetter(name))
                 for name in process)


def _all_synced(images: Images) -> Synced:
    histories = [one.history for _, one in images.snapshot_mode]
    return Synced(SyncHistory(
        sum(history.snapshots for history in histories),
        sum(history.total_bytes for history in histories),
        sum(history.total_seconds for history in histories)))


def _all_replayed(images: Images) -> History:
    histories = [history for _, history in images.journal_mode]
    return History(
        sum(history.entries for history in histories), sum(history.bytes for history in histories),
        sum(history.windows for history in histories),
        sum(history.seconds for history in histories))
