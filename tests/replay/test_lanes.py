"""Several at a time: all of them, in order, and none after an error."""

import asyncio
from typing import List

import pytest

from mirror_mgr.replay.lanes import for_each


def test_each_is_begun_once_and_in_order() -> None:
    begun: List[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0)

    asyncio.run(for_each(range(50), work, 4))
    assert begun == list(range(50))


def test_no_more_at_a_time_than_lanes() -> None:
    busy = most = 0

    async def work(number: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1

    asyncio.run(for_each(range(50), work, 4))
    assert (busy, most) == (0, 4)


def test_the_first_error_ends_the_others() -> None:
    ended: List[int] = []

    async def work(number: int) -> None:
        if number == 5:
            raise ValueError(number)
        await asyncio.sleep(0 if number < 4 else 3600)
        ended.append(number)

    with pytest.raises(ValueError, match="5"):
        asyncio.run(for_each(range(50), work, 4))
    assert ended == [0, 1, 2, 3]
