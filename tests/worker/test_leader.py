"""Who replays a pool when there are several that could."""

import asyncio

import pytest

from mirror_mgr.errors import DeadlineExceeded, Fenced
from mirror_mgr.wire.header import LEADER
from mirror_mgr.wire.watch_notify import LeaderOp, decode_leader
from mirror_mgr.worker.leader import Leader
from tests.cluster.fake_locks import FakePool, other
from tests.virtual_time import run, settle

HEARTBEAT_SECONDS = 5.0
DAEMON = other(description="")
OURS = other(description="mirror_mgr")
ALIVE = {(4200, 7)}


class FakeTeam:
    """The other workers: `present` are those that answer; they follow who says farewell."""

    def __init__(self, present=()):
        self.led_at = float("-inf")
        self.vacant = asyncio.Event()
        self.attending = False
        self.present = set(present)
        self.rolls = []
        self.in_doubt = False
        self.error = None
        self.asked = 0

    async def attend(self):
        self.attending = True

    async def call_roll(self):
        if self.error is not None:
            raise self.error
        self.rolls.append(asyncio.get_running_loop().time())
        self.led_at = self.rolls[-1]
        return self.in_doubt

    async def answers(self, member_id):
        self.asked += 1
        return member_id in self.present

    async def farewell(self):
        return bool(self.present)

    def hear_of_leader(self):
        self.led_at = asyncio.get_running_loop().time()
        self.vacant.clear()


class Candidate:
    """A leader that strives, and what it told."""

    def __init__(self, pool, team=None):
        self.pool = pool
        self.team = team or FakeTeam()
        self.changes = []
        self.leader = Leader(pool, self.team, self._changed)
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


def test_who_is_asked_to_leaves_the_lead_for_a_moment():
    async def body():
        one = Candidate(free_pool())
        one.leader.release()
        await settle()
        assert one.leader.leading
        one.leader.release()
        await settle()
        assert one.pool.holder is None and one.said[-1] == LeaderOp.LOCK_RELEASED
        assert not one.leader.leading and one.leader.led
        await asyncio.sleep(5)
        assert one.leader.leading and one.said[-1] == LeaderOp.LOCK_ACQUIRED
        await one.end()
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


class TestAnotherWorkerThatLeads:
    def test_is_no_stranger(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=ALIVE), FakeTeam({4200}))
            await asyncio.sleep(60)
            assert one.leader.led and not one.leader.leading and one.leader.foreign is None
            assert one.changes == [(False, None)]
            await one.end()
            assert one.pool.holder == OURS and one.said == []
        run(body())

    def test_is_not_looked_for_while_it_calls_the_roll(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=ALIVE), FakeTeam({4200}))
            await settle()
            done, asked = len(one.pool.events), one.team.asked
            for _ in range(20):
                one.team.hear_of_leader()
                await asyncio.sleep(HEARTBEAT_SECONDS)
            assert (len(one.pool.events), one.team.asked) == (done, asked)
            await one.end()
        run(body())

    def test_is_followed_as_soon_as_it_leaves(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=ALIVE), FakeTeam({4200}))
            await settle()
            one.pool.holder = None
            one.team.vacant.set()
            await settle()
            assert one.leader.leading and one.leader.led
            await one.end()
        run(body())

    def test_is_followed_when_it_does_not_answer_though_its_watch_is_there(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=None))
            await settle()
            assert one.leader.leading and "blocklist 10.0.0.2:0/4200" in one.pool.events
            await one.end()
        run(body())

    def test_keeps_the_others_at_work_for_a_while_when_it_is_heard_no_more(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=ALIVE), FakeTeam({4200}))
            await settle()
            waiting = asyncio.ensure_future(one.leader.until_led_no_more())
            one.pool.fail("get_info", DeadlineExceeded("x"))
            await asyncio.sleep(4 * HEARTBEAT_SECONDS)
            assert one.leader.led and not waiting.done()
            await asyncio.sleep(1.1 * HEARTBEAT_SECONDS)
            assert not one.leader.led and waiting.done()
            await one.end()
        run(body())

    def test_whose_place_a_daemon_took_ends_the_work_at_once(self):
        async def body():
            one = Candidate(free_pool(holder=OURS, alive=ALIVE), FakeTeam({4200}))
            await settle()
            waiting = asyncio.ensure_future(one.leader.until_led_no_more())
            one.pool.holder = DAEMON
            one.team.vacant.set()
            await settle()
            assert waiting.done() and not one.leader.led and one.leader.foreign
            await one.end()
        run(body())


def test_who_is_followed_by_another_worker_does_not_call_daemons():
    async def body():
        one = Candidate(free_pool(), FakeTeam({4300}))
        await settle()
        await one.end()
        assert LeaderOp.LOCK_RELEASED not in one.said and one.pool.holder is None
    run(body())


def test_who_is_in_doubt_of_others_calls_the_roll_again_soon():
    async def body():
        one = Candidate(free_pool())
        await settle()
        one.team.in_doubt = True
        await asyncio.sleep(HEARTBEAT_SECONDS + 5)
        assert len(one.team.rolls) > 8
        await one.end()
    run(body())


def test_a_leader_that_the_others_can_not_hear_is_none():
    async def body():
        one = Candidate(free_pool())
        await settle()
        one.team.attending = False
        await asyncio.sleep(HEARTBEAT_SECONDS)
        assert one.changes == [(True, None), (False, None), (True, None)] and one.team.attending
        await one.end()
    run(body())


def test_a_roll_that_fails_ends_the_lead_and_is_tried_again():
    async def body():
        one = Candidate(free_pool())
        one.team.error = DeadlineExceeded("x")
        await settle()
        assert not one.leader.leading and one.pool.holder is None and not one.pool.watches
        one.team.error = None
        await asyncio.sleep(5)
        assert one.leader.leading
        await one.end()
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
