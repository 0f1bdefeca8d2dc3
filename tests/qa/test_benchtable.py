"""The table of a benchmark says what is reached, and of whom."""

from typing import Any, Dict, List

from qa.benchtable import schedule_table, table

MIB = 1 << 20


def turn(rate: float, net_op: float, out_bytes: float, peak: int) -> Dict[str, Dict[str, Any]]:
    times = {"cpu_seconds": 1.0, "rss": peak * MIB, "peak_rss": peak * MIB, "seconds": 1.0}
    clocks = {
        "seconds_taken_to_copied": 1.0, "seconds_taken_to_unlinked": 1.0, "command_seconds": 1.0
    }
    site = {
        "raw_op": 1.0, "command_op": 1.0, "net_op": net_op, "sync_op": 1.0,
        "idle_op_per_second": 0.0,
    }
    return {
        "initial": {**times, "mib_per_second": rate, "seconds_until_begun": 1.0},
        "empty": {**times, **clocks, "a": site, "b": site},
        "delta": {
            **times, **clocks, "changed_bytes": 1000, "raw_out_bytes": out_bytes,
            "net_out_bytes": out_bytes,
        },
        "small": {**times, "seconds_after_snapshots": 1.0},
    }


def verdicts(daemon: List[Any], worker: List[Any]) -> List[str]:
    lines = table(daemon, worker).splitlines()
    return [line.rpartition(": ")[2] for line in lines if line.endswith(("reached", "MISSED"))]


def test_aims_are_those_of_the_worker() -> None:
    daemon = [turn(rate=100, net_op=40, out_bytes=9000, peak=80)]
    assert verdicts(daemon, [turn(150, 10, 1040, 79)]) == ["reached"] * 4
    assert verdicts(daemon, [turn(149, 11, 1060, 80)]) == ["MISSED"] * 4


def test_the_rate_is_the_median_and_the_peak_the_highest_of_all_turns() -> None:
    daemon = [turn(100, 40, 1000, 80)]
    worker = [turn(150, 10, 1000, 10), turn(160, 10, 1000, 90), turn(10, 10, 1000, 10)]
    assert verdicts(daemon, worker) == ["reached", "reached", "reached", "MISSED"]


def test_nothing_is_divided_by_nothing() -> None:
    daemon = [turn(100, 0, 1000, 80)]
    assert "empty sync, net operations, both sites" in table(daemon, daemon)


def test_schedule_table() -> None:
    owners = {"rbd_support": {"first": 5.0, "median": 20.0, "last": 35.0},
              "ours": {"first": 0.4, "median": 1.0, "last": 7.0}}
    lines = schedule_table(owners, 0.03, 300, 10_000).splitlines()
    assert len(lines) == 5
    assert lines[1].split()[-4:] == ["at", "most", "0.5:", "reached"]
    assert lines[3].endswith("MISSED")
    assert "10000" in lines[4] and lines[4].endswith("reached")
