"""Start and end of the process."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from mirror_mgr.errors import Busy, Fenced, InvalidArgument
from mirror_mgr.worker import __main__ as main_module
from mirror_mgr.worker import daemonize
from mirror_mgr.worker.options import Options
from mirror_mgr.worker.protocol import EXIT_FENCED, ManagerHello
from mirror_mgr.worker.stops import ManualStops


class Ended(BaseException):
    """In place of os._exit."""


class FakeWorker:
    """A worker that ends by itself, in good order or not."""

    error = None
    refresh = None

    stops = {}

    def __init__(self, connect, entity, say, options, dead=frozenset(), stops=None):
        pass

    async def run(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
def process(monkeypatch):
    """Of the process only what does not outlive a test."""
    def end(code):
        raise Ended(code)

    monkeypatch.setattr(main_module, "Worker", FakeWorker)
    monkeypatch.setattr(main_module.os, "_exit", end)
    monkeypatch.setattr(main_module, "_end_by_force_after", lambda seconds, status: None)
    monkeypatch.setattr(daemonize, "_set_up_log", lambda wanted: None)
    monkeypatch.setattr(daemonize, "complete", lambda wanted: wanted)
    monkeypatch.setattr(main_module.logging, "shutdown", lambda: None)
    yield
    loop = asyncio.get_event_loop()
    loop.close()
    asyncio.set_event_loop(None)


@pytest.mark.parametrize("error", [None, ZeroDivisionError("x")])
def test_the_pid_file_goes_with_the_process(process, tmp_path, monkeypatch, error):
    monkeypatch.setattr(FakeWorker, "error", error)
    pid_file = tmp_path / "pid"
    seen = []
    monkeypatch.setattr(main_module, "_until_stopped", seeing(pid_file, seen))
    with pytest.raises(Ended) as ended:
        main_module.run_alone(Options(foreground=True, conf="c", pid_file=str(pid_file),
                                       admin_socket=str(tmp_path / "asok")))
    assert seen == [f"{os.getpid()}\n"] and not pid_file.exists()
    assert ended.value.args == (1 if error else 0,)


def test_told_to_end_it_ends_with_0(process, tmp_path, monkeypatch):
    async def run(worker):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    monkeypatch.setattr(FakeWorker, "run", run)
    with pytest.raises(Ended) as ended:
        main_module.run_alone(Options(foreground=True, conf="c",
                                      admin_socket=str(tmp_path / "asok")))
    assert ended.value.args == (0,)


def seeing(pid_file, seen):
    original = main_module._until_stopped

    async def until_stopped(worker, ended):
        seen.append(pid_file.read_text())
        return await original(worker, ended)

    return until_stopped


def test_help_and_version_are_told_on_stdout(capsys):
    assert main_module.main(["--help"]) == 0
    assert "usage:" in capsys.readouterr().out
    assert main_module.main(["--version"]) == 0
    assert daemonize.version() in capsys.readouterr().out


def test_a_mistake_is_told_in_one_line(capsys):
    assert main_module.main(["--conf"]) == InvalidArgument.errno
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1
    assert output.err.startswith("mirror-mgr-worker: ")


def test_fenced_it_executes_itself_anew_and_hands_on_what_was_stopped(
        process, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeWorker, "error", Fenced("blocklisted"))
    executed = []

    def execute(path, words, environment):
        executed.append((path, words, environment))
        raise Ended(0)

    monkeypatch.setattr(main_module.anew.os, "execve", execute)
    monkeypatch.setattr(sys, "argv", ["mirror-mgr-worker", "-f", "-c", "conf"])
    stops = ManualStops()
    stops.set("g", True)
    monkeypatch.setattr(FakeWorker, "stops", {3: stops})
    pid_file = tmp_path / "pid"
    with pytest.raises(Ended):
        main_module.run_alone(Options(foreground=True, conf="c", pid_file=str(pid_file),
                                       admin_socket=str(tmp_path / "asok")))
    [(path, words, environment)] = executed
    assert path == words[0] == sys.executable and words[-4:] == [
        "mirror_mgr.worker", "-f", "-c", "conf"]
    assert pid_file.exists() and not (tmp_path / "asok").exists()

    for name in ("MIRROR_MGR_ANEW", "PYTHONPATH"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr(FakeWorker, "error", None)
    seen = []
    original = FakeWorker.__init__
    monkeypatch.setattr(FakeWorker, "__init__", lambda self, *args, **more: (
        seen.append(more["stops"]), original(self, *args, **more))[0])
    with pytest.raises(Ended):
        main_module.run_alone(Options(foreground=True, conf="c", pid_file=str(pid_file),
                                       admin_socket=str(tmp_path / "asok")))
    assert seen[0][3].is_stopped("g") and not pid_file.exists()
    assert "MIRROR_MGR_ANEW" not in os.environ


def test_fenced_under_a_manager_it_says_so_with_its_status(process, monkeypatch):
    class Pipe:
        def __init__(self, source, target):
            pass

        install_log_handler = say = lambda self, *message: None

        def read_hello(self):
            return ManagerHello("w", "client.w", "key", "m", "f")

        def start_reading(self, worker):
            return asyncio.Event()

    monkeypatch.setattr(main_module, "ManagerPipe", Pipe)
    monkeypatch.setattr(daemonize, "die_with_parent", lambda: None)
    for error, code in ((Fenced("x"), EXIT_FENCED), (None, 0)):
        monkeypatch.setattr(FakeWorker, "error", error)
        with pytest.raises(Ended) as ended:
            main_module.run_managed()
        assert ended.value.args == (code,)


@pytest.mark.parametrize("foreground, code", [(True, Busy.errno), (False, 0)])
def test_a_second_start_with_the_same_pid_file(monkeypatch, tmp_path, capsys, foreground, code):
    """In the background it is no failure, as for the daemon."""
    monkeypatch.setattr(daemonize, "complete", lambda wanted: wanted)
    words = [*(["-f"] if foreground else []), "-c", "c", "--pid-file", str(tmp_path / "pid")]
    other = daemonize._lock_pid_file(str(tmp_path / "pid"))
    os.write(other, b"4711\n")
    assert main_module.main(words) == code
    assert "process 4711 runs with it" in capsys.readouterr().err
    os.close(other)


def test_without_the_bindings_of_ceph_it_says_so_in_one_line():
    start = ("import runpy, sys; sys.modules['rados'] = None; "
             "runpy.run_module('mirror_mgr.worker', run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "install python3-rados" in done.stderr
