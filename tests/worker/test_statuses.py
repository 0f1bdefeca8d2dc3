"""When statuses are written, and that they count as up."""

import asyncio

import pytest

from mirror_mgr import states
from mirror_mgr.errors import DeadlineExceeded, Fenced
from mirror_mgr.wire.constants import StatusState
from mirror_mgr.wire.encoding import Decoder
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.mirror import SiteStatus
from mirror_mgr.worker import statuses
from mirror_mgr.worker.status import ImageStatus
from mirror_mgr.worker.statuses import REFRESH_SECONDS, StatusBoard
from tests.virtual_time import run, settle


class Clock:
    """The loop's time, in place of the time module."""

    def monotonic(self):
        return asyncio.get_running_loop().time()

    def time_ns(self):
        return 0


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(statuses, "time", Clock())


class Watch:
    def __init__(self, notified, lost):
        self.notified = notified
        self.lost = lost
        self.closed = False

    async def close(self):
        self.closed = True


class Site:
    """The pool of a site; `written` are global ids with what was written of them."""

    def __init__(self):
        self.watches = []
        self.written = []
        self.error = None

    def begin(self, oid):
        assert oid == MIRRORING
        if self.error is not None:
            raise self.error

    async def watch(self, oid, notified, lost):
        self.begin(oid)
        self.watches.append(Watch(notified, lost))
        return self.watches[-1]

    async def call(self, oid, call):
        self.begin(oid)
        assert call.method == "mirror_image_status_set"
        assert any(not watch.closed for watch in self.watches), "it would count as down"
        source = Decoder(call.data)
        self.written.append((source.string(), SiteStatus.decode(source)))

    def descriptions(self):
        return [(global_id, status.description) for global_id, status in self.written]


class Board:
    def __init__(self, mirror_uuid=""):
        self.site = Site()
        self.news = 0
        self.board = StatusBoard(self.site, mirror_uuid, self._news)
        self.task = asyncio.ensure_future(self.board.run())

    def _news(self):
        self.news += 1

    def set(self, global_id, text):
        self.board.set(global_id, ImageStatus(StatusState.REPLAYING, text, states.SYNCING))


def test_a_change_is_written_at_once_and_once():
    async def body():
        one = Board()
        one.set("g", "a")
        await settle()
        assert one.site.descriptions() == [("g", "a")]
        one.set("g", "a")
        await settle()
        one.set("g", "b")
        await settle()
        assert one.site.descriptions() == [("g", "a"), ("g", "b")]
    run(body())


def test_details_are_a_change_too():
    async def body():
        one = Board()
        for percent in (1, 2):
            one.board.set("g", ImageStatus(StatusState.REPLAYING, "replaying",
                                           states.SYNCING, "", {"p": percent}))
            await settle()
        assert [text for _, text in one.site.descriptions()] == [
            'replaying, {"p":1}', 'replaying, {"p":2}']
    run(body())


def test_what_does_not_change_is_written_before_it_is_too_old():
    async def body():
        one = Board()
        one.set("g", "a")
        for count in range(1, 5):
            await asyncio.sleep(REFRESH_SECONDS)
            assert count < len(one.site.written) <= 2 * count + 1
    run(body())


@pytest.mark.parametrize("mirror_uuid", ["", "uuid-of-local"])
def test_whose_status_it_is(mirror_uuid):
    async def body():
        one = Board(mirror_uuid)
        one.set("g", "a")
        await settle()
        [(_, written)] = one.site.written
        assert (written.mirror_uuid, written.state, written.up) == (
            mirror_uuid, StatusState.REPLAYING, True)
    run(body())


def test_an_image_that_is_gone_is_told_of_no_more():
    async def body():
        one = Board()
        one.set("g", "a")
        await settle()
        one.board.remove("g")
        one.board.remove("never seen")
        await asyncio.sleep(5 * REFRESH_SECONDS)
        assert len(one.site.written) == 1
        one.set("g", "a")
        await settle()
        assert len(one.site.written) == 2
    run(body())


def test_many_at_once():
    async def body():
        one = Board()
        for number in range(500):
            one.set(str(number), "a")
        await settle()
        assert sorted(one.site.descriptions()) == sorted((str(n), "a") for n in range(500))
    run(body())


def test_what_the_watch_hears_is_passed_on():
    async def body():
        one = Board()
        await settle()
        before = one.news
        one.site.watches[0].notified(b"an image was enabled")
        assert one.news == before + 1
    run(body())


def test_a_lost_watch_is_made_anew_and_may_have_missed_something():
    async def body():
        one = Board()
        await settle()
        before = one.news
        one.site.watches[0].lost()
        await settle()
        assert [watch.closed for watch in one.site.watches] == [True, False]
        assert one.news == before + 1
    run(body())


def test_a_site_that_fails_is_tried_again():
    async def body():
        one = Board()
        one.site.error = DeadlineExceeded("site 'b' does not answer")
        one.set("g", "a")
        await asyncio.sleep(20)
        assert one.board.error == "site 'b' does not answer"
        one.site.error = None
        await asyncio.sleep(10)
        assert (one.board.error, one.site.descriptions()) == (None, [("g", "a")])
    run(body())


@pytest.mark.parametrize("error", [DeadlineExceeded("x"), UnicodeError("y"), MemoryError()])
def test_one_that_can_t_be_written_keeps_none_of_the_others(monkeypatch, error):
    async def write(board, global_id, status):
        if global_id == "bad":
            raise error
        await original(board, global_id, status)

    original = StatusBoard._write
    monkeypatch.setattr(StatusBoard, "_write", write)
    monkeypatch.setattr(statuses, "_AT_ONCE", 2)

    async def body():
        one = Board()
        one.set("bad", "a")
        for number in range(5):
            one.set(f"g{number}", "a")
        await asyncio.sleep(1)
        assert {gid for gid, _ in one.site.descriptions()} == {f"g{n}" for n in range(5)}
        assert one.board.error is not None and not one.task.done()
    run(body())


def test_a_blocklisted_client_ends():
    async def body():
        one = Board()
        await settle()
        one.site.error = Fenced("x")
        one.set("g", "a")
        with pytest.raises(Fenced):
            await one.task
        assert one.site.watches[0].closed
    run(body())


def test_the_watch_ends_with_the_board():
    async def body():
        one = Board()
        await settle()
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.task
        assert one.site.watches[0].closed
    run(body())
