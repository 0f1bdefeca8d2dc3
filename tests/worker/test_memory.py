"""When a worker gives memory back, and that it does."""

import asyncio
from typing import List

from mirror_mgr.replay.budget import Budget
from mirror_mgr.worker import memory
from tests.virtual_time import run

MIB = 1 << 20


def trims(in_flight: int, sizes: List[int]) -> int:
    """How often a process is trimmed of which these sizes are seen, in MiB."""
    async def scenario() -> int:
        budget = Budget(16 * MIB)
        await budget.acquire(in_flight)
        left, count = list(sizes), 0
        seen: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()

        def rss() -> int:
            size = left.pop(0)
            if not left and not seen.done():
                seen.set_result(None)
            return size * MIB

        def trim() -> None:
            nonlocal count
            count += 1

        keeping = asyncio.ensure_future(memory.keep_small(budget, rss, trim))
        await seen
        keeping.cancel()
        return count

    return run(scenario())


def test_a_copy_may_use_its_budget() -> None:
    assert trims(MIB, [40, 60, 63, 64, 64]) == 0
    assert trims(MIB, [40, 66, 63, 66]) == 2
    # Of a process that is large by itself, as it has many images.
    assert trims(MIB, [100, 110, 116, 117]) == 1


def test_at_rest_it_gives_back_what_it_grew_by() -> None:
    assert trims(0, [40, 42, 44, 44]) == 0
    assert trims(0, [40, 60, 42, 46, 47, 45]) == 2


def test_memory_goes_back_to_the_system() -> None:
    memory.reuse_what_is_freed()
    blocks = [bytes(1 << 20) + b"1" for _ in range(64)]
    held = memory.rss_bytes()
    kept = blocks[::8]
    del blocks
    memory.trim()
    assert memory.rss_bytes() < held - 40 * MIB
    assert len(kept) == 8
