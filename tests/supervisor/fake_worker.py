"""A program that speaks the worker's protocol and misbehaves as it is told: fake_worker.py HOW."""

import os
import sys
import threading

from mirror_mgr.worker.protocol import (
    EXIT_FENCED,
    Command,
    Heartbeat,
    ImageReport,
    ManagerHello,
    PoolReport,
    WorkerHello,
    decode,
    encode,
)


def say(message):
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def forever():
    threading.Event().wait()


def good():
    """Greets, reports what it was given, ends when told."""
    hello = None
    for line in sys.stdin.buffer:
        message = decode(line)
        if isinstance(message, ManagerHello):
            hello = message
            say(WorkerHello(os.getpid()))
            say(WorkerHello(os.getpid(), '127.0.0.1:0/%d' % os.getpid(), '4711'))
        elif message == Command('stop'):
            return
        say(Heartbeat(
            {'rss_bytes': 7, 'bytes_in_flight': 8},
            (PoolReport(1, repr((dict(hello.options), hello.dead, type(message).__name__,
                                 *getattr(message, 'args', {}).values()))),),
            (ImageReport('p/i', 'g', 'replaying', copied=5.0, current=True),)))


def stubborn():
    """Does not stop when told."""
    say(WorkerHello(os.getpid(), '127.0.0.1:0/1', '1'))
    forever()


def flood():
    while True:
        sys.stdout.buffer.write(encode(Heartbeat()) * 1000)


def flood_stderr():
    while True:
        sys.stderr.write('again\n' * 1000)


def endless_line():
    while True:
        sys.stdout.buffer.write(b'x' * 65536)


def garbage():
    say(WorkerHello(os.getpid(), '127.0.0.1:0/1', '1'))
    sys.stdout.buffer.write(b'\xff\n{}\nhello\n' * 10)
    sys.stdout.buffer.flush()
    forever()


def some_garbage():
    sys.stdout.buffer.write(b'warning: something\n')
    good()


def crash():
    sys.stderr.write('Traceback\nModuleNotFoundError: No module named rados\n')
    sys.exit(3)


def fenced():
    """Is blocklisted as soon as it is told anything more."""
    lines = iter(sys.stdin.buffer)
    next(lines)
    say(WorkerHello(os.getpid(), '127.0.0.1:0/%d' % os.getpid(), '4711'))
    next(lines)
    os._exit(EXIT_FENCED)


def closed_stdout():
    os.close(1)
    forever()


def child():
    """Ends, but leaves a child that holds its stdout."""
    if os.fork():
        os._exit(4)
    forever()


def eof():
    """Proves at its stdout's end that it saw the end of stdin."""
    sys.stdin.buffer.read()
    os._exit(9)


globals()[sys.argv[1]]()
