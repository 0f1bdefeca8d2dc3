"""How old a journal-mode copy is, also where nothing comes or the primary does not answer."""

from typing import Optional

import pytest

from mirror_mgr.replay.journal.replay import Report
from mirror_mgr.worker.journal_image import copied_time

S = 10**9


@pytest.mark.parametrize(("report", "known", "now", "copied", "fresh"), [
    (Report(), None, 100, None, False),
    (Report(time_ns=97 * S), None, 100, 97, True),
    (Report(time_ns=90 * S), 50, 100, 90, False),
    (Report(time_ns=9 * S), 50, 100, 50, False),
    (Report(time_ns=10**6 * S), 50, 100, 100, True),
    (Report(time_ns=9 * S, current=True, looked_ns=99 * S), None, 100, 99, True),
    (Report(time_ns=9 * S, current=True, looked_ns=99 * S), 95, 100, 95, True),
    # The reader rests, or waits for an answer.
    (Report(time_ns=9 * S, current=True, looked_ns=90 * S), 85, 100, 85, True),
    (Report(time_ns=9 * S, current=True, looked_ns=90 * S), 85, 500, 85, False),
    (Report(time_ns=9 * S, current=True, looked_ns=90 * S), 70, 500, 90, False)])
def test_the_time_of_the_copy(report: Report, known: Optional[int], now: int,
                              copied: Optional[int], fresh: bool) -> None:
    found = copied_time(report, None if known is None else known * S, now * S)
    assert found == (None if copied is None else copied * S, fresh)
