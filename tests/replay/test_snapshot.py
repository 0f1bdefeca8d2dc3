"""Whole syncs between two sites in memory: planned, carried out, killed, planned anew.

After each the copy must show what the primary's snapshots showed, and its object maps must say so.
MIRROR_MGR_SEEDS=1000 in the environment tries many more histories than a run of all tests does.
"""

import asyncio
import os
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mirror_mgr.errors import NotReady
from mirror_mgr.replay import scan, snapshot
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.image import Copy, Image
from mirror_mgr.replay.snapshot import Means, SnapshotSync
from mirror_mgr.wire.constants import Feature, ObjectState, SnapState
from mirror_mgr.wire.header import header_oid, object_map_oid
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import MirrorNamespace, UserNamespace
from tests.replay.fake_rados import Killed
from tests.replay.fake_site import FakeHeader, FakeSite, shown
from tests.replay.headers import GLOBAL_ID, LINK
from tests.replay.librbd import OBJECT, PrimaryImage

PLAIN = Feature.LAYERING
MAPPED = PLAIN | Feature.OBJECT_MAP
FAST = MAPPED | Feature.FAST_DIFF
SEEDS = range(int(os.environ.get("MIRROR_MGR_SEEDS", 8)))


pytestmark = pytest.mark.usefixtures("small_sizes")


@pytest.fixture(autouse=True)
def note_at_once(monkeypatch):
    monkeypatch.setattr(snapshot.Means, "progress_seconds", 0)


class Sites:
    """A primary image, a copy of it, and workers that come and go."""

    def __init__(self, seed, features=FAST, clones=True, blind=False):
        self.rng = random.Random(seed)
        self.clones = clones
        self.a, self.b = FakeSite(self.rng), FakeSite(self.rng)
        self.primary = PrimaryImage(self.a, self.rng, features, blind)
        self.copy = FakeHeader("copy", self.primary.header.size, features | Feature.NON_PRIMARY)
        self.b.headers[header_oid("copy")] = self.copy
        if features & Feature.OBJECT_MAP:
            self.b.maps[object_map_oid("copy")] = ObjectMap.filled(
                -(-self.copy.size // OBJECT))
        self.finished = {}

    # --- the primary's life ------------------------------------------------------------------

    def live(self, rollbacks=False, demote=False):
        """Change the image, with user snapshots in between, up to a mirror snapshot."""
        primary = self.primary
        primary.header.features &= ~Feature.NON_PRIMARY
        for _ in range(self.rng.randrange(4)):
            primary.change(self.rng.randrange(7))
            primary.make_user_snapshot()
        primary.change_user_snapshots()
        users = primary.user_snapshots()
        if rollbacks and users and not self.rng.randrange(3):
            primary.roll_back(self.rng.choice(list(users.values())))
        primary.change(self.rng.randrange(9))
        return primary.make_mirror_snapshot(demote)

    # --- the worker --------------------------------------------------------------------------

    def work(self, lives=None):
        """Plan and sync once; False when the worker died of it, after that many writes."""
        return asyncio.run(self.work_once(lives))

    async def work_once(self, lives=None, finish=True):
        """The same on a loop that runs; without `finish` it dies right after the copy is whole."""
        self.b.lives = lives
        try:
            await self._work(finish)
            return True
        except Killed:
            return False
        finally:
            self.b.lives = None

    async def _work(self, finish):
        copy, source = Copy(self.b.pool(), "copy"), Image(self.a.pool(), "source")
        local, remote = await copy.header(), await source.header()
        plan = scan.plan(GLOBAL_ID, local, remote, LINK)
        for old in plan.drop_local:
            await copy.remove_snapshot(local, old)
        if plan.drop_local:
            await self._work(finish)
            return
        if not isinstance(plan.action, scan.Sync):
            return
        means = Means(Budget(4 * OBJECT), lambda *pool: self.a.list_snaps if self.clones else None)
        sync = SnapshotSync(copy, source, GLOBAL_ID, "name", LINK, means, plan.action, local,
                            remote)
        await sync.run(nothing)
        self.note_synced(plan.action.end.id)
        if not finish:
            return
        await sync.finish()
        if remote.features & Feature.NON_PRIMARY:
            return
        for old in remote.mirror_snapshots:
            if old.id < plan.action.end.id and old.id in self.primary.header.snapshots:
                self.primary.remove_snapshot(old.id)

    def note_synced(self, end):
        """From now on the copy's snapshots must show what the primary's did."""
        names = {s.name: i for i, s in self.primary.header.snapshots.items()}
        for snap_id, found in self.copy.snapshots.items():
            if found.name in names:
                self.finished[snap_id] = self.primary.contents[names[found.name]]
            elif is_mirror(found) and found.namespace.primary_snap_id == end:
                self.finished[snap_id] = self.primary.contents[end]

    # --- what must hold ----------------------------------------------------------------------

    def check_finished(self):
        """At any time, even when a worker has just died, perhaps in the middle of a removal."""
        self.finished = {snap_id: content for snap_id, content in self.finished.items()
                         if snap_id in self.copy.snapshots and snap_id not in self.b.removed}
        for snap_id, content in self.finished.items():
            found = self.copy.snapshots[snap_id]
            assert shown(self.b, self.copy, found) == content, f"snapshot {found}"
        complete = [i for i, s in self.copy.snapshots.items()
                    if is_mirror(s) and s.namespace.complete]
        assert not complete or max(complete) in self.finished, "the base is being removed"
        self._check_that_what_can_be_promoted_is_whole()
        self._check_that_nothing_is_hidden()

    def _check_that_what_can_be_promoted_is_whole(self):
        """librbd promotes an image whose newest mirror snapshot is demoted, with no force."""
        mirrors = [s for _, s in sorted(self.copy.snapshots.items()) if is_mirror(s)]
        if mirrors and mirrors[-1].namespace.is_demoted:
            assert mirrors[-1].namespace.complete
            end = mirrors[-1].namespace.primary_snap_id
            assert shown(self.b, self.copy) == self.primary.contents[end]

    def _check_that_nothing_is_hidden(self):
        """What a map calls absent reads as zeros, and a rollback removes it."""
        if self.copy.features & Feature.OBJECT_MAP:
            for snap_id in (None, *self.finished):
                found = self.b.maps.get(object_map_oid("copy", snap_id))
                for n in range(len(found or ())):
                    assert found[n] or self.object(n, snap_id) is None, (n, snap_id)

    def check_synced(self, end):
        """After a sync to the snapshot `end`."""
        self.check_finished()
        primary, copy = self.primary, self.copy
        assert shown(self.b, copy) == primary.contents[end]
        assert [s.namespace.primary_snap_id for s in copy.snapshots.values() if is_mirror(s)] == [
            end]
        assert users(copy, below=copy.snap_seq) == users(primary.header, below=end)
        assert {snap_id for snap_id in copy.snapshots} <= set(self.finished)
        if copy.features & Feature.OBJECT_MAP:
            self._check_maps()
        beyond = -(-copy.size // OBJECT)
        assert all(self.object(n) is None for n in range(beyond, 20)), "left after a shrink"

    def _check_maps(self):
        older = {}
        for snap_id in (*sorted(self.copy.snapshots), None):
            size = self.copy.snapshots[snap_id].size if snap_id else self.copy.size
            cells = self.b.maps[object_map_oid("copy", snap_id)]
            assert len(cells) == -(-size // OBJECT)
            newer = {n: self.object(n, snap_id) for n in range(len(cells))}
            for n, data in newer.items():
                changed = bytes_of(data) != bytes_of(older.get(n))
                absent = cells[n] == ObjectState.NONEXISTENT
                assert absent == (data is None) or self.primary.blind and not absent, (n, snap_id)
                if data is not None and changed:
                    assert cells[n] == ObjectState.EXISTS, (n, snap_id)
            older = newer
        names = {object_map_oid("copy", i) for i in (*self.copy.snapshots, None)}
        assert set(self.b.maps) == names, "maps of snapshots that are gone"

    def copied(self):
        """The primary's snapshot that the copy stands at."""
        return max(s.namespace.primary_snap_id for s in self.copy.snapshots.values()
                   if is_mirror(s) and s.namespace.complete)

    def object(self, number, snap_id=None):
        return self.b.content(f"rbd_data.copy.{number:016x}", snap_id)


async def nothing():
    pass


def is_mirror(found):
    return isinstance(found.namespace, MirrorNamespace)


def bytes_of(data):
    return b"" if data is None else data.rstrip(b"\0")


def users(header, below):
    return sorted((s.name, s.size, s.protection) for i, s in header.snapshots.items()
                  if isinstance(s.namespace, UserNamespace) and i < below)


# With which features, whether clones can be listed, whether some of the primary's maps are invalid.
VARIANTS = pytest.mark.parametrize("features, clones, blind", [
    (FAST, True, False), (MAPPED, True, False), (PLAIN, True, False), (FAST, False, False),
    (PLAIN, False, False), (FAST, True, True), (FAST, False, True)])


@VARIANTS
@pytest.mark.parametrize("seed", SEEDS)
def test_sync_after_sync(seed, features, clones, blind):
    sites = Sites(seed, features, clones, blind)
    for _ in range(6):
        end = sites.live()
        assert sites.work()
        sites.check_synced(end)


@VARIANTS
@pytest.mark.parametrize("seed", SEEDS)
def test_workers_that_die_and_snapshots_that_go_on(seed, features, clones, blind):
    """Meanwhile the primary makes further snapshots, so each worker finds another plan."""
    sites = Sites(seed, features, clones, blind)
    end = sites.live()
    for attempt in range(60):
        sites.work(lives=sites.rng.randrange(2 + attempt))
        sites.check_finished()
        if not sites.rng.randrange(4):
            end = sites.live()
    for _ in range(3):
        assert sites.work()
    sites.check_synced(end)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("features", [FAST, PLAIN])
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_death_at_every_write_of_a_sync(seed, features, first):
    lives = 0
    while True:
        sites = Sites(seed, features)
        if not first:
            sites.live()
            assert sites.work()
        end = sites.live()
        if sites.work(lives):
            break
        sites.check_finished()
        assert sites.work() and sites.work()
        sites.check_synced(end)
        lives += 1
    sites.check_synced(end)
    assert lives > 3


@VARIANTS
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_death_at_every_write_of_a_demotion(seed, features, clones, blind, first):
    lives = 0
    while True:
        sites = Sites(seed, features, clones, blind)
        if not first:
            sites.live()
            assert sites.work()
        end = sites.live(demote=True)
        if sites.work(lives):
            break
        sites.check_finished()
        assert sites.work() and sites.work()
        sites.check_synced(end)
        lives += 1
    sites.check_synced(end)
    [whole] = [s.namespace for s in sites.copy.snapshots.values() if is_mirror(s)]
    assert (whole.state, whole.complete) == (SnapState.NON_PRIMARY_DEMOTED, True)
    end = sites.live()
    assert sites.work()
    sites.check_synced(end)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_copy_of_a_demotion_that_a_daemon_began(seed):
    """It could be promoted though it is incomplete: that ends before anything is copied."""
    sites = Sites(seed)
    sites.live()
    assert sites.work()
    end = sites.live(demote=True)
    sites.work(lives=sites.rng.randrange(3, 25))
    attempts = [i for i, s in sites.copy.snapshots.items()
                if is_mirror(s) and not s.namespace.complete]
    for snap_id in attempts:
        found = sites.copy.snapshots[snap_id]
        sites.copy.snapshots[snap_id] = replace(
            found, name="a daemon's", namespace=replace(
                found.namespace, state=SnapState.NON_PRIMARY_DEMOTED))
    for lives in range(12, 60, 4):
        sites.work(lives)
        mirrors = [s for _, s in sorted(sites.copy.snapshots.items()) if is_mirror(s)]
        if mirrors[-1].id not in attempts:
            sites.check_finished()
    assert sites.work() and sites.work()
    sites.check_synced(end)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_whole_copy_of_a_demotion_that_does_not_say_so(seed):
    """Nobody could promote it."""
    sites = Sites(seed)
    sites.live()
    assert sites.work()
    end = sites.live(demote=True)
    assert sites.work()
    [(snap_id, found)] = [(i, s) for i, s in sites.copy.snapshots.items() if is_mirror(s)]
    sites.copy.snapshots[snap_id] = replace(found, name="a daemon's", namespace=replace(
        found.namespace, state=SnapState.NON_PRIMARY))
    assert sites.work()
    sites.check_synced(end)
    [whole] = [s.namespace for s in sites.copy.snapshots.values() if is_mirror(s)]
    assert (whole.state, whole.complete) == (SnapState.NON_PRIMARY_DEMOTED, True)


@VARIANTS
@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_written_after_the_demotion_is_undone(seed, features, clones, blind):
    """A client's write waited for the lock while the image was demoted; then roles changed."""
    sites = Sites(seed, features, clones, blind)
    sites.live()
    assert sites.work()
    start = sites.copied()
    turn_into_demoted_primary(sites, start)
    stray_writes(sites)
    end = sites.live()
    for _ in range(sites.rng.randrange(4)):
        sites.work(sites.rng.randrange(30))
    assert sites.work() and sites.work()
    assert shown(sites.b, sites.copy) == sites.primary.contents[end]


def turn_into_demoted_primary(sites, start):
    """The copy was primary and demoted; what is the source here has its demotion at `start`."""
    for header, snap_id, namespace in (
            (sites.copy, sites.copy.snap_seq, MirrorNamespace(
                SnapState.PRIMARY_DEMOTED, True, frozenset())),
            (sites.primary.header, start, MirrorNamespace(
                SnapState.NON_PRIMARY_DEMOTED, True, frozenset(), LINK.local_uuid,
                sites.copy.snap_seq))):
        header.snapshots[snap_id] = replace(header.snapshots[snap_id], namespace=namespace)


def stray_writes(sites):
    """As librbd makes them: the object map says so first."""
    copy = sites.copy
    oid = object_map_oid("copy")
    for number in range(-(-copy.size // OBJECT)):
        if not sites.rng.randrange(3):
            cells = bytearray(sites.b.maps[oid].cells) if oid in sites.b.maps else None
            sites.b.operate(f"rbd_data.copy.{number:016x}", [("write", 3, b"stray")],
                            list(copy.snapshots))
            if cells is not None:
                cells[number] = ObjectState.EXISTS
                sites.b.maps[oid] = ObjectMap(cells)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_snapshot_goes_while_it_is_copied(seed):
    """The primary's administrator removed it; the next one is copied over what was written."""
    sites = Sites(seed)
    sites.live()
    assert sites.work()
    gone = sites.live()
    sites.work(lives=sites.rng.randrange(3, 20))
    if sites.copied() == gone:
        return
    sites.primary.remove_snapshot(gone)
    end = sites.live()
    for attempt in range(20):
        if sites.work(lives=sites.rng.randrange(5, 20) * (1 + attempt)):
            break
        sites.check_finished()
    assert sites.work()
    sites.check_synced(end)


@pytest.mark.parametrize("seed", SEEDS)
def test_rollbacks_of_the_primary(seed):
    sites = Sites(seed)
    for _ in range(6):
        end = sites.live(rollbacks=True)
        assert sites.work()
        sites.check_synced(end)


def test_an_empty_sync_touches_no_data():
    sites = Sites(1)
    sites.live()
    assert sites.work()
    end = sites.primary.make_mirror_snapshot()
    before = sites.b.writes
    assert sites.work()
    sites.check_synced(end)
    assert sites.b.writes - before < 12


def test_a_promotion_in_between_stops_it():
    sites = Sites(1)
    sites.live()
    assert sites.work()
    sites.live()
    sites.work(lives=6)
    sites.copy.features &= ~Feature.NON_PRIMARY
    with pytest.raises(NotReady):
        asyncio.run(stale_worker(sites))


async def stale_worker(sites):
    """One that looked at the image before it was promoted."""
    copy, source = Copy(sites.b.pool(), "copy"), Image(sites.a.pool(), "source")
    sites.copy.features |= Feature.NON_PRIMARY
    local, remote = await copy.header(), await source.header()
    sites.copy.features &= ~Feature.NON_PRIMARY
    sites.copy.version += 1
    action = scan.plan(GLOBAL_ID, local, remote, LINK).action
    means = Means(Budget(4 * OBJECT), lambda *pool: sites.a.list_snaps)
    writes = SimpleNamespace(before=sites.b.writes)
    try:
        await SnapshotSync(copy, source, GLOBAL_ID, "name", LINK, means, action, local,
                           remote).run(nothing)
    finally:
        assert sites.b.writes - writes.before < 5
