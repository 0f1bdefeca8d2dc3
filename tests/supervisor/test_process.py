import os
import queue
import signal
import threading

import pytest

from mirror_mgr.supervisor import launcher, process
from mirror_mgr.supervisor.process import MOST_UNSENT, Process
from mirror_mgr.worker.protocol import (
    Command,
    Heartbeat,
    LogLine,
    ManagerHello,
    WorkerHello,
)
from tests.supervisor.processes import DEADLINE, gone, until, words

HELLO = ManagerHello('w', 'client.w', 'SECRET', 'm', 'f')


class Watched:
    """A process, and what it said."""

    def __init__(self, how):
        self.messages = queue.Queue()
        self.stderr = []
        self.reason = None
        self.process = Process(launcher.start(words(how)), self.messages.put, self.stderr.append,
                               self.on_end)

    def on_end(self, reason):
        self.reason = reason

    def next(self):
        return self.messages.get(timeout=DEADLINE)

    def end(self):
        """Wait for the process to end, and return why it did."""
        assert self.process.ended.wait(DEADLINE)
        assert gone(self.process.pid)
        self.process.join(DEADLINE)
        assert not [thread for thread in threading.enumerate()
                    if thread.name.startswith('worker-%d-' % self.process.pid)]
        return self.reason


@pytest.fixture
def start():
    started = []

    def begin(how):
        started.append(Watched(how))
        return started[-1]
    yield begin
    for watched in started:
        watched.process.kill('end of test')
        assert watched.process.ended.wait(DEADLINE)


def test_talk_and_stop(start):
    watched = start('good')
    watched.process.send(HELLO)
    assert watched.next() == WorkerHello(watched.process.pid)
    assert watched.next().address
    assert isinstance(watched.next(), Heartbeat)
    watched.process.send(Command('stop'))
    assert watched.end() == 'ended with status 0'


def test_some_garbage_does_no_harm(start):
    watched = start('some_garbage')
    watched.process.send(HELLO)
    assert watched.next() == WorkerHello(watched.process.pid)


def test_kill(start):
    watched = start('stubborn')
    watched.next()
    watched.process.kill('of the test')
    assert watched.end() == 'of the test'
    watched.process.kill('again')


def test_killed_by_somebody_else(start):
    watched = start('stubborn')
    watched.next()
    os.kill(watched.process.pid, signal.SIGKILL)
    assert watched.end() == 'ended by signal 9'


@pytest.mark.parametrize('how, why', [
    ('flood', 'floods its stdout'),
    ('flood_stderr', 'floods its stderr'),
    ('garbage', 'does not speak the protocol'),
    ('endless_line', 'does not speak the protocol'),
    ('closed_stdout', 'closed its stdout'),
])
def test_what_is_no_worker_is_killed(start, how, why, monkeypatch):
    monkeypatch.setattr(process, 'EXIT_SECONDS', 0.1)
    assert why in start(how).end()


def test_the_last_words_are_the_reason(start):
    watched = start('crash')
    assert watched.end() == 'ended with status 3: ModuleNotFoundError: No module named rados'
    assert watched.stderr[0] == 'Traceback'


def test_a_worker_that_does_not_read_is_killed(start):
    watched = start('stubborn')
    watched.next()
    line = LogLine('info', 'x' * 100000)
    for _ in range(MOST_UNSENT + 3):
        watched.process.send(line)
    assert watched.end() == 'does not read its stdin'


def test_a_child_that_it_left_is_killed_too(start):
    watched = start('child')
    until(lambda: gone(watched.process.pid), 'the end of the parent')
    assert not watched.process.ended.is_set()
    watched.process.kill('of the test')
    assert watched.end() == 'ended with status 4'


def test_the_end_of_stdin_arrives(start):
    popen = launcher.start(words('eof'))
    popen.stdin.close()
    assert popen.wait(DEADLINE) == 9
    popen.stdout.close()
    popen.stderr.close()


def test_what_is_sent_after_the_end_is_lost(start):
    watched = start('crash')
    watched.end()
    for _ in range(MOST_UNSENT + 3):
        watched.process.send(Command('refresh'))


class Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


def test_what_comes_in_long_lines_takes_its_time():
    clock = Clock()
    flood = process._Flood(clock.now, clock.sleep)
    assert not any(flood.rises(4 << 20) for _ in range(100))
    assert clock.time == pytest.approx(200.0)


def test_a_line_now_and_then_does_not_wait():
    clock = Clock()
    flood = process._Flood(clock.now, clock.sleep)
    for _ in range(5000):
        clock.time += 0.001
        assert not flood.rises(1000)
    assert clock.time == pytest.approx(5.0)
