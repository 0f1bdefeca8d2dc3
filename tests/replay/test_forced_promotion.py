"""A copy is promoted by force in the middle of a sync: the worker changes nothing after that."""

import asyncio
import itertools

import pytest

from mirror_mgr.errors import MirrorError
from mirror_mgr.replay import snapshot
from mirror_mgr.wire.constants import Feature, SnapState
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import header_oid, object_map_oid
from mirror_mgr.wire.snapshot import MirrorNamespace, encode_namespace
from tests.replay.fake_site import FakeWatch, SitePool, shown
from tests.replay.test_snapshot import FAST, PLAIN, SEEDS, Sites, is_mirror

pytestmark = pytest.mark.usefixtures("small_sizes")


class Promotion:
    """What librbd does: first a snapshot, with no lock; the rest once our watch is gone."""

    def __init__(self, sites, moment):
        self.sites = sites
        self.moment = sites.b.writes + moment
        self.begun = self.after = None
        self.watches = 0
        self._counted = sites.b.count_write
        sites.b.count_write = self.count_write

    def count_write(self):
        if self.begun is None and self.sites.b.writes >= self.moment:
            self.begun = self._add("orphan", SnapState.NON_PRIMARY)
            if not self.watches:
                self.finish()
        self._counted()

    async def watch(self, pool, oid, notified, lost):
        self.watches += 1
        watch = FakeWatch()

        async def close():
            self.watches -= 1
            if self.begun is not None and self.after is None:
                self.finish()

        watch.close = close
        return watch

    def _add(self, name, state):
        snap_id = self.sites.b.new_snapshot()
        self.sites.b.call(header_oid("copy"), "snapshot_add", Encoder().string(name).u64(
            snap_id).raw(encode_namespace(MirrorNamespace(state, True, frozenset()))).done())
        return snap_id

    def finish(self):
        site, copy = self.sites.b, self.sites.copy
        older = [s for i, s in sorted(copy.snapshots.items()) if is_mirror(s) and i < self.begun]
        base = next(s for s in reversed(older) if s.namespace.complete)
        for number in range(20):
            oid = f"rbd_data.copy.{number:016x}"
            if site.content(oid) is not None or site.content(oid, base.id) is not None:
                site.operate(oid, [("rollback", base.id)], list(copy.snapshots))
        copy.size = base.size
        kept = site.maps.get(object_map_oid("copy", base.id))
        if kept is not None:
            site.maps[object_map_oid("copy")] = kept
        for attempt in older:
            if not attempt.namespace.complete:
                del copy.snapshots[attempt.id]
                site.remove_snapshot(attempt.id)
        self._add("primary", SnapState.PRIMARY)
        copy.features &= ~Feature.NON_PRIMARY
        copy.version += 1
        self.base = base
        self.after = self.state()

    def state(self):
        """A copy that a later one had replaced before may go still."""
        site = self.sites.b
        header = {key: value for key, value in self.sites.copy.omap().items()
                  if not key.startswith("snapshot_") or int(key[9:], 16) >= self.base.id}
        return (header, {
            oid: found.content() for oid, found in site.objects.items()
            if "rbd_data" in oid and found.content() is not None},
            bytes(site.maps[object_map_oid("copy")].cells) if site.maps else b"")


@pytest.mark.parametrize("features", [FAST, PLAIN])
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_at_every_write_of_a_sync(seed, features, monkeypatch):
    monkeypatch.setattr(snapshot.Means, "progress_seconds", 0)
    for moment in itertools.count():
        sites = Sites(seed, features)
        sites.live()
        assert sites.work()
        sites.live()
        promotion = Promotion(sites, moment)
        monkeypatch.setattr(SitePool, "watch", lambda pool, oid, notified, lost, one=promotion:
                            one.watch(pool, oid, notified, lost))
        try:
            asyncio.run(sites.work_once())
        except MirrorError:
            pass
        if promotion.begun is None:
            break
        if promotion.after is None:
            promotion.finish()
        assert promotion.state() == promotion.after, moment
        expected = sites.primary.contents[promotion.base.namespace.primary_snap_id]
        assert shown(sites.b, sites.copy) == expected, moment
    assert moment > 5
