import pytest

from mirror_mgr.admin.targets import Target, find
from mirror_mgr.errors import InvalidArgument, NotFound

from .fakes import FakeSite


def test_all_levels(site: FakeSite) -> None:
    assert find(site, None, None, None) == Target()
    assert find(site, "p", None, None) == Target(7)
    assert find(site, "p", "ns", None) == Target(7, "ns")
    assert find(site, "p", None, "x") == Target(7, "", "id-x", "x")
    assert find(site, "p", "ns", "x") == Target(7, "ns", "id-x", "x")


@pytest.mark.parametrize("pool, namespace, image, error", [
    (None, None, "x", InvalidArgument), (None, "ns", None, InvalidArgument),
    ("p/ns", None, None, InvalidArgument), ("nope", None, None, NotFound),
    ("p", "nope", None, NotFound), ("p", None, "nope", NotFound), ("p", "ns", "nope", NotFound)])
def test_what_is_not_there(site: FakeSite, pool: str, namespace: str, image: str,
                           error: type) -> None:
    with pytest.raises(error):
        find(site, pool, namespace, image)


def test_only_images_in_snapshot_mode(site: FakeSite) -> None:
    image = site.pools["p"].images["", "x"]
    with pytest.raises(InvalidArgument, match="not enabled"):
        find(site, "p", None, "x", in_snapshot_mode=True)
    image.mirrored, image.mode = True, 0
    with pytest.raises(InvalidArgument, match="journal"):
        find(site, "p", None, "x", in_snapshot_mode=True)
    image.mode = 1
    assert find(site, "p", None, "x", in_snapshot_mode=True).image_id == "id-x"
