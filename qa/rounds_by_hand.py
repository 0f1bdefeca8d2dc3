"""Random rounds for as long as one likes; stops at the first difference."""

import argparse
import random
import time
from typing import List

from qa import choice
from qa.mirrored import mirrored_pool
from qa.rounds import LAYOUTS, Layout, Rounds, in_data_pool, prepare
from qa.sites import Site
from qa.workers import Workers


def main(argv: List[str]) -> int:
    """Run the rounds that the command line asks for; return the exit code."""
    args = _arguments(argv)
    releases = choice.settle("rounds", args.release, args.lab)
    chosen = [layout for layout in LAYOUTS if args.layout in (None, layout.name)]
    if args.erasure_coded:
        chosen = in_data_pool(chosen, *(layout.name for layout in chosen))
    with mirrored_pool(args.lab, releases, 3 if args.erasure_coded else 1) as (primary, copy, pool):
        data_pool = prepare((primary, copy), pool, args.erasure_coded)
        with Workers(copy, primary, pool) as workers:
            workers.start()
            images = [_image(primary, copy, pool, layout, args.seed, data_pool)
                      for layout in chosen]
            return _run(images, args)


def _run(images: List[Rounds], args: argparse.Namespace) -> int:
    deadline = time.monotonic() + args.seconds
    number = 0
    try:
        while time.monotonic() < deadline:
            for image in images:
                known, start = len(image.history), time.monotonic()
                image.round()
                print(f"round {number} of {image.layout.name}: "
                      f"{len(image.history) - known} changes, {time.monotonic() - start:.1f} s",
                      flush=True)
            number += 1
    except AssertionError as error:
        again = f" --layout {args.layout}" if args.layout else ""
        again += " --erasure-coded" if args.erasure_coded else ""
        print(f"{error}\nTo repeat it: qa/rounds --seed {args.seed}{again}")
        return 1
    print(f"{number} rounds of each layout, no difference; seed {args.seed}")
    return 0


def _image(primary: Site, copy: Site, pool: str, layout: Layout, seed: int,
           data_pool: str) -> Rounds:
    image = Rounds(primary, copy, pool, layout.name, layout,
                   random.Random(f"{seed} {layout.name}"), data_pool)
    image.create()
    image.wait_current()
    image.compare()
    return image


def _arguments(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rounds", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="default: 600")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--layout", choices=[layout.name for layout in LAYOUTS],
                        help="default: all, in turn")
    parser.add_argument("--erasure-coded", action="store_true",
                        help="all data in an erasure-coded pool; takes a lab with --osds 3")
    choice.add_options(parser)
    return parser.parse_args(argv)
