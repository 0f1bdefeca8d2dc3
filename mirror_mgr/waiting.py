"""Waiting for news, but not for ever."""

import asyncio
from typing import Optional


async def heard(event: asyncio.Event, seconds: Optional[float]) -> bool:
    """Wait for an event for so long, None: for ever; return whether it came.

    asyncio.wait_for loses a cancellation that comes together with the event (Python before 3.12):
    the task then never ends, and whoever waits for its end neither.
    """
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting}, timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()
