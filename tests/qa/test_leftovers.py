"""Which objects belong to an image, by their names alone."""

import pytest

pytest.importorskip("ceph_argparse", reason="needs ceph-common")

from qa.leftovers import _belongs  # noqa: E402

IMAGES = {"12ab": "disk", "22102919067": "digits"}
SNAPSHOTS = {"12ab": {4, 16}, "22102919067": set()}


@pytest.mark.parametrize("oid", [
    "rbd_directory", "rbd_mirroring", "rbd_id.disk", "rbd_header.12ab", "rbd_object_map.12ab",
    "rbd_object_map.12ab.0000000000000010", "rbd_mirror_snapshot.12ab.16.0",
    "rbd_data.12ab.0000000000000001", "rbd_data.7.12ab.0000000000000001",
    "rbd_data.22102919067.0000000000000001", "rbd_data.7.22102919067.0000000000000001",
])
def test_what_belongs_to_an_image(oid: str) -> None:
    assert _belongs(oid, IMAGES, SNAPSHOTS)


@pytest.mark.parametrize("oid", [
    "rbd_id.gone", "rbd_header.77", "rbd_object_map.77", "rbd_object_map.12ab.0000000000000011",
    "rbd_mirror_snapshot.12ab.17.0", "rbd_data.77.0000000000000001",
])
def test_what_is_left_over(oid: str) -> None:
    assert not _belongs(oid, IMAGES, SNAPSHOTS)
