"""Many operations at once: each has its own outcome, and nobody leaves before all have one."""

import asyncio
import random
import threading

import pytest
import rados

from mirror_mgr.cluster import operation
from mirror_mgr.cluster.operation import Operation
from mirror_mgr.cluster.pool import Pool
from mirror_mgr.errors import NotFound, NotSupported


class WriteOp:
    """Stands in for rados.WriteOp: what it is made of, and whether it was released."""

    made = []

    def __init__(self):
        self.steps = []
        self.released = False
        self.made.append(self)

    def create(self):
        pass

    def release(self):
        self.released = True

    def write(self, data, offset):
        self.steps.append((offset, data))

    def truncate(self, size):
        self.steps.append(size)


@pytest.fixture(autouse=True)
def write_ops(monkeypatch):
    monkeypatch.setattr(WriteOp, "made", [])
    monkeypatch.setattr(operation.rados, "WriteOp", WriteOp, raising=False)
    return WriteOp.made


class Completion:
    def __init__(self, code):
        self._code = code

    def get_return_value(self):
        return self._code


class Ioctx:
    """Answers from another thread, in any order, when told to.

    `codes` has what objects answer, 0 if none is given; None: librados refuses to ask.
    """

    def __init__(self, **codes):
        self.started = []
        self._codes = codes

    def get_pool_id(self):
        return 7

    def operate_aio_write_op(self, op, oid, done):
        code = self._codes.get(oid, 0)
        if code is None:
            raise rados.InvalidArgumentError("refused", errno=22)
        self.started.append((done, code, oid, op.steps))

    def answer(self):
        random.shuffle(self.started)
        for done, code, *_ in self.started:
            thread = threading.Thread(target=done, args=(Completion(code),))
            thread.start()
            thread.join()


class Connection:
    name = "there"

    def __init__(self, erasure_coded=False):
        self.asked = 0
        self._erasure_coded = erasure_coded

    async def is_erasure_coded(self, pool_id):
        assert pool_id == 7
        self.asked += 1
        return self._erasure_coded


def begin(ioctx, *oids):
    return asyncio.ensure_future(Pool(Connection(), ioctx).operate_all(
        [(oid, Operation().write(0, b"x")) for oid in oids]))


def test_each_has_its_own_outcome(write_ops):
    async def body():
        ioctx = Ioctx(two=-2, three=None)
        running = begin(ioctx, "one", "two", "three", "four")
        await asyncio.sleep(0)
        assert not running.done()
        ioctx.answer()
        first, second, third, fourth = await running
        assert first is None and fourth is None
        assert isinstance(second, NotFound) and "two" in str(second)
        assert third is not None and third.errno == 22
        assert len(write_ops) == 4 and all(one.released for one in write_ops)

    asyncio.run(body())


def test_none_and_only_refused_ones():
    async def body():
        assert await begin(Ioctx()) == []
        [error] = await begin(Ioctx(one=None), "one")
        assert error is not None

    asyncio.run(body())


def test_cancelled_it_waits_for_what_was_sent(write_ops):
    async def body():
        ioctx = Ioctx()
        running = begin(ioctx, "one", "two")
        await asyncio.sleep(0)
        running.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not running.done() and not write_ops[0].released
        ioctx.answer()
        await asyncio.wait({running})
        assert running.cancelled() and write_ops[0].released

    asyncio.run(body())


@pytest.mark.parametrize("erasure_coded", [True, False])
def test_an_erasure_coded_pool_is_given_parts_in_order(write_ops, erasure_coded):
    async def body():
        ioctx, connection = Ioctx(), Connection(erasure_coded)
        mixed = Operation().truncate(5).write(0, b"ab").write(3, b"c")
        running = asyncio.ensure_future(Pool(connection, ioctx).operate_all(
            [("one", mixed), ("two", Operation().write(1, b"d"))]))
        await asyncio.sleep(0)
        sent = [(oid, steps) for _, _, oid, steps in ioctx.started]
        ioctx.answer()
        assert await running == [None, None] and connection.asked == 1
        writes = [(0, b"ab"), (3, b"c")]
        assert sent == [*([("one", [5]), ("one", writes)] if erasure_coded
                          else [("one", [5, *writes])]), ("two", [(1, b"d")])]
        assert all(one.released for one in write_ops) and not mixed.steps

    asyncio.run(body())


def test_the_first_part_that_fails_is_told():
    async def body():
        ioctx = Ioctx(one=-2)
        running = asyncio.ensure_future(Pool(Connection(True), ioctx).operate(
            "one", Operation().truncate(5).write(0, b"ab")))
        await asyncio.sleep(0)
        ioctx.answer()
        with pytest.raises(NotFound):
            await running

    asyncio.run(body())


def test_what_librados_can_t_be_told_is_one_object_s_trouble(monkeypatch):
    def unknown(*step):
        raise NotSupported("not known")

    async def body():
        monkeypatch.setitem(operation._IN_LIBRADOS, "zero", unknown)
        ioctx = Ioctx()
        running = asyncio.ensure_future(Pool(Connection(), ioctx).operate_all(
            [("one", Operation().zero(0, 1)), ("two", Operation().write(0, b"x"))]))
        await asyncio.sleep(0)
        ioctx.answer()
        first, second = await running
        assert isinstance(first, NotSupported) and second is None

    asyncio.run(body())
