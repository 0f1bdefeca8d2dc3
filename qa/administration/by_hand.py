"""Random administrators at two sites, for as long as one likes; stops at the first fault."""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from typing import Collection, Iterator, List, Optional

from qa import choice
from qa.administration.administrators import Administrators, Found
from qa.administration.model import KINDS
from qa.administration.rest import Rest, log_ends, noise
from qa.mirrored import Mirrored, add_pool, remove_at_once
from qa.releases import Releases
from qa.sites import Lab

STEPS_TO_READ, STEPS_TO_REST = 8, 50


def run(people: Administrators, seconds: float) -> None:
    """Let them work for so long, then rest; raise Found at what must not be."""
    ends = log_ends(people)
    deadline = time.monotonic() + seconds
    people.begin()
    steps = 0
    while time.monotonic() < deadline:
        people.step()
        steps += 1
        if steps % STEPS_TO_REST == 0:
            Rest(people).come()
        elif steps % STEPS_TO_READ == 0:
            people.read()
    Rest(people).come()
    people.judge(list(noise(people, ends)))
    people.terminal.tell(f"{steps} steps")


def main(argv: List[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    args = _arguments(argv)
    releases = choice.settle("administrators", args.release, args.lab)
    print(f"seed {args.seed}", flush=True)
    with _pool(args.lab, releases) as (one, two, pool):
        people = Administrators((one, two), pool, random.Random(args.seed),
                                _tolerated(args.tolerate), lambda text: print(text, flush=True))
        try:
            run(people, args.seconds)
        except Found as error:
            print(f"{error}\nseed {args.seed}; what was typed is above")
            return 1
        finally:
            people.close()
    counted = Counter(fault.kind for fault in people.faults)
    print(f"seed {args.seed}: tolerated: {dict(counted) or 'nothing'}")
    return 0


@contextmanager
def _pool(directory: Optional[str], releases: Optional[Releases]) -> Iterator[Mirrored]:
    """A mirrored pool with the managers' own workers at it, in the lab or in a new one."""
    if directory:
        lab = Lab.attach(directory)
        for site in lab.sites.values():
            remove_at_once(site, False)
        yield add_pool(lab, f"people-{os.getpid()}-x")
        return
    with Lab(tempfile.mkdtemp(prefix="lab-"), releases=releases) as lab:
        yield add_pool(lab, "people-x")


def _tolerated(kinds: Collection[str]) -> Collection[str]:
    return KINDS if "all" in kinds else kinds


def _arguments(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="administrators", description=__doc__, epilog="Kinds of faults: " + "; ".join(
            f"{kind}: {text}" for kind, text in KINDS.items()))
    parser.add_argument("--seconds", type=float, default=600.0, help="default: 600")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--tolerate", metavar="KIND", nargs="*", default=(),
                        choices=[*KINDS, "all"], help="go on after faults of these kinds")
    choice.add_options(parser)
    return parser.parse_args(argv)
