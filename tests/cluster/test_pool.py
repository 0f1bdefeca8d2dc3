"""Many operations at once: each has its own outcome, and nobody leaves before all have one."""

import asyncio
import random
import threading

import rados

from mirror_mgr.cluster.pool import Pool
from mirror_mgr.errors import NotFound


class Operation:
    def __init__(self, code):
        self.op = code
        self.released = False

    def release(self):
        self.released = True


class Completion:
    def __init__(self, code):
        self._code = code

    def get_return_value(self):
        return self._code


class Ioctx:
    """Answers from another thread, in any order, when told to; an operation is its answer."""

    def __init__(self):
        self.started = []

    def operate_aio_write_op(self, op, oid, done):
        if op is None:
            raise rados.InvalidArgumentError("refused", errno=22)
        self.started.append((done, op))

    def answer(self):
        random.shuffle(self.started)
        for done, code in self.started:
            thread = threading.Thread(target=done, args=(Completion(code),))
            thread.start()
            thread.join()


class Connection:
    name = "there"


def begin(ioctx, codes):
    operations = [Operation(code) for code in codes]
    pool = Pool(Connection(), ioctx)
    return operations, asyncio.ensure_future(pool.operate_all(
        [(f"object{number}", one) for number, one in enumerate(operations)]))


def test_each_has_its_own_outcome():
    async def body():
        ioctx = Ioctx()
        operations, running = begin(ioctx, [0, -2, None, 0])
        await asyncio.sleep(0)
        assert not running.done()
        ioctx.answer()
        first, second, third, fourth = await running
        assert first is None and fourth is None
        assert isinstance(second, NotFound) and "object1" in str(second)
        assert third is not None and third.errno == 22
        assert all(one.released for one in operations)

    asyncio.run(body())


def test_none_and_only_refused_ones():
    async def body():
        assert await begin(Ioctx(), [])[1] == []
        [error] = await begin(Ioctx(), [None])[1]
        assert error is not None

    asyncio.run(body())


def test_cancelled_it_waits_for_what_was_sent():
    async def body():
        ioctx = Ioctx()
        operations, running = begin(ioctx, [0, 0])
        await asyncio.sleep(0)
        running.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not running.done() and not operations[0].released
        ioctx.answer()
        await asyncio.wait({running})
        assert running.cancelled() and operations[0].released

    asyncio.run(body())
