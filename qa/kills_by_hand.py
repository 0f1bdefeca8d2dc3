"""Kill the worker before and after every write of a sync, one after the other."""

import argparse
import itertools
from typing import List

from qa import choice
from qa.kills import CLONE, PLAIN, Kills, Point
from qa.mirrored import mirrored_pool
from qa.workers import Workers


def main(argv: List[str]) -> int:
    """Try every point; return the exit code."""
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--start", type=int, default=1, metavar="N", help="the first write")
    parser.add_argument("--sync", choices=("first", "later"), help="default: both")
    parser.add_argument("--clone", action="store_true", help="kill over a clone")
    choice.add_options(parser)
    args = parser.parse_args(argv)
    releases = choice.settle("kills", args.release, args.lab)
    with mirrored_pool(args.lab, releases) as (primary, copy, pool):
        with Workers(copy, primary, pool) as workers:
            kills = Kills(primary, copy, pool, workers, CLONE if args.clone else PLAIN)
            for sync in ("first", "later"):
                if args.sync in (None, sync):
                    _every_write(kills, sync == "first", args.start)
    return 0


def _every_write(kills: Kills, first: bool, start: int) -> None:
    for write in itertools.count(start):
        if not first:
            kills.prepare(2)
        died = [kills.kill_at(Point(first, when, write)) for when in ("before", "after")]
        print(f"{'first' if first else 'later'} sync, write {write}: "
              f"{'identical after a kill' if any(died) else 'there is no such write'}", flush=True)
        if not any(died):
            return
