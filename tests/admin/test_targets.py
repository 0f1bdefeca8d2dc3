import pytest

from mirror_mgr.admin.targets import find
from mirror_mgr.errors import InvalidArgument

from .fakes import IMAGE, POOL, FakeSite


def test_all_levels(site: FakeSite) -> None:
    assert find(site, None, None, None) == (None, None, None, "", None)
    assert find(site, "p", None, None)[:4] == (7, None, None, "")
    assert find(site, "p", "ns", None)[:4] == find(site, "p/ns", None, None)[:4] == (
        7, "ns", None, "")
    assert find(site, "p", None, "x")[:4] == (7, "", "id-x", "x")
    assert find(site, "p", "ns", "x")[:4] == (7, "ns", "id-x", "x")


@pytest.mark.parametrize("pool, namespace, image", [
    (None, None, "x"), (None, "ns", None), ("p/nope", None, None), ("nope", None, None),
    ("p", "nope", None), ("p", None, "nope"), ("p", "ns", "nope"), ("p/ns/x", None, None)])
def test_what_is_not_there(site: FakeSite, pool: str, namespace: str, image: str) -> None:
    with pytest.raises(InvalidArgument):
        find(site, pool, namespace, image)


def test_only_images_in_snapshot_mode(site: FakeSite) -> None:
    image = site.pools["p"].images["", "x"]
    with pytest.raises(InvalidArgument, match="not enabled"):
        find(site, "p", None, "x").must_fit()
    image.mirrored, image.mode = True, 0
    with pytest.raises(InvalidArgument, match="journal"):
        find(site, "p", None, "x").must_fit()
    image.mode = 1
    assert find(site, "p", None, "x").must_fit().image_id == "id-x"


def test_only_namespaces_that_are_mirrored_by_images(site: FakeSite) -> None:
    pool = site.pools["p"]
    for mode in (0, POOL):
        pool.modes["ns"] = mode
        with pytest.raises(InvalidArgument, match="pool enable p/ns image"):
            find(site, "p", "ns", None).must_fit()
    pool.modes["ns"] = IMAGE
    assert find(site, "p", "ns", None).must_fit().namespace == "ns"


def test_only_pools_of_rbd(site: FakeSite) -> None:
    pool = site.pools["p"]
    for applications in (["rbd"], [], ["rgw", "rbd"]):
        pool.applications = applications
        assert find(site, "p", None, None).must_fit().pool_id == 7
    pool.applications = ["cephfs"]
    with pytest.raises(InvalidArgument, match="cephfs"):
        find(site, "p", None, None).must_fit()
