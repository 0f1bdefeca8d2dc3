from typing import Optional

import pytest

from mirror_mgr.admin import pools
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.errors import Busy, InvalidArgument, MirrorError, NotFound, NotSupported
from mirror_mgr.model import PoolInfo

from .fakes import DISABLED, IMAGE, INIT_ONLY, POOL, FakeImage, FakeSite, install_older

P, NS = parse_pool("p"), parse_pool("p/ns")


def test_enable(site: FakeSite) -> None:
    assert pools.enable(site, P, "image", "a") == ""
    assert site.pools["p"].modes == {"": IMAGE, "ns": DISABLED}
    assert site.site_name == "a"


def test_enable_says_what_was_so_already(site: FakeSite) -> None:
    pools.enable(site, NS, "image")
    assert pools.enable(site, NS, "image") == "mirroring is already configured for image mode"
    assert pools.enable(site, NS, "image", "a") == ""
    assert pools.enable(site, NS, "image", "a") == (
        "mirroring is already configured for image mode")
    assert site.pools["p"].modes[""] == DISABLED


def test_enable_in_another_mode(site: FakeSite) -> None:
    pools.enable(site, P, "image")
    assert pools.enable(site, P, "pool") == "note: changing mirroring mode from image to pool"
    assert site.pools["p"].modes[""] == POOL


@pytest.mark.parametrize("spec, mode, error", [
    ("p", "bogus", InvalidArgument),
    ("p", "disabled", InvalidArgument),
    ("nopool", "image", NotFound),
    ("p/nons", "image", NotFound),
])
def test_enable_refused(site: FakeSite, spec: str, mode: str, error: type) -> None:
    with pytest.raises(error):
        pools.enable(site, parse_pool(spec), mode, "new")
    assert site.site_name == ""
    assert site.pools["p"].modes == {"": DISABLED, "ns": DISABLED}


def test_disable_takes_the_images_along(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes = {"": POOL, "ns": IMAGE}
    for image in pool.images.values():
        image.mirrored = True
    assert pools.disable(site, P) == ""
    assert pool.modes == {"": DISABLED, "ns": IMAGE}
    assert [image.mirrored for image in pool.images.values()] == [False, True]
    assert pools.disable(site, P) == "mirroring is already disabled"


def test_disable_takes_clones_before_their_parents(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes[""] = IMAGE
    pool.images = {("", "top"): FakeImage(mirrored=True, clones=("middle",)),
                   ("", "middle"): FakeImage(mirrored=True, clones=("leaf",)),
                   ("", "leaf"): FakeImage(mirrored=True)}
    pools.disable(site, P)
    assert not any(image.mirrored for image in pool.images.values())


def test_disable_refuses_while_an_image_is_not_primary(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes[""] = POOL
    pool.images["", "copy"] = FakeImage(primary=False, mirrored=True)
    pool.images["", "x"].mirrored = True
    with pytest.raises(InvalidArgument, match="p/copy is not primary"):
        pools.disable(site, P)
    assert pool.modes[""] == POOL
    assert pool.images["", "x"].mirrored


def test_disable_refuses_while_there_are_peers(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes = {"": IMAGE, "ns": IMAGE}
    pool.images["", "x"].mirrored = True
    pool.peers = [{"uuid": "u", "direction": 1, "site_name": "b", "mirror_uuid": "",
                   "client_name": ""}]
    with pytest.raises(Busy, match="peer remove p u"):
        pools.disable(site, P)
    assert pool.images["", "x"].mirrored


def test_disable_that_fails_half_way_keeps_the_mode(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes = {"": POOL, "ns": IMAGE}
    pool.images = {("", "parent"): FakeImage(mirrored=True, clones=("clone",)),
                   ("", "other"): FakeImage(mirrored=True),
                   ("", "clone"): FakeImage(mirrored=True, broken=True)}
    with pytest.raises(MirrorError, match="p/clone"):
        pools.disable(site, P)
    assert pool.modes[""] == POOL


def test_info(site: FakeSite) -> None:
    assert pools.info(site, P) == PoolInfo("disabled")
    site.pools["p"].modes = {"": IMAGE, "ns": POOL}
    assert pools.info(site, NS) == PoolInfo("pool", mirror_uuid="HERE/ns", remote_namespace="ns")
    site.pools["p"].peers = [{"uuid": "u", "direction": 2, "site_name": "b",
                              "mirror_uuid": "m", "client_name": "client.c"}]
    info = pools.info(site, P)
    assert (info.mode, info.site_name) == ("image", site.fsid)
    assert (info.mirror_uuid, info.remote_namespace) == ("HERE", "")
    assert info.peers is not None
    assert (info.peers[0].direction, info.peers[0].mon_host) == ("rx-tx", None)


def test_info_shows_monitors_on_demand_and_never_a_key(site: FakeSite) -> None:
    pool = site.pools["p"]
    pool.modes[""] = IMAGE
    pool.peers = [{"uuid": uuid, "direction": 0, "site_name": "b", "mirror_uuid": "",
                   "client_name": "client.c"} for uuid in ("u", "v")]
    pool.attributes["u"] = {"mon_host": "1.2.3.4", "key": "SECRET"}
    info = pools.info(site, P, with_mon_host=True)
    assert info.peers is not None
    assert [peer.mon_host for peer in info.peers] == ["1.2.3.4", ""]
    assert "SECRET" not in repr(info)


def test_info_where_librbd_has_no_remote_namespaces(site: FakeSite,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    install_older(monkeypatch)
    site.pools["p"].modes["ns"] = POOL
    assert pools.info(site, NS) == PoolInfo("pool", mirror_uuid="HERE/ns")


def test_a_pool_is_prepared_for_its_namespaces(site: FakeSite) -> None:
    assert pools.enable(site, P, "init-only") == ""
    assert site.pools["p"].modes == {"": INIT_ONLY, "ns": DISABLED}
    assert pools.enable(site, P, "init-only") == (
        "mirroring is already configured for init-only mode")
    assert pools.info(site, P).mode == "init-only"
    assert pools.enable(site, NS, "image") == pools.enable(site, P, "image") == ""
    assert pools.disable(site, P) == ""


@pytest.mark.parametrize("mode", (IMAGE, POOL))
def test_no_pool_is_only_prepared_while_images_are_mirrored(site: FakeSite, mode: int) -> None:
    pool = site.pools["p"]
    pool.modes[""] = mode
    pool.images["", "x"].mirrored = True
    with pytest.raises(InvalidArgument, match="p/x is mirrored"):
        pools.enable(site, P, "init-only", "new")
    assert (pool.modes[""], pool.images["", "x"].mirrored, site.site_name) == (mode, True, "")


@pytest.mark.parametrize("spec, remote", [("p/ns", None), ("p", "other")])
def test_only_the_default_namespace_is_only_prepared(site: FakeSite, spec: str,
                                                     remote: Optional[str]) -> None:
    with pytest.raises(InvalidArgument, match="init-only"):
        pools.enable(site, parse_pool(spec), "init-only", remote_namespace=remote)
    assert site.pools["p"].modes == {"": DISABLED, "ns": DISABLED}


def test_a_mode_that_can_not_be_set_leaves_the_one_before(site: FakeSite) -> None:
    site.pools["p"].old_osds = True
    with pytest.raises(InvalidArgument):
        pools.enable(site, P, "init-only")
    assert site.pools["p"].modes[""] == DISABLED


@pytest.mark.parametrize("spec, remote", [("p/ns", "other"), ("p/ns", ""), ("p", "other")])
def test_a_namespace_is_mirrored_with_another(site: FakeSite, spec: str, remote: str) -> None:
    where = parse_pool(spec)
    assert pools.enable(site, where, "image", remote_namespace=remote) == ""
    assert site.pools["p"].remotes == {where.namespace: remote}
    assert pools.info(site, where).remote_namespace == remote
    assert pools.enable(site, where, "pool", remote_namespace=remote) == (
        "note: changing mirroring mode from image to pool")


def test_the_other_namespace_is_not_changed_while_it_counts(site: FakeSite) -> None:
    pools.enable(site, NS, "image", remote_namespace="other")
    for remote in (None, "third", "ns", ""):
        with pytest.raises(InvalidArgument, match="--remote-namespace other.*pool disable p/ns"):
            pools.enable(site, NS, "pool", remote_namespace=remote)
    assert site.pools["p"].modes["ns"] == IMAGE
    assert site.pools["p"].remotes["ns"] == "other"


def test_the_default_namespace_is_named_by_nothing(site: FakeSite) -> None:
    pools.enable(site, NS, "image", remote_namespace="")
    with pytest.raises(InvalidArgument, match="default namespace.*--remote-namespace ''"):
        pools.enable(site, NS, "image")


@pytest.mark.parametrize("first, second", [("other", "other"), (None, "ns"), ("", None)])
def test_two_namespaces_are_not_mirrored_with_the_same_one(
        site: FakeSite, first: Optional[str], second: Optional[str]) -> None:
    pools.enable(site, NS, "image", remote_namespace=first)
    with pytest.raises(InvalidArgument, match="with 'p/ns' here already"):
        pools.enable(site, P, "image", remote_namespace=second)
    assert site.pools["p"].modes == {"": DISABLED, "ns": IMAGE}
    assert "" not in site.pools["p"].remotes


@pytest.mark.parametrize("remote", ("p/other", "other@snap"))
def test_what_is_no_namespace_is_refused(site: FakeSite, remote: str) -> None:
    with pytest.raises(InvalidArgument, match="remote namespace"):
        pools.enable(site, NS, "image", remote_namespace=remote)
    assert site.pools["p"].modes["ns"] == DISABLED


def test_an_older_librbd_refuses_what_it_can_not_do(site: FakeSite,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    install_older(monkeypatch)
    with pytest.raises(NotSupported, match="same name"):
        pools.enable(site, NS, "image", "new", "other")
    with pytest.raises(InvalidArgument, match="Ceph 20"):
        pools.enable(site, P, "init-only", "new")
    assert (site.site_name, site.pools["p"].modes["ns"]) == ("", DISABLED)
    assert pools.enable(site, NS, "image", remote_namespace="ns") == ""


def test_osds_that_are_not_upgraded_yet_can_not_do_it_either(site: FakeSite) -> None:
    site.pools["p"].old_osds = True
    with pytest.raises(NotSupported, match="finish its upgrade"):
        pools.enable(site, NS, "image", remote_namespace="other")
    assert site.pools["p"].modes["ns"] == DISABLED
