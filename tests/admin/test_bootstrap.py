import dataclasses
import errno
from typing import Any, Dict

import pytest

from mirror_mgr.admin import bootstrap
from mirror_mgr.admin.peer_probe import Sight
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.admin.token import Token
from mirror_mgr.errors import DeadlineExceeded, InvalidArgument, MirrorError, NotSupported
from mirror_mgr.wire.cephx import AES
from mirror_mgr.wire.cls_rbd import mirror_peer_set_direction
from mirror_mgr.wire.constants import PeerDirection
from mirror_mgr.wire.header import MIRRORING
from tests.cephx import key

from .fakes import DISABLED, IMAGE, INIT_ONLY, FakeSite, install_older

P = parse_pool("p")
SECRET = key(AES)
TOKEN = Token("22222222-bbbb", "rbd-mirror-peer", SECRET, "10.0.0.2")
SIGHT = Sight(fsid=TOKEN.fsid, site_name="b", pool_mode=IMAGE)


def seeing(**differs: Any) -> bootstrap.Look:
    def look(token: Token, pool: str) -> Sight:
        assert (token, pool) == (TOKEN, "p")
        return dataclasses.replace(SIGHT, **differs)
    return look


def test_create(site: FakeSite) -> None:
    with pytest.raises(InvalidArgument, match="pool enable p image"):
        bootstrap.create_token(site, P, "a")
    assert site.site_name == ""
    site.pools["p"].modes[""] = IMAGE
    assert bootstrap.create_token(site, P, "a") == "TOKEN"
    assert site.site_name == "a"


@pytest.mark.parametrize("direction, number", [("rx-tx", 2), ("rx-only", 0)])
def test_import(site: FakeSite, direction: str, number: int) -> None:
    bootstrap.import_token(site, P, TOKEN.encode() + "\n", direction, "a", seeing())
    assert site.imported == [(number, TOKEN.encode())]
    assert site.site_name == "a"


def test_import_again_updates_the_peer(site: FakeSite) -> None:
    site.pools["p"].peers = [{"uuid": "u", "direction": 2, "site_name": "b", "mirror_uuid": "",
                              "client_name": "client.c"}]
    bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", None, seeing())
    assert site.imported


def test_import_where_the_other_site_was_heard_of_before(site: FakeSite) -> None:
    """Its ping may come before the import: librbd then leaves the peer as one that takes only."""
    site.pools["p"].peers = [{"uuid": "u", "direction": 1, "site_name": "b", "mirror_uuid": "m",
                              "client_name": ""}]
    bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", None, seeing())
    [peer] = site.pools["p"].peers
    assert peer["client_name"] == "client.rbd-mirror-peer"
    asked = mirror_peer_set_direction("u", PeerDirection.RX_TX)
    assert site.pools["p"].executed == [(MIRRORING, *asked)]
    assert site.pools["p"].attributes["u"] == {"mon_host": TOKEN.mon_host, "key": TOKEN.key}


def raising(error: MirrorError) -> bootstrap.Look:
    def look(token: Token, pool: str) -> Sight:
        raise error
    return look


@pytest.mark.parametrize("look, number, says", [
    (seeing(fsid="33333333-cccc"), errno.EINVAL, "is 33333333-cccc, not 22222222-bbbb"),
    (seeing(site_name="a"), errno.EINVAL, "--site-name"),
    (seeing(pool_mode=None), errno.ENOENT, "no pool of this name"),
    (seeing(pool_mode=DISABLED), errno.ENOSYS, "not enabled at the other site"),
    (seeing(errno=errno.EACCES), errno.EACCES, "refuse user client.rbd-mirror-peer"),
    (seeing(errno=errno.EACCES), errno.EACCES, "auth_allowed_ciphers, aes must be"),
    (seeing(errno=errno.EOPNOTSUPP, error="the key can't be read"), errno.EINVAL,
     "token: the key can't be read"),
    (seeing(errno=errno.EINVAL), errno.EINVAL, "can't connect"),
    (seeing(errno=errno.ETIMEDOUT), errno.ETIMEDOUT, "no monitor answers at 10.0.0.2"),
    (raising(DeadlineExceeded("x")), errno.ETIMEDOUT, "no monitor answers at 10.0.0.2"),
])
def test_import_refused_and_nothing_changed(site: FakeSite, look: bootstrap.Look, number: int,
                                            says: str) -> None:
    with pytest.raises(MirrorError, match=says) as raised:
        bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", "a", look)
    assert raised.value.errno == number
    assert SECRET not in str(raised.value)
    assert (site.imported, site.site_name) == ([], "")


@pytest.mark.parametrize("differs, number, says", [
    ({"direction": "tx-only"}, errno.EINVAL, "'rx-only' or 'rx-tx'"),
    ({"spec": parse_pool("nopool")}, errno.ENOENT, "no such pool"),
    ({"text": "!!"}, errno.EINVAL, "not base64"),
    ({"text": dataclasses.replace(TOKEN, fsid="11111111-aaaa").encode()}, errno.EINVAL, "own"),
])
def test_import_refused_without_a_look(site: FakeSite, differs: Dict[str, Any], number: int,
                                       says: str) -> None:
    arguments = {"spec": P, "text": TOKEN.encode(), "direction": "rx-tx", "site_name": "a",
                 "look": raising(AssertionError("looked")), **differs}
    with pytest.raises(MirrorError, match=says) as raised:
        bootstrap.import_token(site, **arguments)
    assert raised.value.errno == number
    assert site.site_name == ""


def test_a_pool_that_is_only_prepared_at_the_other_site(site: FakeSite,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", None, seeing(pool_mode=INIT_ONLY))
    install_older(monkeypatch)
    with pytest.raises(NotSupported, match="pool enable p image"):
        bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", None, seeing(pool_mode=INIT_ONLY))
    assert len(site.imported) == 1


def test_a_pool_has_one_peer(site: FakeSite) -> None:
    site.pools["p"].peers = [{"uuid": "u", "direction": 2, "site_name": "c", "mirror_uuid": "",
                              "client_name": "client.c"}]
    with pytest.raises(InvalidArgument, match="'c'"):
        bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", None, seeing())
    assert not site.imported


def test_librbd_fails_at_last(site: FakeSite) -> None:
    site.site_name, site.import_fails = "before", errno.EROFS
    with pytest.raises(MirrorError) as raised:
        bootstrap.import_token(site, P, TOKEN.encode(), "rx-tx", "a", seeing())
    assert raised.value.errno == errno.EROFS
    assert site.site_name == "before"


