import asyncio

from mirror_mgr.schedule.slots import Slots
from tests.virtual_time import run, settle


def test_first_come_first_served_and_never_more_than_the_limit() -> None:
    async def scenario() -> None:
        slots, order = Slots(2), []

        async def work(number: int) -> None:
            await slots.acquire()
            order.append(number)
            await asyncio.sleep(1)
            slots.release()

        tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
        await settle()
        assert order == [0, 1]
        await asyncio.sleep(1)
        assert order == [0, 1, 2, 3]
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]

    run(scenario())


def test_a_limit_that_changes_holds_at_once() -> None:
    async def scenario() -> None:
        slots = Slots(1)
        tasks = [asyncio.ensure_future(slots.acquire()) for _ in range(4)]
        await settle()
        assert sum(task.done() for task in tasks) == 1
        slots.limit = 3
        await settle()
        assert sum(task.done() for task in tasks) == 3
        slots.limit = 1
        slots.release()
        slots.release()
        await settle()
        assert sum(task.done() for task in tasks) == 3
        slots.release()
        await asyncio.gather(*tasks)

    run(scenario())


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    async def scenario() -> None:
        slots = Slots(1)
        await slots.acquire()
        first, second = (asyncio.ensure_future(slots.acquire()) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        slots.release()
        await second
        third = asyncio.ensure_future(slots.acquire())
        await settle()
        slots.release()
        third.cancel()  # in the moment that it is granted
        await settle()
        await slots.acquire()

    run(scenario())
