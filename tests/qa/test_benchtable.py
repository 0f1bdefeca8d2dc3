"""The table of a benchmark says what is reached, and of whom."""

from typing import Any, Dict, List

from qa.benchtable import JOURNAL_ROWS, journal_table, schedule_table, table

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


def journal_turn(rate: float, lag: float, idle: bool = False) -> Dict[str, Dict[str, Any]]:
    found: Dict[str, Dict[str, Any]] = {}
    for row in JOURNAL_ROWS:
        if idle or row.phase != "idle":
            found.setdefault(row.phase, {})[row.key] = row.unit
    for phase in ("flush-0", "flush-32"):
        found[phase]["writes_per_second"] = rate
    found["live"]["median"] = lag
    return found


def journal_verdicts(daemon: List[Any], worker: List[Any]) -> List[str]:
    return [line.rpartition(": ")[2] for line in journal_table(daemon, worker).splitlines()
            if line.endswith(("reached", "MISSED"))]


def test_journal_aims_are_ratios_and_a_lag_of_ours() -> None:
    daemon = [journal_turn(400, 9.8, idle=True)]
    assert journal_verdicts(daemon, [journal_turn(4000, 0.3, idle=True)]) == ["reached"] * 3
    assert journal_verdicts(daemon, [journal_turn(1500, 0.4, idle=True)]) == ["MISSED"] * 3
    assert journal_verdicts(daemon, [journal_turn(1600, 0.4, idle=True)]) == [
        "MISSED", "reached", "MISSED"]


def test_journal_table_has_the_median_of_all_turns_and_our_range() -> None:
    daemon = [journal_turn(100, 1.0, idle=True), journal_turn(100, 1.0), journal_turn(300, 1.0)]
    worker = [journal_turn(500, 0.1, idle=True), journal_turn(2000, 0.1), journal_turn(3000, 0.1)]
    first = journal_table(daemon, worker).splitlines()[1]
    assert first.split()[2:7] == ["100.00", "2000.00", "20.00", "500.00", "3000.00"]


def test_an_idle_daemon_that_reads_nothing() -> None:
    daemon, worker = [journal_turn(400, 9.8, idle=True)], [journal_turn(4000, 0.1, idle=True)]
    daemon[0]["idle"]["reads_per_second"] = -0.1
    assert "idle images, reads/s" in journal_table(daemon, worker)
