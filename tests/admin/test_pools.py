import pytest

from mirror_mgr.admin import pools
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.errors import Busy, InvalidArgument, MirrorError, NotFound
from mirror_mgr.model import PoolInfo

from .fakes import DISABLED, IMAGE, POOL, FakeImage, FakeSite

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
    assert pools.info(site, NS) == PoolInfo("pool")
    site.pools["p"].peers = [{"uuid": "u", "direction": 2, "site_name": "b",
                              "mirror_uuid": "m", "client_name": "client.c"}]
    info = pools.info(site, P)
    assert (info.mode, info.site_name) == ("image", site.fsid)
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
