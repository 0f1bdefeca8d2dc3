"""What the benchmark of the journal mode makes of what it saw."""

from typing import Callable, List

import pytest

pytest.importorskip("ceph_argparse", reason="needs ceph-common")

from qa.benchjournal import Followed, distribution  # noqa: E402


class Copy:
    """A copy that has all up to a number."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def read(self) -> int:
        return self.number


class Primary:
    """Acknowledges what is written when told to."""

    def __init__(self) -> None:
        self.numbers: List[int] = []
        self._waiting: List[Callable[[], None]] = []

    def mark(self, number: int, acknowledged: Callable[[], None]) -> None:
        self.numbers.append(number)
        self._waiting.append(acknowledged)

    def acknowledge(self) -> None:
        self._waiting.pop(0)()


def test_a_lag_counts_from_the_acknowledgement_on() -> None:
    copy, primary = Copy(2), Primary()
    followed = Followed(copy)  # type: ignore[arg-type]
    assert followed.complete
    for _ in range(3):
        followed.stamp(primary)  # type: ignore[arg-type]
    assert primary.numbers == [3, 4, 5] and not followed.complete
    primary.acknowledge()
    primary.acknowledge()
    followed.look()
    assert followed.lags == []
    copy.number = 5
    followed.look()
    first, second, unacknowledged = followed.lags
    assert first >= second >= 0 and unacknowledged == 0
    assert followed.complete


def test_what_is_seen_once_counts_once() -> None:
    copy, primary = Copy(), Primary()
    followed = Followed(copy)  # type: ignore[arg-type]
    followed.stamp(primary)  # type: ignore[arg-type]
    primary.acknowledge()
    copy.number = 1
    followed.look()
    copy.number = 0  # what is re-read while a replay goes over old ground again
    followed.look()
    copy.number = 1
    followed.look()
    assert len(followed.lags) == 1


def test_distribution() -> None:
    found = distribution([number / 100 for number in reversed(range(200))])
    assert found == {"median": 0.995, "p99": 1.98, "most": 1.99}
    assert distribution([0.5]) == {"median": 0.5, "p99": 0.5, "most": 0.5}
