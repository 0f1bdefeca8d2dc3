"""The processes of a lab, known by their pid files and by what /proc says of them."""

import os
import signal
import time
from pathlib import Path
from typing import Dict, Iterable, List, Optional

# The lab's daemons carry it in their environment, and what they start inherits it.
MEMBER_VARIABLE = "MIRROR_MGR_LAB_MEMBER"

DAEMONS = ("ceph-mon", "ceph-mgr", "ceph-osd", "rbd-mirror")
WORKER = "mirror_mgr.worker"
# A process that is killed may have to wait for the disk first.
KILLED_SECONDS = 60.0
EXEC_SECONDS = 0.5


def member_environment(lab: Path) -> Dict[str, str]:
    """Return our environment plus the mark of a process that belongs to the lab."""
    return {**os.environ, MEMBER_VARIABLE: str(lab)}


def read_pid(pid_file: Path) -> Optional[int]:
    """Return the number in the file, or None when the file is missing or empty."""
    try:
        return int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; one that is dead but not yet reaped does not."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state = stat.rpartition(")")[2].split()[0]
    return state not in ("Z", "X")


def arguments(pid: int) -> List[str]:
    """Return the process' command line, empty when it is gone."""
    return _read_strings(pid, "cmdline")


def belongs_to(pid: int, lab: Path) -> bool:
    """Tell whether the process is a daemon or a worker of the lab in this directory.

    A shell or an editor that only has the directory's name somewhere does not belong to it.
    """
    if pid == os.getpid() or not is_alive(pid):
        return False
    if f"{MEMBER_VARIABLE}={lab}" in _read_strings(pid, "environ"):
        return True
    argv = arguments(pid)
    ours = any(os.path.basename(word) in DAEMONS for word in argv[:1]) or WORKER in argv
    return ours and any(f"{lab}/" in word for word in argv)


def daemon(pid_file: Path, lab: Path) -> Optional[int]:
    """Return the pid in the file if that process runs and belongs to the lab."""
    pid = read_pid(pid_file)
    if pid is None:
        return None
    # A manager whose modules change executes itself anew: for a moment nothing tells whose it is.
    deadline = time.monotonic() + EXEC_SECONDS
    while not belongs_to(pid, lab):
        if not is_alive(pid) or time.monotonic() > deadline:
            return None
        time.sleep(0.01)
    return pid


def members(lab: Path) -> List[int]:
    """Return the pids of all living processes of the lab in this directory."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [pid for pid in pids if belongs_to(pid, lab)]


def end(pids: Iterable[int], seconds: float = 30.0) -> None:
    """Ask the processes to end and kill those that have not within `seconds`."""
    rest = list(pids)
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, KILLED_SECONDS)):
        for pid in rest:
            _signal(pid, number)
        rest = wait_gone(rest, patience)
    if rest:
        raise RuntimeError(f"processes {rest} survive SIGKILL")


def kill(pid: int) -> None:
    """Kill the process outright and wait until it is gone."""
    _signal(pid, signal.SIGKILL)
    if wait_gone([pid], KILLED_SECONDS):
        raise RuntimeError(f"process {pid} survives SIGKILL")


def wait_gone(pids: Iterable[int], seconds: float) -> List[int]:
    """Wait until the processes are gone; return those that are not after `seconds`."""
    deadline = time.monotonic() + seconds
    rest = [pid for pid in pids if is_alive(pid)]
    while rest and time.monotonic() < deadline:
        time.sleep(0.05)
        rest = [pid for pid in rest if is_alive(pid)]
    return rest


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _read_strings(pid: int, name: str) -> List[str]:
    try:
        data = Path("/proc", str(pid), name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return data.decode(errors="replace").rstrip("\0").split("\0") if data else []
