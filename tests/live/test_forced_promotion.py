"""librbd 16.2.15 crashes on some images that are promoted by force: ours are made ready for it."""

from typing import Iterator, List

import pytest
import rados

from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import SnapState
from mirror_mgr.wire.header import ImageHeader, header_oid
from mirror_mgr.wire.snapshot import MirrorNamespace, UserNamespace
from qa.mirrored import set_workers
from qa.sites import Site
from qa.waiting import wait_for


def header_of(ioctx: "rados.Ioctx", image_id: str) -> ImageHeader:
    with rados.ReadOpCtx() as read:
        entries, _ = ioctx.get_omap_vals(read, "", "", 1000)
        ioctx.operate_read_op(read, header_oid(image_id))
        return ImageHeader.from_omap(dict(entries))


def leave_half_synced(site: Site, pool: str, name: str) -> None:
    """Give a copy what a sync leaves that dies between a user snapshot and its own end."""
    image_id = site.rbd_json("info", f"{pool}/{name}")["id"]
    cluster = site.rados()
    with cluster.open_ioctx(pool) as ioctx:
        [complete] = header_of(ioctx, image_id).mirror_snapshots
        assert isinstance(complete.namespace, MirrorNamespace)
        half = MirrorNamespace(
            SnapState.NON_PRIMARY, complete=False,
            primary_mirror_uuid=complete.namespace.primary_mirror_uuid,
            primary_snap_id=complete.namespace.primary_snap_id + 1)
        for snapshot, namespace in (("user", UserNamespace()), (".mirror.half", half)):
            snap_id = ioctx.create_self_managed_snap()
            ioctx.execute(header_oid(image_id),
                          *cls_rbd.snapshot_add(snapshot, snap_id, namespace))
    cluster.shutdown()


@pytest.fixture
def copies(site_a: Site, site_b: Site, pool: str) -> Iterator[List[str]]:
    """Three copies, all synced, and nobody there any more to go on with them."""
    images = [f"{pool}/{name}" for name in ("first", "half", "last")]
    for image in images:
        site_a.rbd("create", image, "--size", "8M")
        site_a.ceph("rbd-mirror", "image", "enable", image, "snapshot")

    def synced() -> bool:
        status = site_b.ceph_json("rbd-mirror", "pool", "status", pool)
        return bool(status["summary"]["states"] == {"replaying": 3})

    wait_for(synced, lambda: site_b.ceph("rbd-mirror", "pool", "status", pool, "--detail"))
    set_workers(site_b, 0)
    wait_for(lambda: not site_b.ceph_json("rbd-mirror", "worker", "ls"))
    yield images
    set_workers(site_b, 1)


def test_an_image_that_crashes_librbd_is_promoted_with_the_others(
        site_b: Site, pool: str, copies: List[str]) -> None:
    leave_half_synced(site_b, pool, "half")
    manager = site_b.pid("mgr.x")
    done = site_b.ceph("rbd-mirror", "pool", "promote", pool, "--force")
    assert done.strip() == "Promoted 3 mirrored images"
    assert all(site_b.rbd_json("info", image)["mirroring"]["primary"] for image in copies)
    assert site_b.rbd_json("snap", "ls", f"{pool}/half") == []
    assert site_b.pid("mgr.x") == manager
