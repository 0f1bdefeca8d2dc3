import json
from pathlib import Path

import pytest

from mirror_mgr import states
from mirror_mgr.replay.journal.replay import Report
from mirror_mgr.wire.constants import StatusState
from mirror_mgr.wire.journal import JournalHeader, ObjectPosition
from mirror_mgr.worker import status
from mirror_mgr.worker.status import Meter, SyncHistory, Syncing

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
    found = status.replaying(SyncHistory(), 9 * SECOND, 8 * SECOND, False,
                             Syncing(7, 9 * SECOND, 12.7, 100, 800, 50.018, 14.4))
    assert (found.standing, found.reason) == (states.SYNCING, "")
    assert {key: value for key, value in details(found).items() if key not in (
        "remote_snapshot_timestamp", "bytes_per_snapshot")} == {
            "replay_state": "syncing", "syncing_percent": 12, "syncing_snapshot_timestamp": 9,
            "local_snapshot_timestamp": 8, "syncing_bytes": 100, "syncing_bytes_total": 800,
            "bytes_per_second": 50.02, "seconds_until_synced": 14}


def test_syncing_has_begun():
    found = details(status.replaying(SyncHistory(), 9 * SECOND, None, False,
                                     Syncing(7, 9 * SECOND)))
    assert (found["replay_state"], found["syncing_percent"]) == ("syncing", 0)
    assert not {"syncing_bytes_total", "seconds_until_synced"} & set(found)


@pytest.mark.parametrize("local_ns, note, standing", [
    (None, "", states.WAITING),
    (8, "", states.SYNCING),
    (9, "", states.UP_TO_DATE),
    (9, "locked by x", states.WAITING),
])
def test_how_an_image_stands_that_is_not_being_copied(local_ns, note, standing):
    found = status.replaying(SyncHistory(), 9, local_ns, False, note=note)
    assert found.standing == standing
    assert bool(found.reason) == (standing == states.WAITING)


class TestMeter:
    def test_nothing_is_known_at_first(self):
        assert Meter(7, 9, 100.0).measure(101.0, 0, 0, 0) == Syncing(7, 9, 100.0)
        assert Meter(7, 9, 100.0).measure(100.0, 0, 10, 0) == Syncing(7, 9)

    def test_the_rest_is_taken_to_be_like_what_is_done(self):
        found = Meter(7, 9, 100.0).measure(104.0, 2, 10, 80)
        assert found == Syncing(7, 9, 20.0, 80, 400, 20.0, 16.0)

    def test_its_pace_is_that_of_the_last_seconds(self):
        meter = Meter(7, 9, 0.0)
        for second in range(1, 21):
            meter.measure(float(second), second, 100, 0)
        for second in range(21, 32):
            found = meter.measure(float(second), 20 + 2 * (second - 20), 100, 5 * (second - 20))
        assert (found.bytes_per_second, found.seconds_left) == (5.0, 29.0)


def test_the_json_is_compact_and_sorted_as_the_daemon_s():
    text = status.replaying(SyncHistory(), SECOND, None, False).description
    assert text == ('replaying, {"bytes_per_second":0.0,"bytes_per_snapshot":0.0,'
                    '"remote_snapshot_timestamp":1,"replay_state":"idle"}')


def test_what_a_daemon_left_and_what_delays_us_is_told():
    told = status.replaying(SyncHistory(), SECOND, SECOND, True)
    assert told.standing == states.UP_TO_DATE and "resync" in told.reason
    found = details(status.replaying(SyncHistory(), SECOND, None, True, note="locked by x"))
    assert "resync" in found["unverified"] and found["note"] == "locked by x"


@pytest.mark.parametrize("found, state, text, standing", [
    (status.primary(), StatusState.STOPPED, "local image is primary", states.PRIMARY),
    (status.primary(status.PRIMARY_AT_BOTH), StatusState.STOPPED, "local image is primary",
     states.SPLIT_BRAIN),
    (status.stopped("force promoted"), StatusState.STOPPED, "force promoted", states.STOPPED),
    (status.demoted("remote image demoted"), StatusState.UNKNOWN, "remote image demoted",
     states.DEMOTED),
    (status.resyncing(), StatusState.STOPPED, "resync requested", states.WAITING),
    (status.disconnected("resync"), StatusState.ERROR, "disconnected", states.ERROR),
    (status.failed("no space"), StatusState.ERROR, "no space", states.ERROR),
    (status.failed("split-brain", True), StatusState.ERROR, "split-brain", states.SPLIT_BRAIN),
])
def test_what_the_daemon_says_and_how_that_stands(found, state, text, standing):
    assert (found.state, found.description, found.standing) == (state, text, standing)


def test_starting():
    assert (status.starting().state, status.starting().description) == (
        StatusState.STARTING_REPLAY, "starting replay")


def test_a_sync_in_no_time_has_no_rate():
    history = SyncHistory()
    history.add(100, 0.0)
    assert history.bytes_per_second == 0.0


def test_a_journal_that_is_followed(recorded_journal) -> None:
    report = Report(ObjectPosition(0, 5, 0))
    now = status.replaying_journal(recorded_journal, report, (2.0, 100.456), 7_250_000_000, False)
    assert now.description == (
        'replaying, {"bytes_per_second":100.46,"copied_timestamp":7.25,"entries_behind_primary":3,'
        '"entries_per_second":2.0,"non_primary_position":{"entry_tid":0,"object_number":0,'
        '"tag_tid":5},"primary_position":{"entry_tid":3,"object_number":3,"tag_tid":5},'
        '"seconds_until_synced":1}')
    assert (now.state, now.standing) == (StatusState.REPLAYING, states.SYNCING)
    assert now.reason == "catching up, 3 entries behind"
    idle = status.replaying_journal(recorded_journal, Report(), (0.0, 0.0), None, True)
    assert idle.details["non_primary_position"] == {} and idle.standing == states.UP_TO_DATE


@pytest.fixture
def recorded_journal() -> JournalHeader:
    """The primary's journal when all was replayed."""
    path = Path(__file__).parents[1] / "wire" / "recorded" / "journals.json"
    omap = json.loads(path.read_text())["replayed"]["omap"]
    return JournalHeader.from_omap({key: bytes.fromhex(value) for key, value in omap.items()})


def test_a_name_adds_no_line_to_a_description():
    assert status.failed("image 'a\nb'").description == "image 'a\\nb'"
