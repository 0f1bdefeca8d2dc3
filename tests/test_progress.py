"""What the manager's progress module is told of syncs."""

from typing import Any, List, Optional

import pytest

from mirror_mgr import states
from mirror_mgr.progress import AT_ONCE, LONG_SECONDS, SILENT_SECONDS, Syncs, event_id
from mirror_mgr.worker.protocol import ImageReport, SyncReport

EVENT = event_id("g", 7)
COMPLETED = [("update", EVENT, "Mirroring of image p/x", 1.0, [], True), ("complete", EVENT)]


def syncing(percent: float = 10.0, snapshot: int = 7, global_id: str = "g") -> ImageReport:
    return ImageReport("p/x", global_id, states.SYNCING,
                       sync=SyncReport(snapshot, percent, 5 << 20, 50 << 20, 1 << 20))


def other(state: str, reason: str = "") -> ImageReport:
    return ImageReport("p/x", "g", state, reason)


def shown() -> Syncs:
    syncs = Syncs()
    assert syncs.look([syncing()], 100.0) == []
    assert syncs.look([syncing()], 100.0 + LONG_SECONDS) == [
        ("update", EVENT, "Mirroring of image p/x: 5.0 MiB of about 50 MiB copied, 1.0 MiB/s",
         0.1, [], True)]
    return syncs


def test_a_long_sync_is_shown_as_it_goes_on() -> None:
    syncs = shown()
    assert syncs.look([syncing()], 106.0) == []
    [(method, event, _, fraction, *_)] = syncs.look([syncing(50.0)], 107.0)
    assert (method, event, fraction) == ("update", EVENT, 0.5)


def test_a_short_sync_is_not() -> None:
    syncs = Syncs()
    assert syncs.look([syncing()], 100.0) == syncs.look([other(states.UP_TO_DATE)], 104.0) == []
    assert syncs.look([syncing()], 106.0) == []


@pytest.mark.parametrize("report, calls", [
    (other(states.UP_TO_DATE), COMPLETED),
    (other(states.DEMOTED), COMPLETED),
    (other(states.ERROR, "no space"), [("fail", EVENT, "no space")]),
    (other(states.SPLIT_BRAIN, "gone"), [("fail", EVENT, "gone")]),
    (other(states.PRIMARY), [("fail", EVENT, "primary")]),
])
def test_it_ends(report: ImageReport, calls: Any) -> None:
    syncs = shown()
    assert syncs.look([report], 106.0) == calls
    assert syncs.look([report], 107.0) == []


def test_the_next_snapshot_is_an_event_of_its_own() -> None:
    syncs = shown()
    assert syncs.look([syncing(1.0, 8)], 106.0) == COMPLETED
    [(method, event, *_)] = syncs.look([syncing(2.0, 8)], 106.0 + LONG_SECONDS)
    assert (method, event) == ("update", event_id("g", 8))


@pytest.mark.parametrize("report, reason", [
    (None, "nobody goes on with it"), (other(states.WAITING, "locked by x"), "locked by x")])
def test_who_comes_back_goes_on(report: Optional[ImageReport], reason: str) -> None:
    reports = [report] if report else []
    syncs = shown()
    late = 105.0 + SILENT_SECONDS
    assert syncs.look(reports, late - 1) == []
    assert syncs.look([syncing(20.0)], late - 1)[0][:2] == ("update", EVENT)
    assert syncs.look(reports, late + SILENT_SECONDS - 2) == []
    assert syncs.look(reports, late + SILENT_SECONDS) == [("fail", EVENT, reason)]


def test_no_more_than_fit_on_a_screen() -> None:
    syncs = Syncs()
    many = [syncing(global_id=str(number)) for number in range(AT_ONCE + 5)]

    def started(reports: List[ImageReport], now: float) -> int:
        return sum(call[0] == "update" for call in syncs.look(reports, now))

    assert (started(many, 100.0), started(many, 110.0), started(many, 111.0)) == (0, AT_ONCE, 0)
    done = [ImageReport("p/x", "0", states.UP_TO_DATE)] + many[1:]
    assert started(done, 112.0) == 2  # of which one is the last of the one that is done
