import pytest

from mirror_mgr.admin import images
from mirror_mgr.admin.specs import ImageSpec, parse_image, parse_pool
from mirror_mgr.errors import Busy, InvalidArgument, NotFound

from .fakes import IMAGE, FakeImage, FakeSite

X = parse_image("p/x")


@pytest.fixture
def image(site: FakeSite) -> FakeImage:
    site.pools["p"].modes[""] = IMAGE
    return site.pools["p"].images["", "x"]


def test_enable(site: FakeSite, image: FakeImage) -> None:
    images.enable(site, X, "snapshot")
    images.enable(site, X, "snapshot")
    assert (image.mirrored, image.mode) == (True, 1)


@pytest.mark.parametrize("spec, mode, error, says", [
    ("p/x", "bogus", InvalidArgument, "'journal' or 'snapshot'"),
    ("p/nono", "snapshot", NotFound, "rbd ls p"),
    ("nopool/x", "snapshot", NotFound, "no such pool"),
    ("p/nons/x", "snapshot", NotFound, "no such namespace"),
    ("p/ns/x", "snapshot", InvalidArgument, "pool enable p/ns image"),
])
def test_enable_refused(site: FakeSite, image: FakeImage, spec: str, mode: str, error: type,
                        says: str) -> None:
    with pytest.raises(error, match=says):
        images.enable(site, parse_image(spec), mode)
    assert not image.mirrored


def test_enable_in_the_other_mode(site: FakeSite, image: FakeImage) -> None:
    images.enable(site, X, "snapshot")
    with pytest.raises(InvalidArgument, match="mirrored in snapshot mode.*image disable p/x"):
        images.enable(site, X, "journal")


def test_disable(site: FakeSite, image: FakeImage) -> None:
    image.mirrored = True
    images.disable(site, X)
    images.disable(site, X)
    assert not image.mirrored


def test_disable_of_a_copy_takes_force(site: FakeSite, image: FakeImage) -> None:
    image.mirrored, image.primary = True, False
    with pytest.raises(InvalidArgument, match="--force"):
        images.disable(site, X)
    assert image.mirrored
    images.disable(site, X, force=True)
    assert not image.mirrored


def test_snapshot(site: FakeSite, image: FakeImage) -> None:
    with pytest.raises(InvalidArgument, match="image enable p/x snapshot"):
        images.snapshot(site, X)
    image.mirrored = True
    assert images.snapshot(site, X) == 1
    image.mode = 0
    with pytest.raises(InvalidArgument, match="by its journal"):
        images.snapshot(site, X)
    image.mode, image.primary = 1, False
    with pytest.raises(InvalidArgument, match="not primary here"):
        images.snapshot(site, X)


def test_demote_all(site: FakeSite, image: FakeImage) -> None:
    pool = site.pools["p"]
    pool.images["", "copy"] = FakeImage(primary=False, mirrored=True)
    image.mirrored = True
    assert images.demote_all(site, parse_pool("p")) == (1, {})
    assert not image.primary
    with pytest.raises(InvalidArgument, match="not enabled"):
        images.demote_all(site, parse_pool("p/ns"))


def test_demote(site: FakeSite, image: FakeImage) -> None:
    image.mirrored = True
    images.demote(site, X)
    assert not image.primary
    with pytest.raises(InvalidArgument, match="not primary here"):
        images.demote(site, X)


def test_not_mirrored(site: FakeSite, image: FakeImage) -> None:
    with pytest.raises(InvalidArgument, match="not enabled"):
        images.demote(site, X)


def test_one_failure_hides_no_other() -> None:
    specs = [parse_image(f"p/{name}") for name in "abcde"]
    done = []

    def action(spec: ImageSpec) -> None:
        if spec.name in "bd":
            raise Busy(f"image '{spec}': busy; run: x {spec}")
        if spec.name == "e":
            raise InvalidArgument(f"image '{spec}': wrong")
        done.append(spec.name)

    error = images.together(images.each(specs, action))
    assert sorted(done) == ["a", "c"]
    assert isinstance(error, Busy)
    assert error.message == (
        "image 'IMAGE': busy; run: x IMAGE\nIMAGE is: p/b, p/d\n"
        "image 'IMAGE': wrong\nIMAGE is: p/e")
    assert images.together({specs[0]: Busy("image 'p/a': busy")}).message == "image 'p/a': busy"
