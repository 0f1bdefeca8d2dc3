"""When a copy must stop writing because somebody else needs the image."""

import pytest

from mirror_mgr.cluster.lock import WatchedLock
from mirror_mgr.errors import Busy, NotReady
from mirror_mgr.replay.hold import DESCRIPTION, Hold
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.watch_notify import ImageOp, encode_image
from tests.cluster.fake_locks import FakePool, other
from tests.virtual_time import run

LOCKING = Feature.EXCLUSIVE_LOCK
PLAIN = Feature(0)


def hold_on(pool, features=LOCKING):
    return Hold(pool, "1", ImageHeader(1 << 22, 22, features, "rbd_data.1"))


async def held(pool, features=LOCKING):
    hold = hold_on(pool, features)
    await hold.acquire()
    hold.check()
    return hold


def assert_lost(hold):
    with pytest.raises(NotReady) as caught:
        hold.check()
    assert hold.lost.is_set() and hold.reason
    assert str(caught.value) == hold.reason


def test_with_the_exclusive_lock_it_is_taken_and_given_back():
    async def body():
        pool = FakePool()
        hold = await held(pool)
        assert pool.holder.description == DESCRIPTION
        await hold.release()
        assert pool.holder is None and not pool.watches
        assert pool.notified == [encode_image(ImageOp.RELEASED_LOCK)]
    run(body())


def test_without_the_feature_there_is_a_watch_alone():
    async def body():
        pool = FakePool(other())
        hold = await held(pool, PLAIN)
        assert len(pool.watches) == 1
        await hold.release()
        assert pool.holder == other() and not pool.watches
        assert pool.notified == [b""], "a header update"
    run(body())


def test_an_image_in_use_is_left_alone():
    async def body():
        pool = FakePool(other(), alive={(4200, 7)})
        with pytest.raises(Busy):
            await hold_on(pool).acquire()
        assert not pool.watches
    run(body())


def test_the_lock_of_a_known_dead_worker_is_broken_at_once():
    async def body():
        pool = FakePool(other(), alive={(4200, 7)})
        await hold_on(pool).acquire(dead=("10.0.0.2:0/4200",))
        assert pool.holder.description == DESCRIPTION
    run(body())


@pytest.mark.parametrize("features", [LOCKING, PLAIN])
@pytest.mark.parametrize("payload", [
    encode_image(ImageOp.REQUEST_LOCK), encode_image(ImageOp.HEADER_UPDATE), b"",
    encode_image(9)])
def test_whoever_wants_something_gets_the_image(features, payload):
    async def body():
        pool = FakePool()
        hold = await held(pool, features)
        pool.watches[0].notified(payload)
        assert_lost(hold)
    run(body())


@pytest.mark.parametrize("payload", [
    encode_image(ImageOp.ACQUIRED_LOCK), encode_image(ImageOp.RELEASED_LOCK), b"\xff", b"hello"])
def test_other_talk_is_no_reason(payload):
    async def body():
        pool = FakePool()
        hold = await held(pool)
        pool.watches[0].notified(payload)
        hold.check()
        assert not hold.lost.is_set()
    run(body())


def test_what_is_heard_after_the_release_is_no_news():
    async def body():
        pool = FakePool()
        hold = await held(pool)
        watch = pool.watches[0]
        await hold.release()
        watch.notified(b"")
        assert not hold.lost.is_set()
    run(body())


def test_a_lost_watch_ends_it():
    async def body():
        pool = FakePool()
        hold = await held(pool)
        pool.watches[0].lost()
        assert_lost(hold)
    run(body())


@pytest.mark.parametrize("confirmed, safe", [(0.0, True), (19999.0, True), (20001.0, False),
                                             (float("inf"), False)])
def test_a_watch_that_is_no_longer_confirmed_ends_it(confirmed, safe):
    """The OSD drops a watch that it has not heard of for 30 s: before that, writing must end."""
    async def body():
        pool = FakePool()
        hold = await held(pool)
        pool.watches[0].confirmed = confirmed
        if safe:
            hold.check()
        else:
            assert_lost(hold)
    run(body())


def test_the_first_reason_stays():
    async def body():
        pool = FakePool()
        hold = await held(pool)
        pool.watches[0].lost()
        first = hold.reason
        pool.watches[0].notified(b"")
        assert hold.reason == first
    run(body())


def test_unheld_is_unsafe():
    assert WatchedLock(FakePool(), "o", "").confirmed_ms_ago() == float("inf")

    async def body():
        with pytest.raises(NotReady):
            hold_on(FakePool()).check()
    run(body())
