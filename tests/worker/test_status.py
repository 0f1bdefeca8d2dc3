import json

import pytest

from mirror_mgr.wire.constants import StatusState
from mirror_mgr.worker import status
from mirror_mgr.worker.status import ImageStatus, SyncHistory

SECOND = 10**9


def details(found):
    """What follows the text, as `rbd mirror image status` and the dashboard read it."""
    text, _, rest = found.description.partition(", ")
    assert text == "replaying"
    return json.loads(rest)


def test_idle_before_anything_was_copied():
    found = status.replaying(SyncHistory(), 1600000000 * SECOND + 5, None, False)
    assert found.state == StatusState.REPLAYING
    assert details(found) == {
        "bytes_per_second": 0.0, "bytes_per_snapshot": 0.0,
        "remote_snapshot_timestamp": 1600000000, "replay_state": "idle"}


def test_idle_after_two_syncs():
    history = SyncHistory()
    history.add(100, 2.0)
    history.add(50, 3.4)
    found = details(status.replaying(history, 9 * SECOND, 8 * SECOND, False))
    assert found == {
        "bytes_per_second": 14.71, "bytes_per_snapshot": 75.0, "last_snapshot_bytes": 50,
        "last_snapshot_sync_seconds": 3, "local_snapshot_timestamp": 8,
        "remote_snapshot_timestamp": 9, "replay_state": "idle"}
    assert (history.snapshots, history.total_bytes) == (2, 150)


def test_syncing():
    found = details(status.replaying(SyncHistory(), 9 * SECOND, 8 * SECOND, False, 12.7,
                                     9 * SECOND))
    assert (found["replay_state"], found["syncing_percent"]) == ("syncing", 12)
    assert found["syncing_snapshot_timestamp"] == 9


def test_syncing_has_begun():
    found = details(status.replaying(SyncHistory(), 9 * SECOND, None, False, 0.0))
    assert (found["replay_state"], found["syncing_percent"]) == ("syncing", 0)


def test_the_json_is_compact_and_sorted_as_the_daemon_s():
    text = status.replaying(SyncHistory(), SECOND, None, False).description
    assert text == ('replaying, {"bytes_per_second":0.0,"bytes_per_snapshot":0.0,'
                    '"remote_snapshot_timestamp":1,"replay_state":"idle"}')


def test_what_a_daemon_left_and_what_delays_us_is_told():
    found = details(status.replaying(SyncHistory(), SECOND, None, True, note="locked by x"))
    assert "resync" in found["unverified"] and found["note"] == "locked by x"


@pytest.mark.parametrize("reason, state", [
    ("local image is primary", StatusState.STOPPED),
    ("force promoted", StatusState.STOPPED),
    ("remote image demoted", StatusState.UNKNOWN),
    ("remote image is not primary", StatusState.UNKNOWN),
])
def test_stopped(reason, state):
    assert status.stopped(reason) == ImageStatus(state, reason)
    assert status.stopped(reason).description == reason


def test_failed():
    assert status.failed("split-brain", True) == ImageStatus(
        StatusState.ERROR, "split-brain", split_brain=True)
    assert not status.failed("no space").split_brain


def test_starting():
    assert (status.starting().state, status.starting().description) == (
        StatusState.STARTING_REPLAY, "starting replay")


def test_a_sync_in_no_time_has_no_rate():
    history = SyncHistory()
    history.add(100, 0.0)
    assert history.bytes_per_second == 0.0
