"""Which clusters a program runs on: the options for that, the same for all programs."""

import argparse
import sys
from pathlib import Path
from typing import Iterable, Optional

from qa import releases, roots
from qa.errors import LabError
from qa.releases import Releases
from qa.settings import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --lab and --release."""
    parser.add_argument("--lab", metavar="DIR", help="a lab that runs; default: a new one")
    add_release(parser)


def add_release(parser: argparse.ArgumentParser) -> None:
    """Add --release alone, for programs that always have a lab of their own."""
    parser.add_argument("--release", metavar="R", help=releases.HELP)


def settle(program: str, release: Optional[str], lab: Optional[str] = None,
           places: Iterable[Path] = ()) -> Optional[Releases]:
    """Return the releases to run with, None for the host's own.

    Where all sites are to have one that is not the host's, the program begins anew in its root;
    there it sees `places` too. What cannot be ends it, with one line.
    """
    try:
        return enter(release, lab, places)
    except LabError as error:
        sys.exit(f"{program}: {error}")


def enter(release: Optional[str], lab: Optional[str] = None,
          places: Iterable[Path] = ()) -> Optional[Releases]:
    """Do as :func:`settle`, but raise LabError."""
    asked = releases.parse(release) if release else None
    if lab is not None:
        there = Settings.load(Path(lab).resolve()).chosen()
        if asked not in (None, there):
            raise LabError(f"{lab}: this lab is of release {there}, not {asked}")
        asked, places = there, [Path(lab).resolve(), *places]
    if asked is not None:
        roots.run_there(asked, places)
    return asked
