"""How a mirror snapshot goes that this site needs no longer: by us, or by librbd."""

import asyncio

import pytest

from mirror_mgr.errors import Busy
from mirror_mgr.replay import unlink
from mirror_mgr.replay.image import Image
from mirror_mgr.wire.constants import Feature, ObjectState, SnapState
from mirror_mgr.wire.header import object_map_oid
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import MirrorNamespace, Snapshot
from tests.replay.fake_site import FakeHeader, FakeSite, FakeWatch, SiteConnection, SitePool

US, THEM = "peer-us", "peer-them"
LOCKING = Feature.LAYERING | Feature.EXCLUSIVE_LOCK | Feature.OBJECT_MAP | Feature.FAST_DIFF


class Connection(SiteConnection):
    def __init__(self):
        self.left_to_librbd = []

    async def run_in_background(self, function, pool, image_id, snap_id):
        assert function is unlink._remove_by_librbd
        self.left_to_librbd.append(snap_id)


class Pool(SitePool):
    """Notes what the header is asked to do; `taken`: another client holds its lock."""

    def __init__(self, rados, taken=False):
        super().__init__(rados)
        self.connection = Connection()
        self.taken = taken
        self.asked = []

    async def call(self, oid, call, reply=0):
        self.asked.append(call.method)
        if call.cls == "lock":
            if self.taken:
                raise Busy("locked")
            return b""
        if call.method == "mirror_image_snapshot_unlink_peer":
            return b""
        return await super().call(oid, call, reply)


def mirrored(snap_id, *peers, state=SnapState.PRIMARY):
    return Snapshot(snap_id, f"m{snap_id}", 4096, namespace=MirrorNamespace(
        state, True, frozenset(peers)))


def unlinked(first, features=LOCKING, taken=False):
    """Unlink the first of two mirror snapshots; return the pool and the site."""
    site = FakeSite()
    header = site.headers["rbd_header.1"] = FakeHeader("1", 4096, features)
    for snapshot in (first, mirrored(first.id + 1, US)):
        header.snapshots[snapshot.id] = snapshot
        site.maps[object_map_oid("1", snapshot.id)] = ObjectMap.filled(
            4, ObjectState.EXISTS if snapshot is first else ObjectState.EXISTS_CLEAN)
    pool = Pool(site, taken)
    source = Image(pool, "1")

    async def body():
        await unlink.unlink(source, await source.header(), first, US, FakeWatch())
    asyncio.run(body())
    return pool, site


@pytest.mark.parametrize("state", [SnapState.PRIMARY, SnapState.NON_PRIMARY_DEMOTED])
def test_the_last_peer_s_is_removed_and_only_the_maps_are_changed_under_a_lock(state):
    """What takes long is not: a client that needs the lock is refused meanwhile."""
    pool, site = unlinked(mirrored(3, US, state=state))
    assert list(site.headers["rbd_header.1"].snapshots) == [4]
    assert site.maps == {object_map_oid("1", 4): ObjectMap.filled(4, ObjectState.EXISTS)}
    assert pool.asked[0] == "lock"
    held = pool.asked[1:pool.asked.index("unlock")]
    assert "object_map_snap_remove" in held and "snapshot_remove" not in held
    assert pool.asked[-1] == "snapshot_remove"


def test_by_librbd_where_a_client_holds_the_lock():
    pool, site = unlinked(mirrored(3, US), taken=True)
    assert pool.connection.left_to_librbd == [3]
    assert list(site.headers["rbd_header.1"].snapshots) == [3, 4]


def test_by_librbd_where_there_is_no_lock():
    pool, _ = unlinked(mirrored(3, US), features=Feature.LAYERING)
    assert (pool.connection.left_to_librbd, pool.asked) == ([3], [])


def test_only_our_peer_is_taken_off_one_that_another_site_waits_for():
    pool, site = unlinked(mirrored(3, US, THEM))
    assert pool.asked == ["mirror_image_snapshot_unlink_peer"]
    assert list(site.headers["rbd_header.1"].snapshots) == [3, 4]


def test_all_stays_where_the_image_was_demoted_meanwhile():
    pool, site = unlinked(mirrored(3, US), features=LOCKING | Feature.NON_PRIMARY)
    assert pool.asked == ["lock", "unlock"]
    assert list(site.headers["rbd_header.1"].snapshots) == [3, 4]
