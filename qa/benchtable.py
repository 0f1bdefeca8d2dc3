"""The numbers of a benchmark as text: both replayers side by side, and what was aimed at.  Pure."""

import statistics
from typing import Any, Callable, Dict, List, NamedTuple, Optional

MIB = 1 << 20

Results = Dict[str, Dict[str, Any]]


class Row(NamedTuple):
    """One line: `value` takes the phases of a replayer, `reached` the two values."""

    label: str
    value: Callable[[List[Results]], float]
    aim: str = ""
    reached: Optional[Callable[[float, float], bool]] = None


def _first(phase: str, *keys: str, unit: float = 1) -> Callable[[List[Results]], float]:
    """The value of the first turn, the only one with all phases."""
    def value(turns: List[Results]) -> float:
        found: Any = turns[0][phase]
        for key in keys:
            found = found[key]
        return float(found) / unit

    return value


def _median(phase: str, key: str) -> Callable[[List[Results]], float]:
    return lambda turns: statistics.median(turn[phase][key] for turn in turns)


def _of_turns(pick: Callable[[List[float]], float]) -> Callable[[List[Results]], float]:
    return lambda turns: pick([turn["initial"]["mib_per_second"] for turn in turns])


def _both_sites(key: str) -> Callable[[List[Results]], float]:
    return lambda turns: sum(turns[0]["empty"][site][key] for site in "ab")


def _peak(turns: List[Results]) -> float:
    return max(phase["peak_rss"] for turn in turns for phase in turn.values()) / MIB


def _delta_excess(turns: List[Results]) -> float:
    delta = turns[0]["delta"]
    return 100 * (delta["net_out_bytes"] / delta["changed_bytes"] - 1)


ROWS = (
    Row("initial sync, MiB/s", _median("initial", "mib_per_second"),
        "at least 1.5 times", lambda theirs, ours: ours >= 1.5 * theirs),
    Row("  lowest of all turns", _of_turns(min)),
    Row("  highest of all turns", _of_turns(max)),
    Row("initial sync, seconds until it begins", _median("initial", "seconds_until_begun")),
    Row("initial sync, CPU seconds", _median("initial", "cpu_seconds")),
    Row("empty sync, s from snapshot to copied", _first("empty", "seconds_taken_to_copied")),
    Row("  from snapshot to unlinked", _first("empty", "seconds_taken_to_unlinked")),
    Row("  that the command itself took", _first("empty", "command_seconds")),
    Row("empty sync, operations at site-a, raw", _first("empty", "a", "raw_op")),
    Row("  of these, the snapshot command's", _first("empty", "a", "command_op")),
    Row("  net of that and of idle clusters", _first("empty", "a", "net_op")),
    Row("  net of an idle replayer's, too", _first("empty", "a", "sync_op")),
    Row("empty sync, operations at site-b, raw", _first("empty", "b", "raw_op")),
    Row("  of these, the snapshot command's", _first("empty", "b", "command_op")),
    Row("  net of that and of idle clusters", _first("empty", "b", "net_op")),
    Row("  net of an idle replayer's, too", _first("empty", "b", "sync_op")),
    Row("empty sync, net operations, both sites", _both_sites("net_op"),
        "at most a quarter", lambda theirs, ours: ours <= 0.25 * theirs),
    Row("empty sync, CPU seconds of all", _first("empty", "cpu_seconds")),
    Row("idle replayer, operations/s at both sites", _both_sites("idle_op_per_second")),
    Row("random writes, s from snapshot to copied", _first("delta", "seconds_taken_to_copied")),
    Row("  from snapshot to unlinked", _first("delta", "seconds_taken_to_unlinked")),
    Row("random writes, KiB out of site-a, raw", _first("delta", "raw_out_bytes", unit=1024)),
    Row("  net of an empty sync", _first("delta", "net_out_bytes", unit=1024)),
    Row("  net, % more than was changed", _delta_excess,
        "within 5 %", lambda theirs, ours: abs(ours) <= 5),
    Row("small images, seconds from first snapshot", _first("small", "seconds")),
    Row("small images, seconds after last snapshot", _first("small", "seconds_after_snapshots")),
    Row("small images, CPU seconds", _first("small", "cpu_seconds")),
    Row("RSS after the initial sync, MiB", _first("initial", "rss", unit=MIB)),
    Row("RSS with the small images, MiB", _first("small", "rss", unit=MIB)),
    Row("RSS at its peak, MiB", _peak, "below the daemon's", lambda theirs, ours: ours < theirs),
)


FAILOVER_STEPS = ("demote", "last_sync", "promote", "whole")


def failover_table(tools: Dict[str, List[Dict[str, float]]], images: int) -> str:
    """Given the failovers by each tool, there and back, return a table of their medians."""
    lines = [f"{f'failover of {images} images, seconds':<44}{'rbd':>10}{'ours':>10}{'ratio':>8}"]
    for step in FAILOVER_STEPS:
        theirs, ours = (statistics.median(one[step] for one in tools[tool])
                        for tool in ("rbd", "ours"))
        lines.append(f"  {step.replace('_', ' '):<42}{theirs:>10.2f}{ours:>10.2f}"
                     f"{ours / theirs:8.2f}")
    return "\n".join(lines)


SCHEDULE_AIMS = {"first": 0.5, "last": 6.0}
DECIDE_AIM = 0.05


def schedule_table(owners: Dict[str, Dict[str, float]], decide: float, images: int,
                   decided: int) -> str:
    """Given the seconds from a minute to the snapshots of `images` by each owner, and those that
    the decision for `decided` images takes, return a table."""
    label = f"{images} images every minute, seconds"
    lines = [f"{label:<44}{'rbd_support':>12}{'ours':>8}{'ratio':>8}  aim"]
    for step in ("first", "median", "last"):
        theirs, ours = owners["rbd_support"][step], owners["ours"][step]
        lines.append(f"  {f'until the {step} snapshot':<42}{theirs:>12.2f}{ours:>8.2f}"
                     f"{ours / theirs:8.2f}{_aim(ours, SCHEDULE_AIMS.get(step))}")
    label = f"deciding for {decided} images, CPU s"
    lines.append(f"{label:<44}{'':>12}{decide:>8.3f}{'':>8}{_aim(decide, DECIDE_AIM)}")
    return "\n".join(lines)


class JournalRow(NamedTuple):
    """One line: of which phase, and what of it; `aim` is a ratio, or else a number of ours."""

    label: str
    phase: str
    key: str
    unit: float = 1
    ratio: float = 0
    most: float = 0


JOURNAL_ROWS = (
    JournalRow("catch-up, writes/s", "flush-0", "writes_per_second", ratio=10),
    JournalRow("  CPU us a write", "flush-0", "cpu_us_per_write"),
    JournalRow("  RSS at its peak, MiB", "flush-0", "peak_rss", MIB),
    JournalRow("with a flush every 32, writes/s", "flush-32", "writes_per_second", ratio=4),
    JournalRow("  CPU us a write", "flush-32", "cpu_us_per_write"),
    JournalRow("with a flush every 8, writes/s", "flush-8", "writes_per_second"),
    JournalRow("  CPU us a write", "flush-8", "cpu_us_per_write"),
    JournalRow("live load, seconds of lag, median", "live", "median", most=0.3),
    JournalRow("  99th percentile", "live", "p99"),
    JournalRow("  CPU us a write", "live", "cpu_us_per_write"),
    JournalRow("images at once, writes/s of all", "crowd", "writes_per_second"),
    JournalRow("  CPU us a write", "crowd", "cpu_us_per_write"),
    JournalRow("  RSS, MiB", "crowd", "rss", MIB),
    JournalRow("beside a flooded image, s, median", "beside a flood", "median"),
    JournalRow("  99th percentile", "beside a flood", "p99"),
    JournalRow("  writes/s to the flooded image", "beside a flood", "flood_per_second"),
    JournalRow("idle images, reads/s at both sites", "idle", "reads_per_second"),
    JournalRow("  operations/s at both sites", "idle", "operations_per_second"),
    JournalRow("  CPU %", "idle", "cpu_percent"),
    JournalRow("  RSS, MiB", "idle", "rss", MIB),
)


def journal_table(daemon: List[Results], worker: List[Results]) -> str:
    """Given the turns of both in journal mode, return a table of medians, with the lowest and the
    highest of ours.  Where those differ by much, so may all others."""
    head = (f"{'journal mode':<38}{'daemon':>9}{'worker':>9}{'ratio':>7}"
            f"{'lowest':>9}{'highest':>9}  aim")
    return "\n".join([head] + [_journal_line(row, daemon, worker) for row in JOURNAL_ROWS])


def _journal_line(row: JournalRow, daemon: List[Results], worker: List[Results]) -> str:
    theirs, ours = (sorted(turn[row.phase][row.key] / row.unit for turn in turns
                           if row.phase in turn) for turns in (daemon, worker))
    their, our = statistics.median(theirs), statistics.median(ours)
    ratio = our / their if their > 0 else 0.0
    line = (f"{row.label:<38}{their:>9.2f}{our:>9.2f}"
            + (f"{ratio:>7.2f}" if ratio else f"{'':>7}") + f"{ours[0]:>9.2f}{ours[-1]:>9.2f}")
    if row.ratio:
        reached = "reached" if ratio >= row.ratio else "MISSED"
        return f"{line}  at least {row.ratio:g} times: {reached}"
    return line + _aim(our, row.most or None)


def _aim(seconds: float, aim: Optional[float]) -> str:
    if aim is None:
        return ""
    return f"  at most {aim:g}: {'reached' if seconds <= aim else 'MISSED'}"


def table(daemon: List[Results], worker: List[Results]) -> str:
    """Given the turns of both, return the table.

    Initial syncs are medians over all turns; where the two ranges overlap, their ratio may be
    chance.  Nothing but those and the empty syncs is repeated.
    """
    lines = [f"{'':<44}{'daemon':>10}{'worker':>10}{'ratio':>8}  aim"]
    for row in ROWS:
        theirs, ours = row.value(daemon), row.value(worker)
        ratio = f"{ours / theirs:8.2f}" if theirs > 0 else f"{'':>8}"
        aim = ""
        if row.reached is not None:
            aim = f"  {row.aim}: {'reached' if row.reached(theirs, ours) else 'MISSED'}"
        lines.append(f"{row.label:<44}{theirs:>10.2f}{ours:>10.2f}{ratio}{aim}")
    return "\n".join(lines)
