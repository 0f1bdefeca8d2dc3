import os
import subprocess
import sys

from mirror_mgr.supervisor import orphans
from tests.supervisor.processes import gone, until

FOREVER = 'import threading; threading.Event().wait()'


def exists(pid):
    return os.path.exists('/proc/%d' % pid)


def test_one_that_ended_is_reaped():
    child = subprocess.Popen([sys.executable, '-c', ''])
    until(lambda: gone(child.pid))
    assert exists(child.pid)
    orphans.clear([child.pid])
    assert not exists(child.pid)
    child.wait()


def test_one_that_hangs_is_killed():
    child = subprocess.Popen([sys.executable, '-c', FOREVER, 'mirror_mgr.worker'])
    until(lambda: orphans._is_worker(child.pid))
    orphans.clear([child.pid])
    assert not exists(child.pid)
    child.wait()


def test_other_processes_are_left_alone():
    child = subprocess.Popen([sys.executable, '-c', FOREVER])
    try:
        orphans.clear([child.pid, os.getpid(), os.getppid(), 1, 0, -1, 2 ** 22 + 1])
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
