"""A worker that runs by itself executes itself anew, with the arguments that it was started with.

What a blocklisted client still has in flight must never land, and its library may crash where it
is shut down: both end with the program.  The process stays: its id, the lock on its pid file, its
user, its place in the background.  What an administrator has stopped is handed on.
"""

import json
import os
import sys
from typing import Any, List, NoReturn, Optional

_STATE = "MIRROR_MGR_ANEW"
_PACKAGE = __name__.split(".")[0]


def handed_on() -> Optional[Any]:
    """What the program before left to this one, None where there was none; to be asked once."""
    text = os.environ.pop(_STATE, None)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def execute(state: Any, directory: str) -> NoReturn:
    """Become the program anew; `directory` is where it was started."""
    environment = dict(os.environ)
    environment[_STATE] = json.dumps(state)
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [here, os.environ.get("PYTHONPATH")]))
    try:
        os.chdir(directory)  # which names of files may start from
    except OSError:
        pass
    os.execve(sys.executable, command(sys.argv[1:]), environment)


def command(argv: List[str]) -> List[str]:
    """Given the arguments, return the words that start the program with them."""
    return [sys.executable, "-s", "-m", f"{_PACKAGE}.worker", *argv]
