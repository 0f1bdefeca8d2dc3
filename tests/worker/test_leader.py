"""Who replays a pool when there are several that could."""

import asyncio

import pytest

from mirror_mgr.cluster import operation
from mirror_mgr.errors import DeadlineExceeded, Fenced
from mirror_mgr.wire.header import LEADER
from mirror_mgr.wire.watch_notify import LeaderOp, decode_leader
from mirror_mgr.worker.leader import Leader
from tests.cluster.fake_locks import FakePool, other
from tests.replay.fake_rados import WriteOp
from tests.virtual_time import run, settle

DAEMON = other(description="")
OURS = other(description="mirror_mgr")
ALIVE = {(4200, 7)}


@pytest.fixture(autouse=True)
def write_op(monkeypatch):
    monkeypatch.setattr(operation.rados, "WriteOp", WriteOp, raising=False)


class Candidate:
    """A leader that strives, and what it told."""

    def __init__(self, pool):
        self.pool = pool
        self.changes = []
        self.leader = Leader(pool, self._changed)
        self.task = asyncio.ensure_future(self.leader.run())

    def _changed(self):
        self.changes.append((self.leader.leading, self.leader.foreign))

    @property
    def said(self):
        return [decode_leader(payload) for payload in self.pool.notified]

    async def end(self):
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def free_pool(**more):
    return FakePool(oid=LEADER, **more)


def test_a_free_pool_is_led_and_that_is_told_again_and_again():
    async def body():
        one = Candidate(free_pool())
        await settle()
        assert one.leader.leading and one.changes == [(True, None)]
        assert one.said == [LeaderOp.LOCK_ACQUIRED]
        await asyncio.sleep(15)
        assert one.said == [LeaderOp.LOCK_ACQUIRED] + 3 * [LeaderOp.HEARTBEAT]
        await one.end()
    run(body())


def test_who_ends_tells_the_others():
    async def body():
        one = Candidate(free_pool())
        await settle()
        await one.end()
        assert one.said[-1] == LeaderOp.LOCK_RELEASED
        assert one.pool.holder is None and not one.pool.watches
        assert one.changes == [(True, None), (False, None)]
    run(body())


def test_while_a_daemon_leads_we_stand_by_and_name_it():
    async def body():
        one = Candidate(free_pool(holder=DAEMON, alive=ALIVE))
        await asyncio.sleep(60)
        assert one.changes == [(False, "client.4200 at 10.0.0.2:0/4200")]
        assert one.pool.holder == DAEMON and one.said == []
        one.pool.holder = None
        await asyncio.sleep(5)
        assert one.changes[1:] == [(True, None)]
        await one.end()
    run(body())


def test_another_worker_of_ours_is_no_stranger():
    async def body():
        one = Candidate(free_pool(holder=OURS, alive=ALIVE))
        await asyncio.sleep(10)
        assert (one.leader.leading, one.leader.foreign, one.changes) == (False, None, [])
        await one.end()
        assert one.pool.holder == OURS and one.said == []
    run(body())


def test_a_dead_leader_is_succeeded():
    async def body():
        one = Candidate(free_pool(holder=DAEMON))
        await settle()
        assert one.leader.leading and "blocklist 10.0.0.2:0/4200" in one.pool.events
        await one.end()
    run(body())


def test_a_lost_watch_ends_the_lead_until_it_is_won_again():
    async def body():
        one = Candidate(free_pool())
        await settle()
        one.pool.watches[0].lost()
        await settle()
        assert one.changes == [(True, None), (False, None), (True, None)]
        assert len(one.pool.watches) == 1
        await one.end()
    run(body())


def test_a_failure_is_tried_again():
    async def body():
        pool = free_pool()
        pool.fail("lock", DeadlineExceeded("x"))
        one = Candidate(pool)
        await asyncio.sleep(10)
        assert not one.leader.leading and one.pool.events.count("watch") > 1
        del pool.before["lock"]
        await asyncio.sleep(5)
        assert one.leader.leading
        await one.end()
    run(body())


@pytest.mark.parametrize("method", ["operate", "watch", "lock", "notify"])
def test_a_blocklisted_client_can_lead_nothing(method):
    async def body():
        pool = free_pool()
        pool.fail(method, Fenced("x"))
        with pytest.raises(Fenced):
            await Candidate(pool).task
        assert not pool.watches
    run(body())
