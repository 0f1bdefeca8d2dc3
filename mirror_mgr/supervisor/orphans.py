"""Workers of this very manager process from before it executed itself again.

Where modules are enabled or disabled, ceph-mgr 16 replaces itself by execv: its children stay its
children, but nothing knows them any more.  Their pipes are closed, so they end; somebody has to
reap them.
"""

import os
import signal
from typing import Iterable

_MARK = b'mirror_mgr.worker'


def clear(pids: Iterable[int]) -> None:
    """Given the process ids of former workers, reap those that are children of this process.

    One that has not ended yet hangs, as its pipes are closed: it is killed.
    """
    for pid in pids:
        if pid > 1:
            _clear(pid)


def _clear(pid: int) -> None:
    try:
        if os.waitpid(pid, os.WNOHANG) == (0, 0) and _is_worker(pid):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except (ChildProcessError, ProcessLookupError):
        pass    # no child of ours: the manager's process is another one


def _is_worker(pid: int) -> bool:
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as file:
            return _MARK in file.read().split(b'\0')
    except OSError:
        return False
