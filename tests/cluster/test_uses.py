"""What a call in a thread uses is closed after the call, whoever was cancelled meanwhile."""

import asyncio

import pytest

from mirror_mgr.cluster.pool import Pool
from mirror_mgr.cluster.uses import Uses
from mirror_mgr.errors import NotFound


class Connection:
    """Runs calls when told to."""

    name = "there"
    instance_id = 1

    def __init__(self):
        self.calls = []

    async def run(self, function, *args):
        call = asyncio.get_running_loop().create_future()
        self.calls.append((function, args, call))
        return await call

    run_in_background = run

    def end(self, result=None):
        function, _, call = self.calls.pop(0)
        if isinstance(result, Exception):
            call.set_exception(result)
        else:
            call.set_result(result)
        return function


class Ioctx:
    closed = False

    def close(self):
        self.closed = True

    def notify(self, *args):
        raise AssertionError("called on the loop")

    watch = create_self_managed_snap = remove_self_managed_snap = notify


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("call", [
    lambda pool: pool.notify("object"),
    lambda pool: pool.new_snap_ids(1),
    lambda pool: pool.remove_snap_id(4),
])
@pytest.mark.parametrize("result", [[], NotFound("gone")])
def test_an_ioctx_lasts_as_long_as_a_call_that_was_left_behind(call, result):
    async def body():
        connection, ioctx = Connection(), Ioctx()
        pool = Pool(connection, ioctx)
        calling = asyncio.ensure_future(call(pool))
        await turns()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        pool.close()
        await turns()
        assert not ioctx.closed
        connection.end(result)
        await turns()
        assert ioctx.closed

    asyncio.run(body())


def test_a_watch_that_comes_too_late_is_ended_before_the_ioctx():
    class Watch:
        def close(self):
            raise AssertionError("called on the loop")

    class Anywhere(Pool):
        async def require_room(self):
            pass

    async def body():
        connection, ioctx = Connection(), Ioctx()
        pool = Anywhere(connection, ioctx)
        watching = asyncio.ensure_future(pool.watch("object", print, print))
        await turns()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        pool.close()
        watch = Watch()
        connection.end(watch)
        await turns()
        assert not ioctx.closed
        assert connection.end() == watch.close
        await turns()
        assert ioctx.closed

    asyncio.run(body())


def test_without_calls_it_is_closed_at_once():
    ioctx = Ioctx()
    Pool(Connection(), ioctx).close()
    assert ioctx.closed


def test_the_end_of_all_calls_is_waited_for():
    async def body():
        uses = Uses()
        calls = [asyncio.get_running_loop().create_future() for _ in range(3)]
        for call in calls:
            uses.begin(call)
        ended = asyncio.ensure_future(uses.ended())
        for call in calls:
            await turns()
            assert not ended.done()
            call.set_result(None)
        await ended

    asyncio.run(body())
