"""A copy that is mirrored no more, as one that came out of the trash: what is said of it."""

import pytest

from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import header_oid
from qa.sites import Site


@pytest.fixture
def left(site_b: Site, pool: str) -> str:
    image = f"{pool}/left"
    site_b.rbd("create", image, "--size", "8M")
    image_id = site_b.rbd_json("info", image)["id"]
    cluster = site_b.rados()
    with cluster.open_ioctx(pool) as ioctx:
        ioctx.execute(header_oid(image_id), *cls_rbd.set_features(
            Feature.NON_PRIMARY, Feature.NON_PRIMARY))
    cluster.shutdown()
    return image


def test_its_cure_is_named(site_b: Site, left: str) -> None:
    for words in (["status"], ["promote"], ["promote", "--force"], ["snapshot"], ["demote"],
                  ["resync"], ["enable", "journal"], ["enable", "snapshot"]):
        verb, *more = words
        ours = site_b.run("ceph", "rbd-mirror", "image", verb, left, *more)
        theirs = site_b.run("rbd", "mirror", "image", verb, left, *more)
        assert f"ceph rbd-mirror image restore {left}" in ours.stderr, (words, ours.stderr)
        assert ours.returncode == theirs.returncode, (words, ours.returncode, theirs.returncode)
