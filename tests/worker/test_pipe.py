"""The worker's end of the pipes, over real ones."""

import asyncio
import logging
import os
import threading
from contextlib import suppress

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.worker import pipe as pipe_module
from mirror_mgr.worker.pipe import ManagerPipe, _PipeHandler
from mirror_mgr.worker.protocol import (
    MAX_LINE,
    Command,
    LogLine,
    ManagerHello,
    WorkerHello,
    WorkerOptions,
    decode,
    encode,
)

HELLO = ManagerHello("w", "client.a", "SECRET", "10.0.0.1", "fsid")


class Ends:
    """A worker's pipe and the manager's ends of it."""

    def __init__(self):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        self.to_worker = os.fdopen(self._write, "wb", buffering=0)
        self.from_worker = os.fdopen(self._read, "rb")
        self._source, self._target = os.fdopen(read, "rb"), os.fdopen(write, "wb")
        self.bereft = threading.Event()
        self.pipe = ManagerPipe(self._source, self._target, self.bereft.set)

    def tell(self, *messages):
        for message in messages:
            self.to_worker.write(encode(message))

    def heard(self):
        return decode(self.from_worker.readline())

    def close(self):
        self.to_worker.close()


@pytest.fixture
def ends():
    made = Ends()
    yield made
    made.close()
    made.from_worker.close()
    with suppress(BrokenPipeError):
        made._target.close()


class FakeWorker:
    def __init__(self):
        self.calls = []

    def set_options(self, values):
        self.calls.append(("options", values))

    def refresh(self, images):
        self.calls.append(("refresh", *images))


def test_what_is_said_arrives_in_order(ends):
    for pid in range(100):
        ends.pipe.say(WorkerHello(pid))
    assert [ends.heard().pid for _ in range(100)] == list(range(100))


def test_a_manager_that_does_not_read_blocks_nobody(ends, monkeypatch):
    ends.pipe._lines.maxsize = 5
    line = LogLine("info", "x" * 60000)
    for _ in range(50):
        ends.pipe.say(line)
    assert ends.heard() == line


def test_the_hello_comes_first(ends):
    ends.tell(HELLO)
    assert ends.pipe.read_hello() == HELLO


def test_anything_else_at_first_is_refused(ends):
    ends.tell(Command("stop"))
    with pytest.raises(MalformedData):
        ends.pipe.read_hello()


def test_a_manager_that_is_gone_says_no_hello(ends):
    ends.close()
    with pytest.raises(MalformedData):
        ends.pipe.read_hello()


def served(ends, *lines):
    """What a worker is told by these lines, up to the end of the pipe."""
    worker = FakeWorker()

    async def body():
        ended = ends.pipe.start_reading(worker)
        for line in lines:
            ends.to_worker.write(line)
        ends.close()
        await asyncio.wait_for(ended.wait(), 10)

    asyncio.run(body())
    return worker.calls


def test_messages_reach_the_worker(ends):
    assert served(ends, *map(encode, (
        WorkerOptions({"concurrent_syncs": 2}), Command("refresh"),
        Command("refresh", {"images": ["g", "h"]}), Command("refresh", {"images": 5}),
        WorkerOptions({"concurrent_syncs": 3})))) == [
            ("options", {"concurrent_syncs": 2}), ("refresh",), ("refresh", "g", "h"),
            ("refresh",),
            ("options", {"concurrent_syncs": 3})]


def test_what_can_t_be_read_is_passed_over(ends):
    lines = [b"nonsense\n", b'{"v": 1, "type": "song"}\n', encode(HELLO),
             encode(Command("unheard of")), encode(Command("refresh"))]
    assert served(ends, *lines) == [("refresh",)]


def test_a_line_without_an_end_is_passed_over(ends):
    written = threading.Thread(target=lambda: ends.to_worker.write(
        b"x" * (MAX_LINE + 10) + b"\n" + encode(Command("refresh"))))
    worker = FakeWorker()

    async def body():
        ended = ends.pipe.start_reading(worker)
        written.start()
        await asyncio.get_running_loop().run_in_executor(None, written.join)
        ends.close()
        await asyncio.wait_for(ended.wait(), 10)

    asyncio.run(body())
    assert worker.calls == [("refresh",)]


def test_stop_ends_it(ends):
    async def body():
        ended = ends.pipe.start_reading(FakeWorker())
        ends.tell(Command("stop"))
        await asyncio.wait_for(ended.wait(), 10)
        assert not ends.bereft.is_set()
        ends.close()
        await asyncio.get_running_loop().run_in_executor(None, ends.bereft.wait, 10)

    asyncio.run(body())


def test_a_loop_that_hangs_does_not_outlive_the_manager(ends):
    served(ends)
    assert ends.bereft.wait(10)


def test_the_process_ends_soon_and_by_itself(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(pipe_module, "_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(pipe_module.os, "_exit", lambda code: ended.set())
    pipe_module._end_soon()
    assert ended.wait(10)


def test_the_log_goes_to_the_manager(ends):
    logger = logging.Logger("test")
    logger.addHandler(_PipeHandler(ends.pipe))
    logger.warning("two %s", "words")
    logger.critical("fire")
    logger.log(17, "odd")
    assert [ends.heard() for _ in range(3)] == [
        LogLine("warning", "two words"), LogLine("error", "fire"), LogLine("error", "odd")]
