"""With real processes: short programs that stand for the one that promotes."""

import sys
from typing import Any, Dict, List

import pytest

from mirror_mgr.admin.child import Login, Start
from mirror_mgr.admin.forced_promotion import may_crash, promote
from mirror_mgr.admin.specs import parse_image
from mirror_mgr.errors import Busy, DeadlineExceeded

LOGIN = Login("ceph.conf", "mgr.x", "keyring")
A, B, C = (parse_image(f"p/{name}") for name in "abc")

PROGRAM = """
import json, os, signal, sys, time
request = json.load(sys.stdin)
assert request["login"] == {"conf": "ceph.conf", "name": "mgr.x", "keyring": "keyring"}
def say(number, errno=0, message=""):
    print(json.dumps({"image": number, "errno": errno, "message": message}), flush=True)
names = [name for pool, namespace, name in request["images"]]
"""


def program(text: str) -> Start:
    return Start([sys.executable, "-S", "-c", PROGRAM + text], {})


def test_all_promoted() -> None:
    how = program("for number in reversed(range(len(names))): say(number)")
    assert promote(how, LOGIN, [A, B], 30) == {}


def test_a_failure_hides_no_other() -> None:
    how = program("say(0)\nsay(1, 16, 'busy')\nsay(2)")
    failures = promote(how, LOGIN, [A, B, C], 30)
    assert list(failures) == [B]
    assert isinstance(failures[B], Busy)


def test_an_image_that_crashes_leaves_the_others_promoted() -> None:
    how = program("""
for number, name in enumerate(names):
    if name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    say(number)
""")
    failures = promote(how, LOGIN, [A, B, C], 30)
    assert list(failures) == [B]
    assert "crashed" in failures[B].message


def test_a_process_that_hangs_is_ended() -> None:
    how = program("say(0)\ntime.sleep(600)")
    failures = promote(how, LOGIN, [A, B], 3)
    assert list(failures) == [B]
    assert isinstance(failures[B], DeadlineExceeded)


USER: Dict[str, Any] = {}
COMPLETE = {"mirror": {"complete": True}}
HALF = {"mirror": {"complete": False}}


@pytest.mark.parametrize("snapshots, crashes", [
    ([], False),
    ([USER], False),
    ([COMPLETE], False),
    ([COMPLETE, USER], False),
    ([USER, COMPLETE, HALF], False),
    ([COMPLETE, USER, HALF], True),
    ([COMPLETE, USER, USER, HALF, USER], True),
    ([COMPLETE, USER, COMPLETE, HALF], False),
    ([USER, HALF], True),
    ([HALF], False),
])
def test_what_crashes_librbd(snapshots: List[Dict[str, Any]], crashes: bool) -> None:
    numbered = [{"id": number, **snapshot} for number, snapshot in enumerate(snapshots)]
    assert may_crash(list(reversed(numbered))) == crashes
