import os
import sys
import time

import pytest

HERE = os.path.dirname(os.path.realpath(__file__))
DEADLINE = 20.0


def words(how):
    """Given how the fake worker is to behave, return the words that start it."""
    return [sys.executable, os.path.join(HERE, 'fake_worker.py'), how]


def until(condition, what='the condition'):
    """Given a condition that other threads or processes bring about, wait for it and return it.

    Fail with the last value after a deadline.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail('%s did not come true; last: %r' % (what, value))
        time.sleep(0.005)    # gives way to what is waited for


def gone(pid):
    """Return whether no such process runs; one that only waits to be reaped does not."""
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rpartition(')')[2].split()[0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True
