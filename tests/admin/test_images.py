from typing import Callable

import pytest

from mirror_mgr.admin import images, promotion, resync
from mirror_mgr.admin.peer_probe import Sight
from mirror_mgr.admin.specs import ImageSpec, parse_image
from mirror_mgr.errors import Busy, InvalidArgument, NotFound, ReadOnly
from mirror_mgr.worker.protocol import ImageReport
from tests.replay.headers import copied, replica

from .fakes import IMAGE, POOL, FakeImage, FakeSite

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


def test_an_image_in_the_way_of_a_copy_is_not_enabled(site: FakeSite, image: FakeImage) -> None:
    reports = [ImageReport("p/x", "global-of-another", "error", "its name is taken")]
    with pytest.raises(InvalidArgument, match="rbd mv p/x"):
        images.enable(site, X, "snapshot", reports)
    with pytest.raises(InvalidArgument, match="rbd mv p/x"):
        promotion.promote(site, X, True, lambda specs: {}, lambda *asked: Sight(), reports)
    image.mirrored = True
    images.enable(site, X, "snapshot", reports)


def test_enable_in_the_other_mode(site: FakeSite, image: FakeImage) -> None:
    images.enable(site, X, "snapshot")
    with pytest.raises(InvalidArgument, match="mirrored in snapshot mode.*image disable p/x"):
        images.enable(site, X, "journal")


@pytest.mark.parametrize("act", [
    lambda site: images.enable(site, X, "snapshot"), lambda site: images.enable(site, X, "journal"),
    lambda site: images.snapshot(site, X),
    lambda site: promotion.promote(site, X, False, lambda specs: {}, lambda *asked: Sight()),
    lambda site: promotion.promote(site, X, True, lambda specs: {}, lambda *asked: Sight()),
    lambda site: resync.resync(site, X, True, lambda *asked: Sight()),
])
def test_what_can_be_done_with_a_copy_out_of_the_trash(
        site: FakeSite, image: FakeImage, act: Callable[[FakeSite], object]) -> None:
    image.header = replica(copied(9, of=3))
    with pytest.raises((InvalidArgument, ReadOnly),
                       match="read-only; .*: ceph rbd-mirror image restore p/x"):
        act(site)
    assert not image.mirrored


def test_clone_needs_its_parent(site: FakeSite, image: FakeImage) -> None:
    site.pools["p"].images["", "clone"] = FakeImage(parent="x")
    image.clones = ("clone",)
    clone = parse_image("p/clone")
    with pytest.raises(InvalidArgument, match="parent.*first.*image enable p/x snapshot"):
        images.enable(site, clone, "snapshot")
    for spec in (X, clone):
        images.enable(site, spec, "snapshot")
    with pytest.raises(Busy, match="image disable CLONE; p/clone is cloned from it"):
        images.disable(site, X)
    assert image.mirrored


def test_pool_mode_goes_by_the_journaling_feature(site: FakeSite, image: FakeImage) -> None:
    site.pools["p"].modes[""] = POOL
    with pytest.raises(InvalidArgument, match="feature enable p/x journaling.*pool enable p image"):
        images.enable(site, X, "snapshot")
    with pytest.raises(InvalidArgument, match="pool mode.*feature enable p/x journaling"):
        images.snapshot(site, X)
    image.mirrored = True
    with pytest.raises(InvalidArgument, match="feature disable p/x journaling"):
        images.disable(site, X)


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
        "image 'IMAGE': busy; run: x IMAGE\nimages: p/b, p/d\n"
        "image 'IMAGE': wrong\nimages: p/e")
    assert images.together({specs[0]: Busy("image 'p/a': busy")}).message == "image 'p/a': busy"
