"""With real processes: short programs that stand for the look at a peer site."""

import sys

import pytest

from mirror_mgr.admin import peer_probe
from mirror_mgr.admin.child import Start
from mirror_mgr.admin.forks import Mark
from mirror_mgr.admin.peer_probe import SeenImage, Sight, look
from mirror_mgr.admin.token import Token
from mirror_mgr.errors import DeadlineExceeded, MirrorError
from mirror_mgr.wire.constants import SnapState

TOKEN = Token("f", "c", "SECRET", "m")


def program(text: str) -> Start:
    return Start([sys.executable, "-S", "-c", "import json, sys, time\n" + text], {})


def test_the_secret_goes_by_stdin() -> None:
    seen = look(program("""
request = json.load(sys.stdin)
assert request == {"client_id": "c", "key": "SECRET", "mon_host": "m", "pool": "p",
                   "namespace": "n", "global_ids": ["g"]}, request
print("noise of librados")
print(json.dumps({"fsid": "f", "pool_mode": 1,
                  "images": {"g": [True, [[4, 0, "", 0, 1.5]], [[0, 7]]]}}))
"""), TOKEN, "p", "n", ("g",))
    assert seen == Sight(fsid="f", pool_mode=1, images={
        "g": SeenImage(True, (Mark(4, SnapState.PRIMARY, seconds=1.5),), ((0, 7),))})


def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_probe, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(peer_probe, "GRACE_SECONDS", 0.1)
    with pytest.raises(DeadlineExceeded):
        look(program("time.sleep(60)"), TOKEN, "p")


@pytest.mark.parametrize("text", [
    "sys.exit(1)", "print()", "print('no json')", "print('[]')", "print(json.dumps({'x': 1}))"])
def test_a_process_that_says_nothing(text: str) -> None:
    with pytest.raises(MirrorError, match="python3-rbd"):
        look(program("json.load(sys.stdin)\n" + text), TOKEN, "p")
