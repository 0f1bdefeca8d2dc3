"""One image's replayer: what it does about a plan, what it tells, when it looks again."""

import asyncio

import pytest

from mirror_mgr import states
from mirror_mgr.errors import (
    AlreadyExists,
    Busy,
    DeadlineExceeded,
    Fenced,
    MalformedData,
    NotReady,
    OutOfSpace,
)
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.snapshot import Means
from mirror_mgr.wire.constants import Feature, ImageMode, MirrorImageState, StatusState
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.mirror import MirrorImage
from mirror_mgr.wire.watch_notify import ImageOp, encode_image
from mirror_mgr.worker import image as image_module
from mirror_mgr.worker import status
from mirror_mgr.worker.image import Gate, Gates, ImageReplayer, Mirrored
from tests.replay import headers
from tests.replay.headers import GLOBAL_ID, LINK
from tests.replay.librbd import OBJECT
from tests.replay.test_snapshot import Sites
from tests.virtual_time import run, settle


@pytest.fixture
def unlinked(monkeypatch):
    """The primary's snapshots that were said to be needed no more."""
    found = []

    async def unlink(source, header, snapshot, peer_uuid, watch):
        found.append(snapshot.id)

    monkeypatch.setattr(image_module.unlink, "unlink", unlink)
    return found


class Replay:
    """A replayer of the copy at the second of two sites, and the statuses it published.

    `name` is what the pool's directory calls the image.
    """

    def __init__(self, sites, local_id="copy"):
        self.published = []
        means = Means(Budget(4 * OBJECT), lambda *pool: sites.a.list_snaps)
        self.replayer = ImageReplayer(
            sites.b.pool(), sites.a.pool(), LINK, lambda: means,
            Mirrored(GLOBAL_ID, "source", local_id, MirrorImageState.ENABLED if local_id else None),
            Gates(asyncio.Semaphore(1), Gate(1)), self._publish)
        self.name = "name"
        self.replayer._find_name = self._find_name
        self.task = asyncio.ensure_future(self.replayer.run())

    async def _find_name(self):
        return self.name

    def _publish(self, replayer):
        self.published.append(replayer.status)

    @property
    def told(self):
        return [(status.state, status.text) for status in self.published]

    async def end(self):
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


class Listed:
    """The pool of the copy, in which this one is mirrored."""

    def __init__(self, pool, state):
        self._pool = pool
        self._state = state

    def __getattr__(self, name):
        return getattr(self._pool, name)

    async def call(self, oid, call, reply=0):
        if call.method == "mirror_image_get_image_id":
            return Encoder().string("copy").done()
        if call.method == "mirror_image_get":
            return MirrorImage(GLOBAL_ID, self._state, ImageMode.SNAPSHOT).encode()
        return await self._pool.call(oid, call, reply)


class TestOnTwoSites:
    def test_it_syncs_and_tells(self, unlinked):
        async def body():
            sites = Sites(1)
            first, end = sites.live(), sites.live()
            replay = Replay(sites)
            await settle()
            assert sites.copied() == end and unlinked == [first]
            assert replay.told == [(StatusState.STARTING_REPLAY, "starting replay"),
                                   (StatusState.REPLAYING, "replaying")]
            details = replay.replayer.status.details
            assert details["replay_state"] == "idle" and "unverified" not in details
            assert details["local_snapshot_timestamp"] == details["remote_snapshot_timestamp"]
            assert details["standing"] == replay.replayer.status.standing == states.UP_TO_DATE
            assert details["standing_since"] == int(replay.replayer.since)
            assert replay.replayer.copied_ns // 10**9 == details["local_snapshot_timestamp"]
            assert replay.replayer.history.snapshots == 1
            await replay.end()
        run(body())

    @pytest.mark.parametrize("state", [MirrorImageState.ENABLED, MirrorImageState.CREATING])
    def test_a_copy_that_was_begun_after_the_pool_was_listed_is_found(
            self, state, unlinked, monkeypatch):
        discarded = []

        async def discard(pool, image_id, global_id, name):
            discarded.append(image_id)

        async def body():
            sites = Sites(1)
            sites.live()
            end = sites.live()
            replay = Replay(sites, local_id=None)
            replay.replayer._local = Listed(replay.replayer._local, state)
            await settle()
            if state == MirrorImageState.ENABLED:
                assert sites.copied() == end and not discarded
            else:
                # It has no snapshot: it is begun again.
                assert discarded[:1] == ["copy"]
            await replay.end()

        monkeypatch.setattr(image_module.create, "discard", discard)
        run(body())

    def test_news_of_the_primary_s_header_is_followed(self, unlinked):
        async def body():
            sites = Sites(2)
            sites.live()
            replay = Replay(sites)
            await settle()
            end = sites.live()
            replay.replayer._header_notified(b"")
            await asyncio.sleep(0.1)
            assert sites.copied() == end
            await replay.end()
        run(body())

    def test_without_news_it_looks_now_and_then(self, unlinked):
        async def body():
            sites = Sites(2)
            sites.live()
            replay = Replay(sites)
            await settle()
            end = sites.live()
            await asyncio.sleep(29)
            assert sites.copied() != end
            await asyncio.sleep(2)
            assert sites.copied() == end
            await replay.end()
        run(body())

    def test_a_flush_ends_when_all_is_here(self, unlinked):
        async def body():
            sites = Sites(3)
            sites.live()
            replay = Replay(sites)
            await settle()
            end = sites.live()
            await asyncio.wait_for(replay.replayer.flush(), 10)
            assert sites.copied() == end
            await replay.end()
        run(body())

    def test_a_flush_ends_with_the_replay(self, unlinked, monkeypatch):
        async def body():
            sites = Sites(3)
            sites.live()
            replay = Replay(sites)
            await settle()
            monkeypatch.setattr(replay.replayer, "_step", asyncio.Event().wait)
            flush = asyncio.ensure_future(replay.replayer.flush())
            await settle()
            assert not flush.done()
            await replay.end()
            await asyncio.wait_for(flush, 10)
        run(body())

    def test_an_image_that_was_stopped_stands_still(self, unlinked):
        async def body():
            sites = Sites(3)
            sites.live()
            replay = Replay(sites)
            await settle()
            await replay.end()
            copied = sites.copied()
            stopped = Replay(sites)
            await stopped.end()
            stopped.task = asyncio.ensure_future(stopped.replayer.stand_still())
            end = sites.live()
            await asyncio.sleep(100)
            assert sites.copied() == copied != end
            assert stopped.told[-1] == (StatusState.STOPPED, "stopped")
            await asyncio.wait_for(stopped.replayer.flush(), 1)
            await stopped.end()
        run(body())

    @pytest.mark.parametrize("error", [MalformedData("x"), DeadlineExceeded("y"), MemoryError()])
    def test_one_whose_name_is_not_to_be_had_stands_still_too(self, monkeypatch, unlinked, error):
        async def fail(replayer):
            raise error

        async def body():
            stopped = Replay(Sites(3))
            await stopped.end()
            monkeypatch.setattr(type(stopped.replayer), "_know_name", fail)
            stopped.task = asyncio.ensure_future(stopped.replayer.stand_still())
            await settle()
            assert not stopped.task.done()
            assert stopped.told[-1] == (StatusState.STOPPED, "stopped")
            await stopped.end()
        run(body())

    def test_what_a_dead_worker_did_not_clear_away_holds_nothing_up(self, unlinked):
        """The removal changes the header: the sync is planned from what is there after it."""
        async def body():
            sites = Sites(3)
            sites.live()
            assert await sites.work_once()
            sites.live()
            assert await sites.work_once(finish=False)
            end = sites.live()
            replay = Replay(sites)
            await settle()
            assert sites.copied() == end
            sites.note_synced(end)
            sites.check_synced(end)
            assert replay.replayer._failures == 0
            await replay.end()
        run(body())

    def test_promoted_here_it_stops_and_lets_go_of_the_primary(self, unlinked):
        async def body():
            sites = Sites(1)
            sites.live()
            replay = Replay(sites)
            await settle()
            assert replay.replayer._watch is not None
            sites.copy.features &= ~Feature.NON_PRIMARY
            replay.replayer.wake()
            await settle()
            assert replay.told[-1] == (StatusState.STOPPED, "local image is primary")
            assert replay.replayer._watch is None
            assert replay.replayer.status.reason == status.PRIMARY_AT_BOTH
            sites.primary.header.features |= Feature.NON_PRIMARY
            sites.primary.header.snapshots[1000] = headers.demoted(1000)
            replay.replayer.wake()
            await settle()
            assert replay.replayer.status.reason == status.HAS_ITS_OWN_CHANGES
            assert replay.replayer.status.standing == states.SPLIT_BRAIN
            sites.copy.snapshots[2000] = headers.copied(2000, of=1000, demoted=True)
            replay.replayer.wake()
            await settle()
            assert replay.told[-1] == (StatusState.STOPPED, "local image is primary")
            assert replay.replayer.status.standing == states.PRIMARY
            await replay.end()
        run(body())

    def test_who_is_primary_may_be_renamed(self, unlinked):
        async def body():
            sites = Sites(1)
            sites.live()
            replay = Replay(sites)
            await settle()
            assert replay.replayer.name == "name"
            sites.copy.features &= ~Feature.NON_PRIMARY
            replay.replayer.wake()
            await settle()
            replay.name = "another"
            sites.copy.features |= Feature.NON_PRIMARY
            replay.replayer.wake()
            await settle()
            assert replay.replayer.name == "another"
            await replay.end()
        run(body())

    def test_a_copy_whose_snapshot_is_gone_at_the_primary_is_told_as_such(self, unlinked):
        async def body():
            sites = Sites(1)
            end = sites.live()
            replay = Replay(sites)
            await settle()
            sites.primary.remove_snapshot(end)
            replay.replayer.wake()
            await settle()
            assert replay.replayer.status.standing == states.ERROR
            assert replay.replayer.status.reason.endswith(
                f"; make it anew: ceph rbd-mirror image resync p/{replay.replayer.name}")
            assert replay.replayer.copied_ns is not None
            assert replay.replayer.status.state == StatusState.ERROR
            await replay.end()
        run(body())

    def test_a_source_that_is_gone_is_an_error(self, unlinked):
        async def body():
            sites = Sites(1)
            sites.a.headers.clear()
            replay = Replay(sites)
            await settle()
            assert replay.told[-1] == (StatusState.ERROR, "remote image does not exist")
            await replay.end()
        run(body())


class TestWhatIsNews:
    @pytest.mark.parametrize("payload, news", [
        (b"", True), (encode_image(ImageOp.HEADER_UPDATE), True), (b"\xff", True),
        (encode_image(ImageOp.ACQUIRED_LOCK), False), (encode_image(ImageOp.REQUEST_LOCK), False)])
    def test_on_the_primary_s_header(self, payload, news, unlinked):
        async def body():
            sites = Sites(1)
            sites.live()
            replay = Replay(sites)
            await settle()
            replay.replayer._news.clear()
            before = count_looks(replay)
            replay.replayer._header_notified(payload)
            await asyncio.sleep(1)
            assert bool(before) is news
            await replay.end()
        run(body())


def count_looks(replay):
    looks = []
    original = replay.replayer._step

    async def step():
        looks.append(asyncio.get_running_loop().time())
        return await original()

    replay.replayer._step = step
    return looks


class TestFailures:
    def looks(self, error, seconds):
        """When the image was looked at, where each look fails; and the status told at last."""
        async def body():
            replay = Replay(Sites(1))
            found = []

            async def step():
                found.append(round(asyncio.get_running_loop().time()))
                raise error

            replay.replayer._step = step
            await asyncio.sleep(seconds)
            await replay.end()
            return found, replay.published[-1]
        return run(body())

    def test_less_and_less_often(self):
        found, told = self.looks(AlreadyExists("image 'x' exists here"), 100)
        assert found == [0, 1, 3, 8, 18, 48, 78]
        assert (told.state, told.text) == (StatusState.ERROR, "image 'x' exists here")

    def test_a_full_pool_is_looked_at_often(self):
        assert self.looks(OutOfSpace("its quota is used up"), 21)[0] == [0, 5, 10, 15, 20]

    @pytest.mark.parametrize("error", [NotReady("promoted"), Busy("locked")])
    def test_who_needs_the_image_gets_the_time_to_take_it(self, error):
        found, told = self.looks(error, 10)
        assert found == [0, 3, 7]
        assert told.state != StatusState.ERROR
        assert told.details["note"] == told.reason == str(error)
        assert told.standing == told.details["standing"] == states.WAITING

    def test_a_fault_of_ours_ends_nothing(self):
        found, told = self.looks(ZeroDivisionError("oops"), 10)
        assert len(found) > 2 and told.state == StatusState.ERROR and "oops" in told.text

    def test_blocklisted_it_ends(self):
        async def body():
            replay = Replay(Sites(1))

            async def step():
                raise Fenced("x")

            replay.replayer._step = step
            with pytest.raises(Fenced):
                await replay.task
        run(body())


def test_a_gate_counts_who_is_through_and_who_waits():
    async def body():
        gate = Gate(1)
        async with gate:
            other = asyncio.ensure_future(gate.acquire())
            await asyncio.sleep(0)
            assert (gate.running, gate.waiting) == (1, 1) and gate.locked()
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            assert (gate.running, gate.waiting) == (1, 0)
        assert (gate.running, gate.waiting) == (0, 0)
    asyncio.run(body())
