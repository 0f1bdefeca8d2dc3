"""Real processes for the tests of the supervisor."""

import os
import sys

from qa.processes import is_alive
from qa.waiting import wait_for

HERE = os.path.dirname(os.path.realpath(__file__))
DEADLINE = 20.0


def words(how):
    """Given how the fake worker is to behave, return the words that start it."""
    return [sys.executable, os.path.join(HERE, 'fake_worker.py'), how]


def until(condition, what='the condition'):
    """Given a condition that other threads or processes bring about, wait and return its value."""
    return wait_for(condition, lambda: what, seconds=DEADLINE, interval=0.005)


def gone(pid):
    return not is_alive(pid)
