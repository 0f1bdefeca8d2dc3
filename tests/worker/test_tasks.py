"""Where each task waits, as a log tells it."""

import asyncio
import logging

from mirror_mgr.worker import tasks


def test_a_task_is_told_down_to_what_it_waits_for(caplog):
    async def inner(event):
        await event.wait()

    async def outer(event):
        await inner(event)

    async def body():
        event = asyncio.Event()
        waiting = asyncio.ensure_future(outer(event))
        await asyncio.sleep(0)
        tasks.log_all()
        event.set()
        await waiting

    with caplog.at_level(logging.INFO):
        asyncio.run(body())
    [line] = [m for m in caplog.messages if "outer" in m]
    places = [place.split(" ")[0] for place in line.split(": ", 1)[1].split(" > ")]
    assert places[:3] == ["outer", "inner", "wait"]
    assert "test_tasks.py:" in line
