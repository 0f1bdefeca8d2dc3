"""Work on many objects, several at a time."""

import asyncio
from typing import Awaitable, Callable, Iterable, Optional, TypeVar

LANES = 12

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]],
                   lanes: Optional[int] = None) -> None:
    """Begin `work` for each item in order, several at a time; the first error ends all."""
    waiting = iter(items)

    async def lane() -> None:
        for item in waiting:
            await work(item)

    tasks = [asyncio.ensure_future(lane()) for _ in range(lanes or LANES)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
