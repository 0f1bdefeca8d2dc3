"""The daemon's counters: what is dumped is what the schema describes."""

from mirror_mgr.replay.journal.replay import History
from mirror_mgr.worker import perf
from mirror_mgr.worker.status import SyncHistory


def test_sums_and_images():
    one, two = SyncHistory(), SyncHistory()
    one.add(100, 2.0)
    one.add(50, 4.0)
    images = perf.Images([("p/one", one), ("p/ns/two", two)], [
        ("p/three", History(entries=4, bytes=9, windows=2, seconds=0.5)),
        ("p/four", History(entries=1, bytes=1))])
    found = perf.dump({"rss_bytes": 7}, images)
    assert found["mirror_mgr"] == {"rss_bytes": 7}
    assert found["rbd_mirror_snapshot"] == found["rbd_mirror_snapshot_image_p/one"] == {
        "snapshots": 2, "snapshots_time": {"avgcount": 2, "sum": 6.0, "avgtime": 3.0},
        "replay_bytes": 150}
    assert found["rbd_mirror_snapshot_image_p/ns/two"]["snapshots_time"]["avgtime"] == 0.0
    assert found["rbd_mirror"] == {
        "replay": 5, "replay_bytes": 10,
        "replay_latency": {"avgcount": 2, "sum": 0.5, "avgtime": 0.25}}
    assert found["rbd_mirror_image_p/three"]["replay"] == 4
    assert found["rbd_mirror_image_p/four"]["replay_latency"]["avgtime"] == 0.0
    schema = perf.schema({"rss_bytes": 7}, images, 5, 3)
    assert {name: set(values) for name, values in schema.items()} == {
        name: set(values) for name, values in found.items()}
    assert schema["rbd_mirror_snapshot"]["snapshots"]["priority"] == 5
    assert schema["rbd_mirror"]["replay"]["priority"] == 5
    assert schema["rbd_mirror_image_p/three"]["replay"]["priority"] == 3
    assert schema["rbd_mirror_snapshot_image_p/one"]["snapshots"]["priority"] == 3
