"""Who may hold how many bytes, and what a cancelled wait leaves behind."""

import asyncio
import random

import pytest

from mirror_mgr.replay.budget import Budget


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class Holder:
    """A task that holds `size` bytes until it is told to let go."""

    def __init__(self, budget, size):
        self.size = size
        self.holds = False
        self._let_go = asyncio.Event()
        self._budget = budget
        self.task = asyncio.ensure_future(self._run())

    async def _run(self):
        await self._budget.acquire(self.size)
        self.holds = True
        try:
            await self._let_go.wait()
        finally:
            self.holds = False
            self._budget.release(self.size)

    async def let_go(self):
        self._let_go.set()
        await self.task

    async def cancel(self):
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


async def holders(budget, *sizes):
    made = [Holder(budget, size) for size in sizes]
    await settle()
    return made


def test_up_to_the_limit_all_pass():
    async def body():
        budget = Budget(10)
        a, b, c = await holders(budget, 4, 6, 1)
        assert (a.holds, b.holds, c.holds, budget.used) == (True, True, False, 10)
        await a.let_go()
        await settle()
        assert (c.holds, budget.used) == (True, 7)
        await b.let_go()
        await c.let_go()
        assert budget.used == 0
    asyncio.run(body())


def test_first_come_first_served():
    """A small request does not pass a large one that waits."""
    async def body():
        budget = Budget(10)
        a, large, small = await holders(budget, 6, 8, 1)
        assert (large.holds, small.holds) == (False, False)
        await a.let_go()
        await settle()
        assert (large.holds, small.holds) == (True, True)
        await large.cancel()
        await small.cancel()
    asyncio.run(body())


def test_more_than_the_whole_budget_passes_alone():
    async def body():
        budget = Budget(10)
        a, huge, small = await holders(budget, 1, 100, 1)
        assert not huge.holds
        await a.let_go()
        await settle()
        assert (huge.holds, small.holds) == (True, False)
        await huge.let_go()
        await settle()
        assert small.holds
        await small.let_go()
    asyncio.run(body())


def test_a_limit_raised_lets_more_in_and_one_lowered_takes_nothing_away():
    async def body():
        budget = Budget(10)
        a, b = await holders(budget, 10, 10)
        budget.resize(20)
        await settle()
        assert (a.holds, b.holds, budget.used) == (True, True, 20)
        budget.resize(5)
        [c] = await holders(budget, 1)
        await a.let_go()
        await settle()
        assert (b.holds, c.holds) == (True, False)
        await b.let_go()
        await settle()
        assert c.holds
        await c.let_go()
    asyncio.run(body())


def test_cancelled_while_waiting():
    async def body():
        budget = Budget(10)
        a, large, small = await holders(budget, 6, 8, 4)
        await large.cancel()
        await settle()
        assert (small.holds, budget.used) == (True, 10)
        await a.let_go()
        await small.let_go()
        assert budget.used == 0
    asyncio.run(body())


def test_cancelled_at_the_moment_of_its_turn():
    async def body():
        budget = Budget(10)
        await budget.acquire(10)
        [b] = await holders(budget, 10)
        budget.release(10)  # it is b's turn, of which b has not heard yet
        await b.cancel()
        assert (budget.used, b.holds) == (0, False)
    asyncio.run(body())


def test_released_to_one_that_was_just_cancelled():
    """Who was cancelled ends as cancelled, and whoever is next gets the turn."""
    async def body():
        budget = Budget(10)
        await budget.acquire(10)
        b, c = await holders(budget, 10, 3)
        b.task.cancel()
        budget.release(10)
        with pytest.raises(asyncio.CancelledError):
            await b.task
        await settle()
        assert (c.holds, budget.used) == (True, 3)
        await c.let_go()
        assert budget.used == 0
    asyncio.run(body())


@pytest.mark.parametrize("seed", range(30))
def test_random_comings_and_goings(seed):
    async def body():
        rng = random.Random(seed)
        budget = Budget(20)
        alive = []
        for _ in range(200):
            roll = rng.randrange(4)
            if roll < 2:
                alive.append(Holder(budget, rng.randrange(1, 25)))
            elif alive:
                one = alive.pop(rng.randrange(len(alive)))
                if roll == 2 and one.holds:
                    await one.let_go()
                else:
                    await one.cancel()
            if rng.randrange(2):
                await settle()
                held = [one.size for one in alive if one.holds]
                assert budget.used == sum(held), f"seed {seed}"
                assert sum(held) <= 20 or len(held) == 1
                assert held or not alive, "nobody holds anything, yet all wait"
        for one in alive:
            await one.cancel()
        assert budget.used == 0
    asyncio.run(body())


def test_a_share_is_less_the_more_hold_or_wait():
    async def body():
        budget = Budget(12)
        assert budget.share == 6
        held = await holders(budget, 10, 5, 5)
        assert budget.share == 2
        await held[0].let_go()
        await settle()
        assert budget.share == 3
        for holder in held[1:]:
            await holder.let_go()
        assert budget.share == 6

    asyncio.run(body())
