"""The copier, on random histories, by each of its three ways, killed at every write.

Sizes are a 64th and less of the real ones, so that every bound is met by a few bytes.
"""

import asyncio
import random

import pytest

from mirror_mgr.errors import NotReady
from mirror_mgr.replay.objects import Progress, copy_all
from tests.replay.replicas import OBJECTS, SIZE, Primary, Replication, Secondary, assert_same

SEEDS = range(25)
DELTA, COMPARE, DIRTY = "delta", "compare", "dirty"


pytestmark = pytest.mark.usefixtures("small_sizes")


def pair(seed):
    rng = random.Random(seed)
    return rng, Primary(rng), Secondary(rng, erasure_coded=bool(seed % 2))


def snapshots(primary, rng, most=2):
    """Change the source and make snapshots now and then; return their ids, ascending."""
    made = []
    for _ in range(rng.randrange(1, 1 + most)):
        primary.change(rng.randrange(8))
        made.append(primary.snapshot())
    primary.change(12)
    return made + [primary.snapshot()]


def replication(primary, secondary, start, ends, way):
    return Replication(primary, secondary, start, ends, delta=way != COMPARE, dirty=way == DIRTY)


@pytest.mark.parametrize("way", [DELTA, COMPARE, DIRTY])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_snapshot_of_the_copy_is_that_of_the_source(seed, way):
    rng, primary, secondary = pair(seed)
    start = 0
    for _ in range(6):
        sync = replication(primary, secondary, start, snapshots(primary, rng), way)
        primary.change(3)
        assert sync.run()
        sync.finish()
        start = sync.segments[-1].remote_snap
        assert_same(primary, secondary, start)
        prune(primary, secondary, start, rng)
        assert_same(primary, secondary, start)


def prune(primary, secondary, start, rng):
    """Both sides drop snapshots, but never those that the next sync starts from."""
    for snap_id in [i for i in primary.shown if i != start and rng.randrange(2)]:
        primary.remove_snapshot(snap_id)
    for snap_id in [i for i in secondary.snap_ids[:-1] if rng.randrange(2)]:
        secondary.remove_snapshot(snap_id)


@pytest.mark.parametrize("way", [DELTA, COMPARE, DIRTY])
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again(seed, way):
    rng, primary, secondary = pair(seed)
    start = 0
    for _ in range(4):
        sync = replication(primary, secondary, start, snapshots(primary, rng), way)
        for lives in range(1000):
            if sync.run(rng.randrange(2 + lives)):
                break
            assert_same(primary, secondary)
            primary.change(rng.randrange(3))
        sync.finish()
        start = sync.segments[-1].remote_snap
        assert_same(primary, secondary, start)


@pytest.mark.parametrize("way", [DELTA, COMPARE, DIRTY])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_killed_at_every_write(seed, first, way):
    """One sync of a few snapshots, cut off after 0, 1, 2, ... writes and repeated."""
    lives = 0
    while True:
        rng, primary, secondary = pair(seed)
        start = 0
        if not first:
            start = whole_sync(primary, secondary, 0, snapshots(primary, rng))
        sync = replication(primary, secondary, start, snapshots(primary, rng, 3), way)
        if sync.run(lives):
            break
        assert_same(primary, secondary)
        assert sync.run()
        sync.finish()
        assert_same(primary, secondary, sync.segments[-1].remote_snap)
        lives += 1
    assert lives


def whole_sync(primary, secondary, start, ends):
    sync = Replication(primary, secondary, start, ends)
    assert sync.run()
    sync.finish()
    return ends[-1]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_attempt_at_a_snapshot_that_is_gone(seed, first):
    """What it wrote is found by comparing; the snapshots of before keep what they showed."""
    rng, primary, secondary = pair(seed)
    start = 0 if first else whole_sync(primary, secondary, 0, snapshots(primary, rng))
    for _ in range(2):
        ends = snapshots(primary, rng)
        given_up = Replication(primary, secondary, start, ends)
        given_up.run(lives=rng.randrange(1, 9))
        for segment in given_up.segments[:-1]:
            secondary.remove_snapshot(segment.local_snap)
        primary.remove_snapshot(ends[-1])
    ends = [i for i in primary.shown if i > start] + snapshots(primary, rng)
    sync = Replication(primary, secondary, start, ends, dirty=True)
    for lives in range(1000):
        if sync.run(rng.randrange(2 + lives)):
            break
        assert_same(primary, secondary)
    sync.finish()
    assert_same(primary, secondary, ends[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_only_what_changed_is_read(seed):
    rng, primary, secondary = pair(seed)
    primary.change(20)
    start = whole_sync(primary, secondary, 0, [primary.snapshot()])
    oid = primary.header.data_object(2)
    primary.apply(oid, ("write", 0, rng.randbytes(SIZE)))
    start = whole_sync(primary, secondary, start, [primary.snapshot()])
    primary.apply(oid, ("write", 100, b"x" * 10))
    primary.apply(oid, ("write", 900, b"y" * 7))
    primary.apply(oid, ("zero", 300, 40))
    sync = Replication(primary, secondary, start, [primary.snapshot()])
    statistics = sync.run().statistics
    assert (statistics.bytes_read, statistics.objects) == (57, OBJECTS)
    sync.finish()
    assert_same(primary, secondary, sync.segments[-1].remote_snap)


def test_nothing_is_written_where_nothing_changed():
    for way in (DELTA, COMPARE, DIRTY):
        rng, primary, secondary = pair(1)
        primary.change(20)
        start = whole_sync(primary, secondary, 0, [primary.snapshot()])
        before = secondary.rados.writes
        sync = replication(primary, secondary, start, [primary.snapshot()], way)
        assert sync.run().statistics.bytes_written == 0
        assert secondary.rados.writes == before


def test_zeros_are_not_written():
    _, primary, secondary = pair(1)
    primary.apply(primary.header.data_object(0), ("write", 0, bytes(SIZE)))
    primary.apply(primary.header.data_object(1), ("write", 0, bytes(640) + b"x" + bytes(200)))
    sync = Replication(primary, secondary, 0, [primary.snapshot()])
    assert sync.run().statistics.bytes_written == 64
    assert secondary.contents() == primary.contents()


@pytest.mark.parametrize("content", [
    b"", b"x", b"x" * 255, b"x" * 256, b"x" * 257, b"x" * 512, bytes(256), bytes(257), bytes(SIZE),
    bytes(300) + b"x", b"x" * 300 + bytes(300), b"x" + bytes(SIZE - 1), b"x" * SIZE])
@pytest.mark.parametrize("way", [DELTA, COMPARE, DIRTY])
def test_contents_that_meet_the_bounds(content, way):
    """An object counts as long as it is, with what is zero at its end."""
    _, primary, secondary = pair(1)
    primary.apply(primary.header.data_object(0), ("create", False))
    primary.apply(primary.header.data_object(0), ("write", 0, content))
    sync = replication(primary, secondary, 0, [primary.snapshot()], way)
    assert sync.run().statistics.bytes_read == len(content)
    assert secondary.contents() == primary.contents()


def test_what_was_found_is_told_where_no_map_says_it():
    for way in (DELTA, COMPARE, DIRTY):
        _, primary, secondary = pair(1)
        zero, one = primary.header.data_object(0), primary.header.data_object(1)
        primary.apply(zero, ("write", 0, b"x"))
        first = primary.snapshot()
        primary.apply(zero, ("remove",))
        primary.apply(one, ("create", False))
        sync = replication(primary, secondary, 0, [first, primary.snapshot()], way)
        seen = sync.run().seen
        assert {index: bytes(cells) for index, cells in seen.items()} == {
            0: b"\1\0\0\0\0", 1: b"\0\1\0\0\0"}


@pytest.mark.parametrize("way", [DELTA, COMPARE, DIRTY])
@pytest.mark.parametrize("allowed", range(8))
def test_no_write_once_writing_is_unsafe(allowed, way):
    rng, primary, secondary = pair(6)
    primary.change(30)
    first = primary.snapshot()
    primary.change(30)
    sync = replication(primary, secondary, 0, [first, primary.snapshot()], way)
    left = iter(range(allowed))

    def check():
        if next(left, None) is None:
            raise NotReady("the image is needed by another client")

    sync.check = check
    with pytest.raises(NotReady):
        sync.run()
    assert secondary.rados.writes <= allowed
    assert sync.budget.used == 0
    sync.check = lambda: None
    assert sync.run()
    sync.finish()
    assert_same(primary, secondary, sync.segments[-1].remote_snap)


def test_the_budget_is_kept_and_given_back():
    for way in (DELTA, COMPARE, DIRTY):
        rng, primary, secondary = pair(4)
        primary.change(40)
        sync = replication(primary, secondary, 0, [primary.snapshot()], way)
        most = []
        sync.check = lambda sync=sync, most=most: most.append(sync.budget.used)
        assert sync.run()
        assert 0 < max(most) <= sync.budget.limit
        assert sync.budget.used == 0


def test_progress_counts_what_is_finished_from_the_start_on():
    progress = Progress(4)
    assert (progress.contiguous, progress.percent) == (0, 0.0)
    progress.begin(3)
    progress.begin(4)
    assert progress.contiguous == 3
    progress.end(4)
    assert progress.contiguous == 3
    progress.begin(7)
    progress.end(3)
    assert (progress.contiguous, progress.percent) == (7, 50.0)
    progress.end(7)
    assert progress.contiguous == 8
    progress.begin(9)
    progress.end(9)
    assert (progress.contiguous, progress.percent) == (10, 100.0)


def test_progress_of_nothing_is_whole():
    assert Progress(0).percent == 100.0


def test_copying_no_objects():
    sync = Replication(Primary(random.Random(1)), Secondary(random.Random(1)), 0, [])
    asyncio.run(copy_all(sync.copier(), [], Progress(0)))
