"""Clones: copy-up on random histories, and what follows from headers alone.

The source is written as librbd writes a clone: the first write to an object that lacks copies up.
"""

import asyncio
import random
from dataclasses import replace

import pytest

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.copyup import CopyUp, Stripe, existing, fill_all, stripes
from mirror_mgr.replay.maps import with_copied_up
from mirror_mgr.replay.objects import ObjectCopier, Source
from mirror_mgr.replay.parent import counterpart, namesake, needed_overlap
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import ImageHeader, ParentLink
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import MirrorNamespace, Snapshot
from tests.replay.fake_rados import Killed
from tests.replay.headers import copied, demoted, image, replica, trashed, user
from tests.replay.replicas import OBJECTS, SIZE, Primary, Replication, Secondary

SEEDS = range(12)
OVERLAP = OBJECTS * SIZE - 300


pytestmark = pytest.mark.usefixtures("small_sizes")


class Parent:
    """What the parent shows at both sites; object 1 of it is a hole."""

    def __init__(self, rng):
        self.data = bytearray(rng.randbytes(OVERLAP))
        self.data[SIZE:2 * SIZE] = bytes(SIZE)

    def shown(self, number, overlap=OVERLAP):
        return bytes(self.data[number * SIZE:min(overlap, (number + 1) * SIZE)])

    async def read(self, offset, length):
        await asyncio.sleep(0)
        return bytes(self.data[offset:offset + length])

    async def close(self):
        pass


class Clone(Primary):
    def __init__(self, rng, parent):
        super().__init__(rng)
        self.parent = parent

    def apply(self, oid, step):
        number = int(oid[-16:], 16)
        if self.rados.content(oid) is None and step[0] != "rollback":
            inherited = self.parent.shown(number)
            if inherited.strip(b"\0"):
                self.rados.operate(oid, [("write", 0, inherited)])
            if step[0] == "zero":
                self.rados.operate(oid, [("create", False)], list(self.shown))
        if step[0] == "remove":
            step = ("truncate", 0)  # else the parent would show
        super().apply(oid, step)


class CloneCopy(Replication):
    """One sync of a clone."""

    def __init__(self, primary, secondary, start, ends, **ways):
        super().__init__(primary, secondary, start, ends, **ways)
        self.filled = set()

    def copier(self):
        self.copy_up = CopyUp(self.primary.parent, self.secondary.rados.pool(),
                              self.secondary.header, OVERLAP, self.budget, self.check)
        source = Source(self.primary.rados.pool(), self.primary.header,
                        self.primary.rados.list_snaps if self._delta else None)
        return ObjectCopier(
            source, self.secondary.rados.pool(), self.secondary.header, self.start, self.segments,
            self.secondary.snap_ids, self.budget, self.check,
            fresh=self.start == 0 and not self._begun and not self._dirty, compare=self._dirty,
            copy_up=self.copy_up)


def shown(replica, parent, snap_id=None):
    """What an image shows, of itself and of its parent."""
    return [(parent.shown(n) if data is None else data).ljust(SIZE, b"\0")
            for n, data in replica.contents(snap_id).items()]


def make_snapshots(primary, rng, seen):
    made = []
    for _ in range(rng.randrange(1, 4)):
        primary.change(rng.randrange(8))
        made.append(primary.snapshot())
        seen[made[-1]] = shown(primary, primary.parent)
    return made


@pytest.mark.parametrize("lives", [None, 4, 9])
@pytest.mark.parametrize("ways", [{}, {"delta": False}, {"dirty": True}])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_clone_shows_the_same_with_its_parent_and_flattened_without(seed, ways, lives):
    rng = random.Random(seed)
    parent = Parent(rng)
    primary, secondary = Clone(rng, parent), Secondary(rng, erasure_coded=bool(seed % 2))
    start, seen, ours = 0, {}, {}
    for _ in range(5):
        sync = CloneCopy(primary, secondary, start, make_snapshots(primary, rng, seen), **ways)
        primary.change(rng.randrange(4))
        if lives is not None:
            sync.run(lives)
        assert sync.run()
        ours.update((s.local_snap, s.remote_snap) for s in sync.segments)
        start = sync.segments[-1].remote_snap
        for local, remote in ours.items():
            assert shown(secondary, parent, local) == seen[remote]
        assert shown(secondary, parent) == seen[start]
    asyncio.run(flatten(secondary, parent))
    nothing = Parent(rng)
    nothing.data = bytearray(OVERLAP)
    for local, remote in ours.items():
        assert shown(secondary, nothing, local) == seen[remote]
    assert shown(secondary, nothing) == seen[start]


async def flatten(secondary, parent):
    copy_up = CopyUp(parent, secondary.rados.pool(), secondary.header, OVERLAP, Budget(2 * SIZE),
                     lambda: None)
    await fill_all(copy_up, copy_up.shrinking(0))
    lacking = set(range(OBJECTS)) - await existing(
        secondary.rados.pool(), secondary.header, range(OBJECTS))
    assert lacking <= {1}


def test_only_what_changed_crosses_the_link():
    rng = random.Random(1)
    parent = Parent(rng)
    primary, secondary = Clone(rng, parent), Secondary(rng)
    assert CloneCopy(primary, secondary, 0, [primary.snapshot()]).run()
    start = next(iter(primary.shown))
    primary.apply(primary.header.data_object(2), ("write", 100, b"x" * 10))
    copier = CloneCopy(primary, secondary, start, [primary.snapshot()]).run()
    assert copier.statistics.bytes_read == 10
    assert shown(secondary, parent) == shown(primary, parent)


def test_a_fill_that_is_cut_off_leaves_nothing_half_done():
    rng = random.Random(1)
    parent, secondary = Parent(rng), Secondary(rng)
    secondary.rados.lives = 2
    with pytest.raises(Killed):
        asyncio.run(flatten(secondary, parent))
    secondary.rados.lives = None
    assert shown(secondary, parent) == [parent.shown(n).ljust(SIZE, b"\0") for n in range(OBJECTS)]
    asyncio.run(flatten(secondary, parent))


# --- layout ---------------------------------------------------------------------------------------

def layout(order, unit=0, count=1):
    return ImageHeader(0, order, Feature(0), "rbd_data.1", stripe_unit=unit, stripe_count=count)


def test_stripes_of_a_plain_image():
    assert stripes(layout(12), 2, 3 << 12) == [Stripe(0, 8192, 4096)]
    assert stripes(layout(12), 2, 8192 + 5) == [Stripe(0, 8192, 5)]
    assert stripes(layout(12), 2, 8192) == []


def test_stripes_of_a_striped_image():
    """Object 1 of 3 has every third unit; object 4 is in the second group."""
    header = layout(12, unit=2048, count=3)
    assert stripes(header, 1, 1 << 20) == [Stripe(0, 2048, 2048), Stripe(2048, 4 * 2048, 2048)]
    assert stripes(header, 4, 1 << 20) == [Stripe(0, 7 * 2048, 2048), Stripe(2048, 10 * 2048, 2048)]
    assert stripes(header, 1, 4 * 2048 + 7) == [Stripe(0, 2048, 2048), Stripe(2048, 8192, 7)]


def test_every_byte_is_in_one_stripe():
    header = layout(12, unit=1024, count=5)
    size = 100_000
    found = sorted((s.image_offset, s.length) for n in range(header.object_count(size))
                   for s in stripes(header, n, size))
    end = 0
    for offset, length in found:
        assert offset == end
        end += length
    assert end == size


def test_objects_that_show_less_of_the_parent():
    header = layout(12)
    copy_up = CopyUp(Parent(random.Random(1)), Secondary(random.Random(1)).rados.pool(), header,
                     5 * 4096 + 100, Budget(1), lambda: None)
    assert list(copy_up.shrinking(0)) == [0, 1, 2, 3, 4, 5]
    assert list(copy_up.shrinking(3 * 4096)) == [3, 4, 5]
    assert list(copy_up.shrinking(3 * 4096 + 1)) == [3, 4, 5]
    assert list(copy_up.shrinking(5 * 4096 + 99)) == [5]


def test_the_oldest_snapshot_that_shows_a_copied_up_object_has_it_as_changed():
    known = ObjectMap(bytes((0, 0, 1, 3)))
    assert with_copied_up(known, {0, 1}, {1}) == ObjectMap(bytes((1, 3, 1, 3)))


# --- headers --------------------------------------------------------------------------------------

def test_the_counterpart_of_a_parent_s_snapshot_is_what_a_complete_sync_made():
    remote = image(user(3), user(5))
    syncs = [copied(9, of=4, snap_seqs={3: 8}), copied(11, of=6, snap_seqs={3: 8, 5: 10},
                                                      complete=False)]
    local = replica(user(8), syncs[0], user(10), syncs[1])
    assert counterpart(local, remote, 3) == 8
    assert counterpart(local, remote, 5) is None


def test_a_snapshot_that_went_here_is_no_counterpart():
    assert counterpart(replica(copied(9, of=4, snap_seqs={3: 8})), image(user(3)), 3) is None


def test_the_counterpart_where_this_side_was_primary():
    """The other site's syncs map our snapshots to theirs."""
    remote = replica(user(30), copied(40, of=9, snap_seqs={3: 30}))
    assert counterpart(replica(user(3), demoted(9)), remote, 30) == 3


def test_journals_pair_snapshots_by_name():
    assert namesake(image(user(8), user(9, "t")), user(3, "t")) == 9
    assert namesake(image(user(8)), user(3, "t")) is None
    assert namesake(image(copied(9, of=4)), user(3, "s")) is None


def test_a_snapshot_that_clones_keep_still_has_its_name():
    assert namesake(image(trashed(8)), user(3)) == 8
    assert namesake(image(user(8)), trashed(3)) == 8
    assert namesake(image(trashed(8), user(9)), user(3)) == 9
    assert namesake(image(trashed(8), user(9)), trashed(3)) == 8


def overlapping(snap_id, overlap, mirrored=False):
    namespace = copied(snap_id, of=1).namespace if mirrored else user(snap_id).namespace
    assert isinstance(namespace, MirrorNamespace) is mirrored
    return Snapshot(snap_id, "s", SIZE, namespace=namespace, parent_overlap=overlap)


@pytest.mark.parametrize("overlaps, end, needed", [
    ((), 7, 7), ((9, 8), 7, 9), ((9,), None, 9), ((), None, None), ((None,), 0, 0)])
def test_a_new_copy_shows_as_much_of_the_parent_as_any_of_its_snapshots(overlaps, end, needed):
    users = [overlapping(n, overlap) for n, overlap in enumerate(overlaps, 1)]
    last = overlapping(10, end, mirrored=True)
    later = overlapping(11, 100)
    assert needed_overlap(image(*users, last, later), last) == needed


@pytest.mark.parametrize("overlaps, head, needed", [
    ((), 7, 7), ((9, 8), 7, 9), ((9,), None, 9), ((None,), None, None)])
def test_a_new_copy_shows_what_image_and_snapshots_show(overlaps, head, needed):
    users = [overlapping(n, overlap) for n, overlap in enumerate(overlaps, 1)]
    clone = replace(image(*users), parent=ParentLink(1, "", "id", 4, head))
    assert needed_overlap(clone) == needed
