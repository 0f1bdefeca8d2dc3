"""Waiting for an event: what comes of it, and that a cancellation is never lost."""

import asyncio

import pytest

from mirror_mgr.waiting import heard


def test_an_event_that_comes():
    async def run():
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        return await heard(event, 60)

    assert asyncio.run(run())


def test_an_event_that_does_not():
    async def run():
        return await heard(asyncio.Event(), 0)

    assert not asyncio.run(run())


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_that_comes_with_the_event(turns):
    async def run():
        event = asyncio.Event()

        async def wait_for_ever():
            while True:
                await heard(event, 60)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(wait_for_ever())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    asyncio.run(run())
