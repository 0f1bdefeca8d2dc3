"""Workers at one pool: each finds its share, and takes over what belonged to one that is gone."""

import asyncio

import pytest

from mirror_mgr.errors import DeadlineExceeded, MalformedData, NotReady, NotSupported
from mirror_mgr.worker.roster import SLOTS, Roster
from mirror_mgr.worker.team import Team
from tests.virtual_time import run, settle
from tests.worker.meeting import Client, Meeting


class Worker:
    """A team's member that looks after its share whenever it hears that something changed."""

    def __init__(self, meeting, number, dead=()):
        self.client = Client(meeting, number)
        self.changes = 0
        self.slots = frozenset()
        self.team = Team(self.client, self._changed, dead)

    def _changed(self):
        self.changes += 1

    async def start(self):
        await self.team.attend()
        await self.team.join()
        return self

    async def look(self, alone=None):
        self.slots = await self.team.share(alone)
        await self.team.free(self.slots)


async def started(meeting, *numbers, dead=()):
    workers = [await Worker(meeting, number, dead).start() for number in numbers]
    await settle()
    return workers


async def settle_all(*workers):
    for _ in range(3):
        for worker in workers:
            await worker.look()
        await settle()


def known(meeting):
    return Roster.decode(meeting.data)


def test_one_alone_has_everything():
    async def body():
        [one] = await started(Meeting(), 1)
        await one.look()
        assert one.slots == frozenset(range(SLOTS))
    run(body())


def test_a_second_one_gets_half_once_the_first_lets_go():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        await one.look()
        [two] = await started(meeting, 2)
        await two.look()
        await settle()
        assert two.slots == frozenset() and one.changes
        one.slots = await one.team.share()
        assert len(one.slots) == SLOTS // 2
        await two.look()
        assert two.slots == frozenset(), "the first has not ended what it did there"
        await one.team.free(one.slots)
        await two.look()
        assert one.slots | two.slots == frozenset(range(SLOTS)) and not one.slots & two.slots
    run(body())


def test_one_of_several_has_everything_where_that_is_asked_for():
    async def body():
        one, two = await started(Meeting(), 1, 2)
        await settle_all(one, two)
        for alone, other in ((two, one), (one, two)):
            for _ in range(2):
                await other.look(alone=False)
                await alone.look(alone=True)
            assert (len(alone.slots), len(other.slots)) == (SLOTS, 0)
        await settle_all(one, two)
        assert len(one.slots) == len(two.slots) == SLOTS // 2
    run(body())


def test_who_leaves_is_not_shot_and_leaves_all():
    async def body():
        meeting = Meeting()
        one, two = await started(meeting, 1, 2)
        await settle_all(one, two)
        await two.team.leave()
        await two.team.close()
        assert await one.team.call_roll() is False
        await one.look()
        assert len(one.slots) == SLOTS and meeting.blocklisted == []
    run(body())


def test_an_unchanged_roster_is_not_written():
    async def body():
        meeting = Meeting()
        one, two = await started(meeting, 1, 2)
        await settle_all(one, two)
        version, said = meeting.version, len(one.client.said)
        await settle_all(one, two)
        assert (meeting.version, len(one.client.said)) == (version, said)
    run(body())


def test_changes_that_cross_are_made_again():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        meeting.conflicts = 3
        await one.look()
        assert len(one.slots) == SLOTS
        meeting.conflicts = 1000
        with pytest.raises(NotReady):
            await one.team.free(frozenset())
    run(body())


class TestTheRoll:
    def test_all_are_there(self):
        async def body():
            meeting = Meeting()
            one, two = await started(meeting, 1, 2)
            assert await one.team.call_roll() is False
            assert two.team.led_at == one.team.led_at == asyncio.get_running_loop().time()
            assert meeting.blocklisted == []
        run(body())

    def test_a_watch_that_is_gone_tells_at_once(self):
        async def body():
            meeting = Meeting()
            one, two = await started(meeting, 1, 2)
            await settle_all(one, two)
            two.client.watches = []
            assert await one.team.call_roll() is False
            assert meeting.blocklisted == [two.client.address] and one.changes
            assert [member.id for member in known(meeting).members] == [1]
            await one.look()
            assert len(one.slots) == SLOTS
        run(body())

    def test_a_silent_one_is_asked_again_before_it_is_given_up(self):
        async def body():
            meeting = Meeting()
            one, two, three = await started(meeting, 1, 2, 3)
            meeting.silent = {2}
            for _ in range(3):
                assert await one.team.call_roll() is True
                await settle()
                assert meeting.blocklisted == []
            assert await one.team.call_roll() is True
            assert meeting.blocklisted == [two.client.address]
            assert [member.id for member in known(meeting).members] == [1, 3]
            said = [word for word in one.client.said if not word.startswith("changed")]
            assert said == ["led 1", "count 1", "count 1", "count 1"]
            assert "here 3" in three.client.said
        run(body())

    def test_one_that_is_merely_slow_is_spared(self):
        async def body():
            meeting = Meeting()
            one, two = await started(meeting, 1, 2)
            for _ in range(3):
                meeting.silent = {2}
                for _ in range(3):
                    assert await one.team.call_roll() is True
                meeting.silent = set()
                assert await one.team.call_roll() is False
            assert meeting.blocklisted == []
        run(body())

    def test_a_silent_stranger_harms_nobody(self):
        async def body():
            meeting = Meeting()
            one, two = await started(meeting, 1, 2)
            await Worker(meeting, 3).team.attend()
            meeting.silent = {3}
            for _ in range(20):
                await one.team.call_roll()
                await settle()
            assert meeting.blocklisted == []
        run(body())


def test_who_is_known_to_be_dead_is_buried_by_the_one_that_follows():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        await one.look()
        meeting.silent = {1}
        [two] = await started(meeting, 2, dead=["10.0.0.1:0/1"])
        assert meeting.blocklisted == ["10.0.0.1:0/1"]
        await two.look()
        assert len(two.slots) == SLOTS
    run(body())


def test_who_was_given_up_notices():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        meeting.data = b""
        with pytest.raises(NotReady):
            await one.look()
    run(body())


def test_without_a_watch_nobody_joins():
    async def body():
        one = Worker(Meeting(), 1)
        with pytest.raises(NotReady):
            await one.team.join()
        await one.team.attend()
        one.client.watches[0].lost()
        assert one.team.lost.is_set() and not one.team.attending
        with pytest.raises(NotReady):
            await one.team.join()
        await one.team.attend()
        assert not one.team.lost.is_set()
        await one.team.join()
    run(body())


def test_who_can_not_leave_in_order_ends_its_watch():
    async def body():
        meeting = Meeting()
        one, two = await started(meeting, 1, 2)
        meeting.fail = DeadlineExceeded("x")
        await two.team.leave()
        meeting.fail = None
        await settle()
        assert not two.team.attending
        await one.team.call_roll()
        assert meeting.blocklisted == [two.client.address]
    run(body())


class TestTheLeader:
    @pytest.mark.parametrize("silent, there", [(set(), True), ({2}, False), ({3}, True)])
    def test_whether_it_answers(self, silent, there):
        async def body():
            meeting = Meeting()
            one, two, three = await started(meeting, 1, 2, 3)
            meeting.silent = silent
            answering = asyncio.ensure_future(one.team.answers(2))
            assert await answering is there
        run(body())

    def test_one_that_watches_no_more_does_not(self):
        async def body():
            [one] = await started(Meeting(), 1)
            assert await one.team.answers(2) is False and one.client.said.count("who 1") == 1
        run(body())

    def test_who_follows(self):
        async def body():
            meeting = Meeting()
            [one] = await started(meeting, 1)
            assert await one.team.farewell() is False
            [two] = await started(meeting, 2)
            assert await one.team.farewell() is True
            assert two.team.vacant.is_set()
            two.team.hear_of_leader()
            assert not two.team.vacant.is_set()
        run(body())


def test_what_nobody_of_ours_says_is_ignored():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        [watch] = one.client.watches
        for payload in (b"", b"led", b"led x", b"nonsense 7", b"\xff\xfe 1"):
            watch.notified(payload)
        assert one.team.led_at == float("-inf") and one.changes == 0
    run(body())


def test_a_roster_that_does_not_decode_names_the_cure():
    async def body():
        meeting = Meeting()
        [one] = await started(meeting, 1)
        meeting.data = b"junk"
        with pytest.raises(MalformedData) as caught:
            await one.look()
        assert "rbd_mirror_mgr" in str(caught.value)
    run(body())


def test_a_roster_of_later_workers_stays():
    async def body():
        meeting = Meeting()
        await started(meeting, 1)
        later = meeting.data = meeting.data.replace(b'"version": 1', b'"version": 2')
        with pytest.raises(NotSupported, match="later mirror_mgr .* upgrade mirror_mgr"):
            await Worker(meeting, 2).start()
        assert meeting.data == later
    run(body())
