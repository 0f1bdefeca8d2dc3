import pytest

from mirror_mgr.admin import peers
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.errors import Busy, InvalidArgument, NotFound, NotSupported
from mirror_mgr.wire.cephx import AES256K
from mirror_mgr.wire.cls_rbd import mirror_peer_set_direction
from mirror_mgr.wire.constants import PeerDirection
from tests.cephx import key as cephx_key

from .fakes import IMAGE, FakePool, FakeSite

P = parse_pool("p")
KEY = "AQAeuZdbMMoBChAAcj++/XUxNOLFaWdtTREEsw=="
UNKNOWN = "00000000-0000-0000-0000-00000000ffff"


@pytest.fixture
def pool(site: FakeSite) -> FakePool:
    site.pools["p"].modes[""] = IMAGE
    return site.pools["p"]


def test_add(site: FakeSite, pool: FakePool) -> None:
    uuid = peers.add(site, P, "client.c@b", "rx-tx", "10.0.0.2", KEY + "\n")
    [peer] = pool.peers
    assert (peer["uuid"], peer["site_name"], peer["client_name"]) == (uuid, "b", "client.c")
    assert peer["direction"] == 2
    assert pool.attributes[uuid] == {"mon_host": "10.0.0.2", "key": KEY}


def test_add_without_secrets(site: FakeSite, pool: FakePool) -> None:
    peers.add(site, P, "b", "rx-only")
    assert pool.peers[0]["client_name"] == "client.admin"
    assert pool.peers[0]["direction"] == 0
    assert pool.attributes == {}


@pytest.mark.parametrize("spec, direction, key, says", [
    ("", "rx-tx", KEY, "client.USER@SITE"),
    ("foo@bar@x", "rx-tx", KEY, "client.USER@SITE"),
    ("c@b", "rx-tx", KEY, "client.USER@SITE"),
    ("a/b", "rx-tx", KEY, "client.USER@SITE"),
    ("b", "tx-only", KEY, "'tx-only'"),
    ("b", "rx-tx", "", "base64"),
    ("b", "rx-tx", "\n", "base64"),
    ("b", "rx-tx", "no key!", "base64"),
])
def test_add_refused(site: FakeSite, pool: FakePool, spec: str, direction: str, key: str,
                     says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        peers.add(site, P, spec, direction, None, key)
    assert pool.peers == []


def test_a_key_that_this_release_does_not_read(site: FakeSite, pool: FakePool) -> None:
    secret = cephx_key(AES256K, bytes(32))
    with pytest.raises(NotSupported, match="client.c is of type aes256k") as raised:
        peers.add(site, P, "client.c@b", "rx-tx", None, secret)
    assert pool.peers == [] and secret not in str(raised.value)
    uuid = pool.add_peer("b")
    with pytest.raises(NotSupported, match="aes256k"):
        peers.change(site, P, uuid, "key-file", secret)
    assert pool.attributes == {}
    site.options["mon_auth_allow_insecure_key"] = "false"
    peers.change(site, P, uuid, "key-file", secret)
    assert pool.attributes[uuid] == {"key": secret}


def test_add_to_a_pool_that_is_not_mirrored(site: FakeSite) -> None:
    with pytest.raises(InvalidArgument, match="pool enable p"):
        peers.add(site, P, "b", "rx-tx")


def test_a_pool_is_replayed_from_one_peer(site: FakeSite, pool: FakePool) -> None:
    pool.add_peer("s", direction=1)
    peers.add(site, P, "b", "rx-tx")
    with pytest.raises(InvalidArgument, match="'b'.*peer remove p"):
        peers.add(site, P, "c", "rx-tx")


def test_a_peer_whose_key_cannot_be_stored_is_taken_back(
        site: FakeSite, pool: FakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise Busy("x")

    monkeypatch.setattr(peers, "_store", fail)
    with pytest.raises(Busy):
        peers.add(site, P, "b", "rx-tx", "10.0.0.2", KEY)
    assert pool.peers == []


def test_remove(site: FakeSite, pool: FakePool) -> None:
    uuid = pool.add_peer("b")
    assert peers.remove(site, P, uuid) == ""
    assert pool.peers == []
    assert "none such" in peers.remove(site, P, uuid)
    with pytest.raises(InvalidArgument, match="no uuid"):
        peers.remove(site, P, "1234")


def test_set(site: FakeSite, pool: FakePool) -> None:
    uuid = pool.add_peer("b")
    peers.change(site, P, uuid, "client", "client.new")
    peers.change(site, P, uuid, "site-name", "new")
    peers.change(site, P, uuid, "mon-host", "10.0.0.3")
    peers.change(site, P, uuid, "key-file", KEY + "\n")
    assert (pool.peers[0]["client_name"], pool.peers[0]["site_name"]) == ("client.new", "new")
    assert pool.attributes[uuid] == {"mon_host": "10.0.0.3", "key": KEY}
    peers.change(site, P, uuid, "mon-host", "")
    assert pool.attributes[uuid] == {"key": KEY}


def test_set_direction(site: FakeSite, pool: FakePool) -> None:
    uuid = pool.add_peer("b")
    other = pool.add_peer("c", direction=1)
    peers.change(site, P, uuid, "direction", "rx-only")
    assert pool.executed == [("rbd_mirroring", *mirror_peer_set_direction(uuid, PeerDirection.RX))]
    with pytest.raises(InvalidArgument, match="'b'"):
        peers.change(site, P, other, "direction", "rx-tx")


@pytest.mark.parametrize("key, value, says", [
    ("bogus", "x", "one of client"),
    ("client", "", "missing"),
    ("site-name", "", "missing"),
    ("direction", "both", "'both'"),
    ("key-file", "no key!", "base64"),
])
def test_set_refused(site: FakeSite, pool: FakePool, key: str, value: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        peers.change(site, P, pool.add_peer("b"), key, value)


def test_an_unknown_peer(site: FakeSite, pool: FakePool) -> None:
    for key, value in (("client", "client.x"), ("mon-host", "x"), ("direction", "rx-tx")):
        with pytest.raises(NotFound, match=UNKNOWN):
            peers.change(site, P, UNKNOWN, key, value)
    with pytest.raises(NotFound, match=UNKNOWN):
        peers.get_key(site, P, UNKNOWN)


def test_get_key(site: FakeSite, pool: FakePool) -> None:
    uuid = pool.add_peer("b")
    with pytest.raises(NotFound, match="key-file -i FILE"):
        peers.get_key(site, P, uuid)
    pool.attributes[uuid] = {"key": KEY}
    assert peers.get_key(site, P, uuid) == KEY
