"""The lock that lives as long as a watch: who gets it, who loses it, what is left behind."""

import asyncio

import pytest

from mirror_mgr.cluster.lock import WatchedLock
from mirror_mgr.errors import Busy, DeadlineExceeded, Fenced, NotFound
from tests.cluster.fake_locks import ME, OID, FakePool, other
from tests.virtual_time import run, settle


def lock_on(pool):
    return WatchedLock(pool, OID, "mirror_mgr")


def test_a_free_lock():
    async def body():
        pool = FakePool()
        lock = lock_on(pool)
        await lock.acquire()
        assert lock.held and pool.holder == ME
        assert pool.events == ["watch", "lock"]
        await lock.release()
        assert not lock.held and pool.holder is None
        assert pool.events == ["watch", "lock", "unlock", "unwatch"]
        assert await lock.holder() is None
    run(body())


def test_the_farewell_comes_when_the_lock_is_free():
    async def body():
        pool = FakePool()
        lock = lock_on(pool)
        await lock.acquire()
        await lock.release(b"bye")
        assert pool.events[2:] == ["unlock", "unwatch", "notify"]
        assert pool.notified == [b"bye"]
    run(body())


def test_who_is_alive_keeps_it():
    async def body():
        pool = FakePool(other(description="rbd-mirror"), alive={(4200, 7)})
        lock = lock_on(pool)
        with pytest.raises(Busy) as caught:
            await lock.acquire()
        for word in ("client.4200", "10.0.0.2:0/4200", "rbd-mirror"):
            assert word in str(caught.value)
        assert pool.holder == other(description="rbd-mirror") and not lock.held
        assert not pool.watches and not any("blocklist" in event for event in pool.events)
    run(body())


@pytest.mark.parametrize("alive", [set(), {(4200, 8)}, {(4201, 7)}])
def test_who_has_no_watch_is_blocklisted_before_its_lock_is_broken(alive):
    async def body():
        pool = FakePool(other(), alive)
        await lock_on(pool).acquire()
        assert pool.holder == ME
        assert pool.events == ["watch", "lock", "get_info", "probe",
                               "blocklist 10.0.0.2:0/4200", "break_lock", "lock"]
    run(body())


def test_a_worker_that_hangs_is_evicted_alive_or_not():
    async def body():
        pool = FakePool(other(description="mirror_mgr"), alive={(4200, 7)})
        await lock_on(pool).evict("mirror_mgr")
        assert pool.holder is None
        assert pool.events == ["get_info", "blocklist 10.0.0.2:0/4200", "break_lock"]
        await lock_on(pool).evict("mirror_mgr")
    run(body())


def test_nobody_else_is_evicted():
    async def body():
        pool = FakePool(other(description=""), alive=set())
        with pytest.raises(Busy, match="client.4200"):
            await lock_on(pool).evict("mirror_mgr")
        assert pool.holder == other(description="") and pool.events == ["get_info"]
    run(body())


def test_while_any_watcher_is_silent_nobody_counts_as_dead():
    """It may be another one than the holder: librados only tells when all have answered."""
    async def body():
        pool = FakePool(other(), alive=None)
        with pytest.raises(Busy):
            await lock_on(pool).acquire()
        assert pool.holder == other() and not any("blocklist" in event for event in pool.events)
    run(body())


def test_who_is_known_to_be_dead_is_not_asked():
    async def body():
        pool = FakePool(other(), alive={(4200, 7)})
        await lock_on(pool).acquire(dead=["10.0.0.2:0/4200"])
        assert pool.holder == ME and "probe" not in pool.events
        assert pool.events.index("blocklist 10.0.0.2:0/4200") < pool.events.index("break_lock")
    run(body())


@pytest.mark.parametrize("cookie", ["mine", "auto", "auto x"])
def test_a_lock_of_another_kind_is_not_ours_to_judge(cookie):
    async def body():
        pool = FakePool(other(cookie=cookie))
        with pytest.raises(Busy):
            await lock_on(pool).acquire()
        assert "probe" not in pool.events and pool.holder == other(cookie=cookie)
    run(body())


def test_a_holder_that_goes_meanwhile():
    async def body():
        pool = FakePool(other())
        pool.before["get_info"] = lambda: setattr(pool, "holder", None)
        await lock_on(pool).acquire()
        assert pool.holder == ME and "break_lock" not in pool.events
    run(body())


def test_broken_by_another_meanwhile():
    async def body():
        pool = FakePool(other())
        pool.before["break_lock"] = lambda: pool.__dict__.update(
            holder=other(gid=4300), alive={(4300, 7)})
        with pytest.raises(Busy):
            await lock_on(pool).acquire()
        assert pool.holder == other(gid=4300) and not pool.watches
    run(body())


@pytest.mark.parametrize("error", [Fenced("x"), DeadlineExceeded("x"), OSError("x")])
def test_a_failure_leaves_no_watch(error):
    async def body():
        pool = FakePool()
        pool.fail("lock", error)
        with pytest.raises(type(error)):
            await lock_on(pool).acquire()
        assert not pool.watches
    run(body())


def test_an_answer_that_never_came_leaves_no_lock():
    """The OSD may have done what we were not told of."""
    async def body():
        pool = FakePool()
        pool.before["lock"] = lambda: lose_the_answer(pool)
        with pytest.raises(DeadlineExceeded):
            await lock_on(pool).acquire()
        assert pool.holder is None and not pool.watches
    run(body())


async def lose_the_answer(pool):
    pool.holder = ME
    raise DeadlineExceeded("lock")


def test_cancelled_while_the_lock_is_on_its_way():
    async def body():
        pool = FakePool()
        pool.before["lock"] = lambda: asyncio.shield(taken_late(pool))
        acquiring = asyncio.ensure_future(lock_on(pool).acquire())
        await settle()
        acquiring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acquiring
        assert pool.holder is None and not pool.watches
    run(body())


async def taken_late(pool):
    pool.holder = ME
    await asyncio.sleep(1)


def test_a_lock_that_was_broken_is_released_all_the_same():
    async def body():
        pool = FakePool()
        lock = lock_on(pool)
        await lock.acquire()
        pool.holder = other()
        await lock.release()
        assert pool.holder == other() and not pool.watches
    run(body())


def test_a_failing_unlock_ends_the_watch_at_least():
    async def body():
        pool = FakePool()
        lock = lock_on(pool)
        await lock.acquire()
        pool.fail("unlock", DeadlineExceeded("x"))
        with pytest.raises(DeadlineExceeded):
            await lock.release()
        assert not pool.watches and not lock.held
    run(body())


def test_released_twice_is_released_once():
    async def body():
        pool = FakePool()
        lock = lock_on(pool)
        await lock.acquire()
        await lock.release()
        await lock.release()
        assert pool.events.count("unlock") == pool.events.count("unwatch") == 1
    run(body())


def test_watching_alone():
    async def body():
        pool = FakePool(other())
        lock = lock_on(pool)
        assert lock.confirmed_ms_ago() == float("inf")
        heard, lost = [], []
        await lock.watch(heard.append, lambda: lost.append(True))
        pool.watches[0].notified(b"news")
        pool.watches[0].lost()
        pool.watches[0].confirmed = 17.0
        assert (heard, lost, lock.confirmed_ms_ago(), lock.held) == ([b"news"], [True], 17.0, False)
        await lock.release()
        assert pool.holder == other() and not pool.watches
    run(body())


def test_no_object_no_holder():
    async def body():
        pool = FakePool()
        pool.fail("get_info", NotFound("x"))
        assert await lock_on(pool).holder() is None
    run(body())
