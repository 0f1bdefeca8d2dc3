"""What counts as a process of a lab, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from qa import processes
from qa.waiting import wait_for

IDLE = "import signal; print(1, flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + IDLE


class Children:
    """Starts processes, and ends those that are left."""

    def __init__(self) -> None:
        self.all: List["subprocess.Popen[bytes]"] = []

    def start(self, code: str = IDLE, *args: str, **environment: str) -> int:
        """Start Python with the code; return the pid once the code runs."""
        everything: Dict[str, str] = {**os.environ, **environment}
        argv = [sys.executable, "-c", code, *args]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, env=everything)
        assert child.stdout and child.stdout.read(1)
        self.all.append(child)
        return child.pid

    def end(self) -> None:
        for child in self.all:
            child.kill()
            child.communicate()


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.end()


def test_mark_in_the_environment_makes_a_member(tmp_path: Path, children: Children) -> None:
    member = children.start(**{processes.MEMBER_VARIABLE: str(tmp_path)})
    children.start(**{processes.MEMBER_VARIABLE: f"{tmp_path}-other"})
    assert processes.members(tmp_path) == [member]


def test_worker_with_a_path_of_the_lab_is_a_member(tmp_path: Path, children: Children) -> None:
    worker = children.start(IDLE, "-m", processes.WORKER, "-c", f"{tmp_path}/site-b/ceph.conf")
    assert processes.members(tmp_path) == [worker]


AGAIN = """
import os, sys
left = int(sys.argv[1])
if left == 1000:
    print(1, flush=True)
if left:
    os.execv(sys.executable, [sys.executable, "-S", "-c", sys.argv[2], str(left - 1), sys.argv[2]])
import signal
signal.pause()
"""


def test_a_daemon_that_executes_itself_anew_is_one_all_the_while(tmp_path: Path,
                                                                children: Children) -> None:
    pid = children.start(AGAIN, "1000", AGAIN, **{processes.MEMBER_VARIABLE: str(tmp_path)})
    (tmp_path / "pid").write_text(str(pid))
    for _ in range(2000):
        assert processes.daemon(tmp_path / "pid", tmp_path) == pid


def test_no_daemon(tmp_path: Path, children: Children) -> None:
    pid_file = tmp_path / "pid"
    assert processes.daemon(pid_file, tmp_path) is None
    pid_file.write_text(str(children.start()))
    assert processes.daemon(pid_file, tmp_path) is None


def test_editor_of_a_file_is_no_member(tmp_path: Path, children: Children) -> None:
    children.start(IDLE, f"{tmp_path}/site-b/ceph.conf", PWD=str(tmp_path))
    assert processes.members(tmp_path) == []


def test_dead_but_not_reaped_is_not_alive(children: Children) -> None:
    pid = children.start()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes.is_alive(pid), interval=0.01)
    assert processes.arguments(pid) == []


def test_end_kills_what_does_not_listen(children: Children) -> None:
    pids = [children.start(), children.start(STUBBORN)]
    processes.end(pids, seconds=0.2)
    assert not any(processes.is_alive(pid) for pid in pids)


def test_end_of_nothing(children: Children) -> None:
    processes.end([])
    assert processes.wait_gone([], 0) == []


def test_pid_file(tmp_path: Path) -> None:
    assert processes.read_pid(tmp_path / "none") is None
    (tmp_path / "empty").write_text("")
    assert processes.read_pid(tmp_path / "empty") is None
    (tmp_path / "pid").write_text("42\n")
    assert processes.read_pid(tmp_path / "pid") == 42
