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
    """In which pool and namespace of the peer site those that are asked for are found."""

    class Cluster:
        """`images` are the global ids in each place; None stands for one that can't be read."""

        def __init__(self, images: Dict[str, Optional[str]]) -> None:
            self.images = images
            self.read: List[str] = []

        def list_pools(self) -> List[str]:
            return list(dict.fromkeys(place.partition("/")[0] for place in self.images))

        def namespaces(self, pool: str) -> List[str]:
            return [place.partition("/")[2] for place in self.images if place.startswith(pool)]

    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def namespace_named(cluster: Any, name: str, namespace: str,
                            wanted: FrozenSet[str]) -> Dict[str, Any]:
            place = "/".join(filter(None, (name, namespace)))
            cluster.read.append(place)
            if place not in cluster.images:
                raise failure(rados.ObjectNotFound, 2)
            found = cluster.images[place]
            if found is None:
                raise failure(rbd.ImageNotFound, 2)  # no mirror uuid
            return {"mirror_uuid": f"uuid of {place}", "images": wanted & frozenset(found)}

        monkeypatch.setattr(peer_probe, "_namespace_named", namespace_named)
        monkeypatch.setattr(peer_probe, "_namespaces", lambda cluster, pool, first: sorted(
            cluster.namespaces(pool), key=lambda name: name != first))

    def look(self, cluster: Any, *wanted: str, namespace: str = "") -> Any:
        return peer_probe._pool(cluster, {
            "pool": "p", "namespace": namespace, "global_ids": wanted}).get("mirror_uuid")

    def test_in_the_pool_of_the_same_name(self) -> None:
        cluster = self.Cluster({"q": "g", "p": "gh"})
        assert self.look(cluster, "g") == "uuid of p" and cluster.read == ["p"]

    def test_in_one_that_was_renamed(self) -> None:
        assert self.look(self.Cluster({"x": None, "y": "", "q": "g"}), "g", "i") == "uuid of q"
        assert self.look(self.Cluster({"p": "", "q": "g"}), "g") == "uuid of q"

    def test_in_a_namespace_that_is_not_paired_with_ours_there(self) -> None:
        cluster = self.Cluster({"q": "g", "q/n": "g", "p": "h", "p/m": "g", "p/n": ""})
        assert self.look(cluster, "g", namespace="n") == "uuid of p/m"
        assert cluster.read == ["p/n", "p", "p/m"]
        assert self.look(cluster, "h", namespace="n") == "uuid of p"
        del cluster.images["p/m"]
        assert self.look(cluster, "g", namespace="n") == "uuid of q/n"

    def test_nowhere(self) -> None:
        assert self.look(self.Cluster({"p": "h", "q": "i"}), "g") == "uuid of p"
        assert self.look(self.Cluster({"q": "i"}), "g") is None

    def test_who_asks_for_no_image_is_about_to_mirror(
            self, monkeypatch: pytest.MonkeyPatch) -> None:
        def require_ping(ioctx: Any) -> None:
            raise NotSupported(f"{ioctx} is too old")

        monkeypatch.setattr(abilities, "require_ping", require_ping)
        monkeypatch.setattr(self.Cluster, "open_ioctx", lambda self, name: nullcontext(name),
                            raising=False)
        cluster = self.Cluster({"p": "g"})
        with pytest.raises(NotSupported, match="p is too old"):
            self.look(cluster)
        assert self.look(cluster, "g") == "uuid of p"

    def test_nowhere_else_is_looked_for_no_image(self) -> None:
        cluster = self.Cluster({"p/m": "", "q": "g"})
        assert self.look(cluster) is None and cluster.read == ["p"]
