"""The daemon's counters: what is dumped is what the schema describes."""

from typing import Any, Dict, List, Tuple

from mirror_mgr.replay.journal.replay import History
from mirror_mgr.worker import perf
from mirror_mgr.worker.perf import Images, Name, Synced
from mirror_mgr.worker.status import SyncHistory

PROCESS = {"rss_bytes": 7}
LIMIT = 5  # exporter_prio_limit


def images() -> Images:
    one, two = SyncHistory(), SyncHistory()
    one.add(100, 2.0)
    one.add(50, 4.0)
    return Images(
        [(Name("p", "", "one"), Synced(one, 9_500_000_000, 8_000_000_000)),
         (Name("p", "ns", "two"), Synced(two))],
        [(Name("p", "", "three"), History(entries=4, bytes=9, windows=2, seconds=0.5)),
         (Name("p", "", "four"), History(entries=1, bytes=1))])


def test_sums_and_images() -> None:
    found = perf.dump(PROCESS, images())
    assert found["mirror_mgr"] == PROCESS
    synced = found["rbd_mirror_snapshot_image_p/one"]
    assert synced == {
        "snapshots": 2, "snapshots_time": {"avgcount": 2, "sum": 6.0, "avgtime": 3.0},
        "replay_bytes": 150}
    assert found["rbd_mirror_snapshot"] == {
        **synced, "sync_time": synced["snapshots_time"], "sync_bytes": 150}
    assert found["rbd_mirror_snapshot_image_p/ns/two"]["snapshots_time"]["avgtime"] == 0.0
    latency = {"avgcount": 2, "sum": 0.5, "avgtime": 0.25}
    assert found["rbd_mirror"] == {"replay": 5, "replay_bytes": 10, "replay_latency": latency}
    assert found["rbd_mirror_journal"] == {
        "entries": 5, "replay_bytes": 10, "replay_latency": latency}
    assert found["rbd_mirror_image_p/three"]["replay"] == 4
    assert found["rbd_mirror_image_p/four"]["replay_latency"]["avgtime"] == 0.0
    schema = perf.schema(PROCESS, images(), 5, 3)
    assert {name: set(values) for name, values in schema.items()} == {
        name: set(values) for name, values in found.items()}
    assert schema["rbd_mirror_snapshot"]["snapshots"]["priority"] == 5
    assert schema["rbd_mirror"]["replay"]["priority"] == 5
    assert schema["rbd_mirror_image_p/three"]["replay"]["priority"] == 3
    assert schema["rbd_mirror_snapshot_image_p/one"]["snapshots"]["priority"] == 3


def test_loggers_with_labels() -> None:
    found = perf.labelled_dump(PROCESS, images())
    assert found["mirror_mgr"] == [{"labels": {}, "counters": PROCESS}]
    [whole] = found["rbd_mirror_snapshot"]
    assert whole == {"labels": {}, "counters": {
        "snapshots": 2, "sync_time": {"avgcount": 2, "sum": 6.0, "avgtime": 3.0},
        "sync_bytes": 150}}
    one, two = found["rbd_mirror_snapshot_image"]
    assert one == {"labels": {"pool": "p", "namespace": "", "image": "one"}, "counters": {
        **whole["counters"], "remote_timestamp": 9.5, "local_timestamp": 8.0,
        "last_sync_time": 4.0, "last_sync_bytes": 50}}
    assert two["labels"] == {"pool": "p", "namespace": "ns", "image": "two"}
    assert found["rbd_mirror_journal"][0]["counters"]["entries"] == 5
    assert [entry["counters"]["entries"] for entry in found["rbd_mirror_journal_image"]] == [4, 1]


def test_there_are_no_empty_loggers() -> None:
    assert set(perf.labelled_dump(PROCESS, Images())) == {
        "mirror_mgr", "rbd_mirror_journal", "rbd_mirror_snapshot"}


def exported(dumped: Dict[str, Any], schema: Dict[str, Any]) -> List[Tuple[str, Dict, Any]]:
    """Name, labels and value of what ceph-exporter makes metrics of.

    As it reads both answers (exporter/DaemonMetricCollector.cc, releases 18 to 20): loggers by
    name, the entries of one side by side, and of them what has the priority.
    """
    found = []
    for logger, described in schema.items():
        for about, entry in zip(described, dumped[logger]):
            for counter, info in about["counters"].items():
                if info["priority"] < LIMIT:
                    continue
                assert {"type", "metric_type", "description"} <= set(info)
                value = entry["counters"][counter]
                name = f"ceph_{logger}_{counter}"
                if info["type"] & 4:  # PERFCOUNTER_LONGRUNAVG
                    assert isinstance(value["avgcount"], int)
                    found += [(f"{name}_count", about["labels"], value["avgcount"]),
                              (f"{name}_sum", about["labels"], value["sum"])]
                else:
                    found.append((name, about["labels"], value))
    return found


def test_an_exporter_reads_them() -> None:
    dumped = perf.labelled_dump(PROCESS, images())
    found = exported(dumped, perf.labelled_schema(PROCESS, images(), 5, 5))
    assert all(isinstance(value, (int, float)) for _, _, value in found)
    labels = {"pool": "p", "namespace": "ns", "image": "two"}
    assert ("ceph_rbd_mirror_snapshot_image_remote_timestamp", labels, 0.0) in found
    assert ("ceph_rbd_mirror_snapshot_sync_time_sum", {}, 6.0) in found
    assert ("ceph_rbd_mirror_journal_replay_latency_count", {}, 2) in found
    of_whole = exported(dumped, perf.labelled_schema(PROCESS, images(), 5, 3))
    assert of_whole and all(not labels for _, labels, _ in of_whole)


def test_kinds_are_those_of_the_daemon() -> None:
    schema = perf.labelled_schema(PROCESS, images(), 5, 5)
    counters = schema["rbd_mirror_snapshot_image"][0]["counters"]
    assert {name: (info["type"], info["metric_type"], info["value_type"], info["units"])
            for name, info in counters.items()} == {
        "snapshots": (10, "counter", "integer", "none"),
        "sync_time": (5, "gauge", "real-integer-pair", "none"),
        "sync_bytes": (10, "counter", "integer", "bytes"),
        "remote_timestamp": (1, "gauge", "real", "none"),
        "local_timestamp": (1, "gauge", "real", "none"),
        "last_sync_time": (1, "gauge", "real", "none"),
        "last_sync_bytes": (2, "gauge", "integer", "bytes")}
