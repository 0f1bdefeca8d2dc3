"""How old the copy of a journal-mode image is said to be."""

import time
from types import SimpleNamespace

import pytest

from mirror_mgr.replay.journal.replay import Report
from mirror_mgr.worker.journal_image import JournalImageReplayer


@pytest.mark.parametrize("current, seconds_ago, is_current", [
    (True, 1.0, True), (False, 1.0, False),
    # A primary that does not answer may have gone on.
    (True, 60.0, False)])
def test_it_has_all_as_long_as_the_primary_is_seen(
        current: bool, seconds_ago: float, is_current: bool) -> None:
    replayer = object.__new__(JournalImageReplayer)
    replayer._looked = time.monotonic() - seconds_ago
    replayer._replay = SimpleNamespace(report=Report(current=current))  # type: ignore[assignment]
    assert replayer.is_current == is_current
    replayer._replay = None
    assert not replayer.is_current
