"""Play scenarios by hand: one, or all of them in turn."""

import argparse
import importlib
import os
import random
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Iterator, List, Optional

from qa import choice
from qa.errors import LabError
from qa.mirrored import add_pool
from qa.releases import Releases, of_host, parse
from qa.scenarios.stage import Stage
from qa.settings import Settings
from qa.sites import Lab

ON_ANY_LAB = ("failovers", "disaster", "lives", "clones", "two_way", "crowd", "kinds", "schedules")
NAMES = (*ON_ANY_LAB, "upgrade")


def main(argv: List[str]) -> int:
    """Play what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scenario", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:10} {_module(name).__doc__}" for name in NAMES))
    parser.add_argument("name", choices=NAMES + ("all",), help="all: but for upgrade")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    choice.add_options(parser)
    args = parser.parse_args(argv)
    if args.name == "upgrade" and not _starts_on_the_host(args):
        parser.error("upgrade starts from the host's own release, or from sites of two; one root "
                     "can't be entered from another")
    releases = choice.settle("scenario", args.release, args.lab)
    try:
        with _lab(args.lab, releases) as lab:
            for name in ON_ANY_LAB if args.name == "all" else (args.name,):
                print(f"== {name}: {_module(name).__doc__}", flush=True)
                pool = f"{name.replace('_', '-')}-{os.getpid()}"
                add_pool(lab, pool)
                _module(name).play(Stage(lab, pool, random.Random(args.seed), _say))
    except (AssertionError, LabError) as error:
        print(f"{error}\nTo repeat it: qa/scenario {args.name} --seed {args.seed}", file=sys.stderr)
        return 1
    return 0


def _starts_on_the_host(args: argparse.Namespace) -> bool:
    try:
        if args.lab:
            asked = Settings.load(Path(args.lab)).chosen()
        else:
            asked = parse(args.release or of_host())
    except LabError:
        return True  # which is told as for the other scenarios
    return asked.single in (None, of_host())


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"qa.scenarios.{name}")


def _say(line: str) -> None:
    print(f"   {line}", flush=True)


@contextmanager
def _lab(directory: Optional[str], releases: Optional[Releases]) -> Iterator[Lab]:
    if directory:
        yield Lab.attach(directory)
        return
    with tempfile.TemporaryDirectory(prefix="scenario-") as scratch:
        with Lab(Path(scratch) / "lab", releases=releases) as lab:
            yield lab


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
