"""A copy becomes an ordinary image: what its last complete mirror snapshot shows, and writable."""

import asyncio
import itertools

import pytest

from mirror_mgr.errors import NotFound, NotReady
from mirror_mgr.replay.restore import make_writable
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import header_oid, object_map_oid
from tests.replay.fake_rados import Killed
from tests.replay.fake_site import shown
from tests.replay.test_snapshot import FAST, MAPPED, PLAIN, SEEDS, Sites, is_mirror, users

pytestmark = pytest.mark.usefixtures("small_sizes")


def restore(sites, lives=None):
    """False when the process died of it, after that many writes."""
    sites.b.lives = lives
    try:
        asyncio.run(make_writable(sites.b.pool(), "copy"))
        return True
    except Killed:
        return False
    finally:
        sites.b.lives = None


def check(sites, base, kept):
    """It is what the primary was at its snapshot `base`, with the user snapshots from before."""
    copy = sites.copy
    assert shown(sites.b, copy) == sites.primary.contents[base]
    assert not copy.features & Feature.NON_PRIMARY
    assert not any(map(is_mirror, copy.snapshots.values()))
    assert users(copy, below=copy.snap_seq + 1) == kept
    for snap_id, snapshot in copy.snapshots.items():
        if snap_id not in sites.b.removed:  # the sync was cut off in the middle of its removal
            assert shown(sites.b, copy, snapshot) == sites.finished[snap_id]
    sites._check_that_nothing_is_hidden()
    if copy.features & Feature.OBJECT_MAP:
        assert set(sites.b.maps) == {object_map_oid("copy", i) for i in (None, *copy.snapshots)}
        for number, cell in enumerate(sites.b.maps[object_map_oid("copy")].cells):
            assert bool(cell) == (sites.object(number) is not None), number
    beyond = -(-copy.size // 1024)
    assert all(sites.object(number) is None for number in range(beyond, 20))


def before_restore(sites):
    """The primary's snapshot that the copy stands at, and the user snapshots up to there."""
    newest = max(i for i, s in sites.copy.snapshots.items()
                 if is_mirror(s) and s.namespace.complete)
    return sites.copied(), users(sites.copy, below=newest)


@pytest.mark.parametrize("features", [FAST, MAPPED, PLAIN])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_copy(seed, features):
    sites = Sites(seed, features)
    sites.live()
    assert sites.work()
    base, kept = before_restore(sites)
    assert restore(sites)
    check(sites, base, kept)


@pytest.mark.parametrize("features", [FAST, MAPPED, PLAIN])
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_in_the_middle_of_a_sync(seed, features):
    """Cut off at any write; the restoring is cut off as well, and begun again."""
    for lives in itertools.count():
        sites = Sites(seed, features)
        sites.live()
        assert sites.work()
        sites.live()
        whole = sites.work(lives)
        base, kept = before_restore(sites)
        for again in (lives % 7, lives % 13):
            restore(sites, again)
        assert restore(sites)
        check(sites, base, kept)
        if whole:
            break
    assert lives > 3


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_killed_at_any_write(seed):
    for lives in itertools.count():
        sites = Sites(seed)
        sites.live()
        assert sites.work()
        sites.live()
        sites.work(8 + seed)
        base, kept = before_restore(sites)
        done = restore(sites, lives)
        if not done:
            if sites.copy.features & Feature.NON_PRIMARY:
                assert any(map(is_mirror, sites.copy.snapshots.values())) or (
                    shown(sites.b, sites.copy) == sites.primary.contents[base])
            assert restore(sites)
        check(sites, base, kept)
        if done:
            break
    assert lives > 3


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_never_was_whole_is_left_alone(seed):
    sites = Sites(seed)
    sites.live()
    for lives in itertools.count(1):
        sites.work(lives)
        if any(map(is_mirror, sites.copy.snapshots.values())):
            break
    assert not any(s.namespace.complete for s in sites.copy.snapshots.values() if is_mirror(s))
    omap, objects = sites.copy.omap(), {
        oid: found.copied() for oid, found in sites.b.objects.items()}
    with pytest.raises(NotReady):
        restore(sites)
    assert (sites.copy.omap(), sites.b.objects) == (omap, objects)


def test_one_that_is_gone():
    sites = Sites(1)
    del sites.b.headers[header_oid("copy")]
    with pytest.raises(NotFound):
        restore(sites)
