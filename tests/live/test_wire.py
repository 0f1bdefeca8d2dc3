"""Every call as an OSD takes it: written with our bytes, read back from what RADOS then holds."""

import os
from typing import Dict, Iterator

import pytest
import rados
import rbd

from mirror_mgr.wire import cls_lock, cls_rbd
from mirror_mgr.wire.cls import Call
from mirror_mgr.wire.constants import (
    NO_SNAP_LIMIT,
    Feature,
    HeaderFlag,
    ImageMode,
    MirrorImageState,
    MirrorMode,
    NamespaceType,
    ObjectState,
    OpFeature,
    PeerDirection,
    Protection,
    SnapState,
    StatusState,
    TrashSource,
)
from mirror_mgr.wire.header import ImageHeader, ParentLink
from mirror_mgr.wire.mirror import MirrorImage, MirrorPool, SiteStatus
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import MirrorNamespace, TrashNamespace, UserNamespace
from mirror_mgr.wire.trash import TrashEntry
from qa.sites import Site

N, E, P, C = ObjectState
HEADER = "rbd_header.wire"


@pytest.fixture(scope="module")
def site(lab) -> Site:
    return lab.sites["site-a"]


@pytest.fixture(scope="module")
def cluster(site: Site) -> Iterator[rados.Rados]:
    opened = site.rados()
    yield opened
    opened.shutdown()


@pytest.fixture(scope="module")
def ioctx(site: Site, cluster: rados.Rados) -> Iterator[rados.Ioctx]:
    name = f"wire-{os.getpid()}"
    site.create_pool(name)
    with cluster.open_ioctx(name) as opened:
        yield opened
    site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def ask(ioctx: rados.Ioctx, oid: str, call: Call) -> bytes:
    return bytes(ioctx.execute(oid, *call)[1])


def omap(ioctx: rados.Ioctx, oid: str) -> Dict[str, bytes]:
    with rados.ReadOpCtx() as op:
        entries, _ = ioctx.get_omap_vals(op, "", "", 1000)
        ioctx.operate_read_op(op, oid)
        return dict(entries)


def header(ioctx: rados.Ioctx, oid: str = HEADER) -> ImageHeader:
    return ImageHeader.from_omap(omap(ioctx, oid))


@pytest.fixture
def image(ioctx: rados.Ioctx) -> Iterator[str]:
    """The header of an image of 40 MiB."""
    features = Feature.LAYERING | Feature.STRIPING | Feature.OBJECT_MAP | Feature.FAST_DIFF \
        | Feature.EXCLUSIVE_LOCK
    ask(ioctx, HEADER, cls_rbd.create(40 << 20, 22, features, "rbd_data.wire"))
    ask(ioctx, HEADER, cls_rbd.set_stripe_unit_count(65536, 4))
    yield HEADER
    ioctx.remove_object(HEADER)


def test_header(ioctx, image) -> None:
    ask(ioctx, image, cls_rbd.set_size(50 << 20))
    ask(ioctx, image, cls_rbd.set_features(Feature.NON_PRIMARY, Feature.NON_PRIMARY))
    ask(ioctx, image, cls_rbd.set_flags(HeaderFlag.FAST_DIFF_INVALID, 3))
    ask(ioctx, image, cls_rbd.op_features_set(OpFeature.CLONE_PARENT, OpFeature.CLONE_PARENT))
    ask(ioctx, image, cls_rbd.metadata_set({"k": b"v", "a": b""}))
    ask(ioctx, image, cls_rbd.metadata_remove("a"))
    ask(ioctx, image, cls_rbd.snapshot_set_limit(3))
    found = header(ioctx)
    assert (found.size, found.flags, found.op_features, found.snap_limit) == (
        50 << 20, HeaderFlag.FAST_DIFF_INVALID, OpFeature.CLONE_PARENT, 3)
    assert (found.stripe_unit, found.stripe_count) == (65536, 4)
    assert Feature.NON_PRIMARY | Feature.OPERATIONS in found.features
    assert found.metadata == {"k": b"v"}
    assert cls_rbd.decode_metadata_list(
        ask(ioctx, image, cls_rbd.metadata_list())) == found.metadata
    ask(ioctx, image, cls_rbd.snapshot_set_limit(NO_SNAP_LIMIT))
    assert header(ioctx).snap_limit == NO_SNAP_LIMIT


def test_snapshots(ioctx, image) -> None:
    namespace = MirrorNamespace(SnapState.NON_PRIMARY, False, frozenset({"p", "q"}), "uuid", 9, 0,
                                {9: 5, 8: 4})
    ask(ioctx, image, cls_rbd.snapshot_add("user", 4, UserNamespace()))
    ask(ioctx, image, cls_rbd.snapshot_add("mirror", 5, namespace))
    ask(ioctx, image, cls_rbd.snapshot_rename(4, "renamed"))
    ask(ioctx, image, cls_rbd.set_protection_status(4, Protection.PROTECTED))
    ask(ioctx, image, cls_rbd.mirror_image_snapshot_set_copy_progress(5, True, 12))
    ask(ioctx, image, cls_rbd.mirror_image_snapshot_unlink_peer(5, "p"))
    user, mirror = header(ioctx).snapshots
    assert (user.name, user.protection) == ("renamed", Protection.PROTECTED)
    assert mirror.namespace == MirrorNamespace(
        SnapState.NON_PRIMARY, True, frozenset({"q"}), "uuid", 9, 12, {9: 5, 8: 4})
    ask(ioctx, image, cls_rbd.snapshot_remove(5))
    assert header(ioctx).snap_ids == (4,)


def test_parent_and_children(ioctx, image) -> None:
    pool_id = ioctx.get_pool_id()
    ask(ioctx, image, cls_rbd.parent_attach(pool_id, "ns", "parent", 7, 1 << 20))
    assert header(ioctx).parent == ParentLink(pool_id, "ns", "parent", 7, 1 << 20)
    ask(ioctx, image, cls_rbd.parent_detach())
    assert header(ioctx).parent is None
    ask(ioctx, image, cls_rbd.snapshot_add("base", 4, UserNamespace()))
    ask(ioctx, image, cls_rbd.child_attach(4, pool_id, "ns", "child"))
    assert header(ioctx).snapshots[0].child_count == 1
    ask(ioctx, image, cls_rbd.snapshot_trash_add(4))
    assert header(ioctx).snapshots[0].namespace == TrashNamespace("base", NamespaceType.USER)
    ask(ioctx, image, cls_rbd.child_detach(4, pool_id, "ns", "child"))
    assert header(ioctx).snapshots[0].child_count == 0
    ask(ioctx, "rbd_children", cls_rbd.add_child(pool_id, "parent", 7, "child"))
    assert cls_rbd.decode_get_children(ask(ioctx, "rbd_children", cls_rbd.get_children(
        pool_id, "parent", 7))) == ["child"]
    ask(ioctx, "rbd_children", cls_rbd.remove_child(pool_id, "parent", 7, "child"))
    assert not omap(ioctx, "rbd_children")


def test_object_maps(ioctx) -> None:
    oid = "rbd_object_map.wire"

    def load() -> ObjectMap:
        return cls_rbd.decode_object_map_load(ask(ioctx, oid, cls_rbd.object_map_load()))

    ask(ioctx, oid, cls_rbd.object_map_resize(3, C))
    assert load() == ObjectMap(bytes([C, C, C]))
    big = ObjectMap(bytes([N, E, P, C]) * 30000 + bytes([E]))
    ask(ioctx, oid, cls_rbd.object_map_save(big))
    found = ioctx.execute(oid, *cls_rbd.object_map_load(), 1 << 20)[1]
    assert cls_rbd.decode_object_map_load(bytes(found)) == big
    ask(ioctx, oid, cls_rbd.object_map_save(ObjectMap(bytes([N, E, C, E, C]))))
    ask(ioctx, oid, cls_rbd.object_map_update(0, 4, N, E))
    assert load() == ObjectMap(bytes([N, N, N, N, C]))
    ask(ioctx, oid, cls_rbd.object_map_update(3, 5, E, C))
    assert load() == ObjectMap(bytes([N, N, N, N, E]))
    ask(ioctx, oid, cls_rbd.object_map_update(0, 3, E))
    ask(ioctx, oid, cls_rbd.object_map_snap_add())
    assert load() == ObjectMap(bytes([C, C, C, N, C]))
    ask(ioctx, oid, cls_rbd.object_map_snap_remove(ObjectMap(bytes([E, C, E, N, C]))))
    assert load() == ObjectMap(bytes([E, C, E, N, C]))


def test_mirroring(ioctx, site) -> None:
    oid = "rbd_mirroring"
    site.rbd("mirror", "pool", "enable", ioctx.name, "image")
    ask(ioctx, oid, cls_rbd.mirror_peer_ping("other site", "their uuid"))
    image = MirrorImage("gid", MirrorImageState.CREATING, ImageMode.SNAPSHOT)
    ask(ioctx, oid, cls_rbd.mirror_image_set("1", image))
    pool = MirrorPool.from_omap(omap(ioctx, oid))
    peer, = pool.peers
    assert (peer.site_name, peer.mirror_uuid, peer.direction) == (
        "other site", "their uuid", PeerDirection.TX)
    assert pool.images == {"1": image}
    assert pool.mode == MirrorMode.IMAGE == cls_rbd.decode_mirror_mode_get(
        ask(ioctx, oid, cls_rbd.mirror_mode_get()))
    assert cls_rbd.decode_mirror_image_get_image_id(
        ask(ioctx, oid, cls_rbd.mirror_image_get_image_id("gid"))) == "1"
    ask(ioctx, oid, cls_rbd.mirror_image_set("1", MirrorImage(
        "gid", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)))
    own = SiteStatus("", StatusState.REPLAYING, "here")
    other = SiteStatus("their uuid", StatusState.ERROR, "there")
    for status in (own, other):
        ask(ioctx, oid, cls_rbd.mirror_image_status_set("gid", status))
    found = cls_rbd.decode_mirror_image_status_get(
        ask(ioctx, oid, cls_rbd.mirror_image_status_get("gid")))
    assert [(s.mirror_uuid, s.state, s.description, s.up) for s in found] == [
        (s.mirror_uuid, s.state, s.description, False) for s in (own, other)]
    listed, statuses = cls_rbd.decode_mirror_image_status_list(
        ask(ioctx, oid, cls_rbd.mirror_image_status_list()))
    assert (listed["1"].global_id, statuses) == ("gid", {"1": found})
    ask(ioctx, oid, cls_rbd.mirror_image_status_remove("gid"))
    ask(ioctx, oid, cls_rbd.mirror_image_set("1", MirrorImage(
        "gid", MirrorImageState.DISABLING, ImageMode.SNAPSHOT)))
    ask(ioctx, oid, cls_rbd.mirror_image_remove("1"))
    assert cls_rbd.decode_mirror_image_list(
        ask(ioctx, oid, cls_rbd.mirror_image_list())) == {}


def test_directory_and_trash(ioctx) -> None:
    oid = "rbd_directory"
    ask(ioctx, oid, cls_rbd.dir_add_image("one", "1"))
    ask(ioctx, oid, cls_rbd.dir_rename_image("one", "two", "1"))
    assert cls_rbd.decode_dir_list(ask(ioctx, oid, cls_rbd.dir_list())) == {"two": "1"}
    assert cls_rbd.decode_dir_get_name(ask(ioctx, oid, cls_rbd.dir_get_name("1"))) == "two"
    assert cls_rbd.decode_dir_get_id(ask(ioctx, oid, cls_rbd.dir_get_id("two"))) == "1"
    ask(ioctx, oid, cls_rbd.dir_remove_image("two", "1"))
    with rados.WriteOpCtx() as op:
        op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        op.execute(*cls_rbd.set_id("1"))
        ioctx.operate_write_op(op, "rbd_id.two")
    assert cls_rbd.decode_get_id(ask(ioctx, "rbd_id.two", cls_rbd.get_id())) == "1"
    entry = TrashEntry(TrashSource.MIRRORING, "two", 5_000000006, 2**31 * 10**9)
    ask(ioctx, "rbd_trash", cls_rbd.trash_add("1", entry))
    assert cls_rbd.decode_trash_list(
        ask(ioctx, "rbd_trash", cls_rbd.trash_list())) == {"1": entry}
    listed, = rbd.RBD().trash_list(ioctx)
    assert (listed["id"], listed["name"], listed["source"]) == ("1", "two", "MIRRORING")
    ask(ioctx, "rbd_trash", cls_rbd.trash_remove("1"))
    assert cls_rbd.decode_trash_list(ask(ioctx, "rbd_trash", cls_rbd.trash_list())) == {}


def test_namespaces(ioctx) -> None:
    rbd.RBD().namespace_create(ioctx, "tenant")
    assert cls_rbd.decode_namespace_list(
        ask(ioctx, "rbd_namespace", cls_rbd.namespace_list())) == ["tenant"]
    ioctx.set_namespace("tenant")
    try:
        ask(ioctx, "rbd_directory", cls_rbd.dir_state_assert_ready())
    finally:
        ioctx.set_namespace("")


def test_lock(ioctx, site, cluster) -> None:
    oid = "locked"
    call = cls_lock.lock("name", True, "auto 5", cls_lock.INTERNAL_TAG, "who", 30)
    ask(ioctx, oid, call)
    with pytest.raises(rados.ObjectExists):
        ask(ioctx, oid, call)
    ask(ioctx, oid, cls_lock.lock("name", True, "auto 5", cls_lock.INTERNAL_TAG, "who", 30,
                                  cls_lock.RENEW))
    info = cls_lock.decode_get_info(ask(ioctx, oid, cls_lock.get_info("name")))
    holder, = info.lockers
    assert (info.type, info.tag, holder.cookie, holder.description) == (
        1, cls_lock.INTERNAL_TAG, "auto 5", "who")
    assert holder.entity == f"client.{cluster.get_instance_id()}"
    assert holder.expiration_ns > 0
    assert holder.address in cluster.get_addrs()
    with pytest.raises(rados.Error):
        ask(ioctx, oid, cls_lock.unlock("name", "another"))
    ask(ioctx, oid, cls_lock.unlock("name", "auto 5"))
    assert cls_lock.decode_get_info(
        ask(ioctx, oid, cls_lock.get_info("name"))).lockers == ()


def test_breaking_a_lock_and_fencing_its_holder(ioctx, site) -> None:
    stalled = site.rados()
    with stalled.open_ioctx(ioctx.name) as theirs:
        for cookie in ("a", "b"):
            ask(theirs, "fenced", cls_lock.lock("name", False, cookie))
        holder, other = cls_lock.decode_get_info(
            ask(ioctx, "fenced", cls_lock.get_info("name"))).lockers
        assert (holder.cookie, other.cookie, holder.entity) == ("a", "b", other.entity)
        site.ceph("osd", "blocklist", "add", holder.address, "60")
        ask(ioctx, "fenced", cls_lock.break_lock("name", holder.entity, "a"))
        assert [left.cookie for left in cls_lock.decode_get_info(
            ask(ioctx, "fenced", cls_lock.get_info("name"))).lockers] == ["b"]
        with pytest.raises(rados.ConnectionShutdown):
            theirs.write_full("late", b"x")
        site.ceph("osd", "blocklist", "rm", holder.address)
    stalled.shutdown()
