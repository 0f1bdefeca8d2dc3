"""With real processes: short programs that stand for the look at a peer site."""

import sys
from contextlib import nullcontext
from typing import Any, Dict, FrozenSet, List, Optional

import pytest
import rados
import rbd

from mirror_mgr.admin import peer_probe
from mirror_mgr.admin.child import Start
from mirror_mgr.admin.forks import Mark
from mirror_mgr.admin.peer_probe import SeenImage, Sight, look
from mirror_mgr.admin.token import Token
from mirror_mgr.cluster import abilities, keys
from mirror_mgr.errors import DeadlineExceeded, MirrorError, NotSupported
from mirror_mgr.wire.cephx import AES256K
from mirror_mgr.wire.constants import SnapState
from tests.cephx import key

from .fakes import failure

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
                  "images": {"g": [True, [[4, 0, "", 0, 1.5]], [[0, 7]], "p/n/x"]}}))
"""), TOKEN, "p", "n", ("g",))
    assert seen == Sight(fsid="f", pool_mode=1, images={
        "g": SeenImage(True, (Mark(4, SnapState.PRIMARY, seconds=1.5),), ((0, 7),), "p/n/x")})


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


@pytest.mark.skipif(not hasattr(rados.Rados, "conf_get"), reason="needs python-rados")
def test_a_key_that_librados_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_OPTION", "no option of any release")
    seen = peer_probe._look({"client_id": "c", "key": key(AES256K, bytes(32)), "mon_host": "m"})
    assert seen.errno == NotSupported.errno
    assert seen.error.startswith("the key of client.c is of type aes256k")


class TestWhereImagesAre:
    """In which pool of the peer site those that are asked for are found."""

    class Cluster:
        """`images` are the global ids in each pool; None stands for one that can't be read."""

        def __init__(self, **images: Optional[FrozenSet[str]]) -> None:
            self.images = images
            self.read: List[str] = []

        def list_pools(self) -> List[str]:
            return list(self.images)

    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def pool_named(cluster: Any, name: str, namespace: str,
                       wanted: FrozenSet[str]) -> Dict[str, Any]:
            cluster.read.append(name)
            if name not in cluster.images:
                raise failure(rados.ObjectNotFound, 2)
            if cluster.images[name] is None:
                raise failure(rbd.ImageNotFound, 2)  # no mirror uuid
            return {"mirror_uuid": f"uuid of {name}", "images": wanted & cluster.images[name]}

        monkeypatch.setattr(peer_probe, "_pool_named", pool_named)

    def look(self, cluster: Any, *wanted: str) -> Any:
        return peer_probe._pool(cluster, {
            "pool": "p", "namespace": "", "global_ids": wanted}).get("mirror_uuid")

    def test_in_the_pool_of_the_same_name(self) -> None:
        cluster = self.Cluster(q=frozenset("g"), p=frozenset("gh"))
        assert self.look(cluster, "g") == "uuid of p" and cluster.read == ["p"]

    def test_in_one_that_was_renamed(self) -> None:
        none: FrozenSet[str] = frozenset()
        assert self.look(self.Cluster(x=None, y=none, q=frozenset("g")), "g", "i") == "uuid of q"
        assert self.look(self.Cluster(p=none, q=frozenset("g")), "g") == "uuid of q"

    def test_nowhere(self) -> None:
        assert self.look(self.Cluster(p=frozenset("h"), q=frozenset("i")), "g") == "uuid of p"
        assert self.look(self.Cluster(q=frozenset("i")), "g") is None

    def test_who_asks_for_no_image_is_about_to_mirror(
            self, monkeypatch: pytest.MonkeyPatch) -> None:
        def require_ping(ioctx: Any) -> None:
            raise NotSupported(f"{ioctx} is too old")

        monkeypatch.setattr(abilities, "require_ping", require_ping)
        monkeypatch.setattr(self.Cluster, "open_ioctx", lambda self, name: nullcontext(name),
                            raising=False)
        cluster = self.Cluster(p=frozenset("g"))
        with pytest.raises(NotSupported, match="p is too old"):
            self.look(cluster)
        assert self.look(cluster, "g") == "uuid of p"

    def test_no_other_pool_is_read_for_no_image(self) -> None:
        cluster = self.Cluster(q=frozenset("g"))
        assert self.look(cluster) is None and cluster.read == ["p"]
