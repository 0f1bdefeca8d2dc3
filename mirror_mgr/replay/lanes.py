"""Work on many objects, several at a time."""

import asyncio
from typing import Awaitable, Callable, Iterable, Optional

LANES = 12


async def for_each(numbers: Iterable[int], work: Callable[[int], Awaitable[None]],
                   lanes: Optional[int] = None) -> None:
    """Begin `work` for each number in order, several at a time; the first error ends all."""
    waiting = iter(numbers)

    async def lane() -> None:
        for number in waiting:
            await work(number)

    tasks = [asyncio.ensure_future(lane()) for _ in range(lanes or LANES)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
