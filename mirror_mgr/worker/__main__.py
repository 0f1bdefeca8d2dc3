"""Start of the worker: from the manager (`--managed`), by hand, or as a service."""

import asyncio
import faulthandler
import logging
import os
import shlex
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Coroutine, Dict, NoReturn, Optional, Sequence

try:
    import rados  # noqa: F401
    import rbd  # noqa: F401
except ImportError as error:
    sys.exit(f"mirror-mgr-worker: {error}; install python3-rados and python3-rbd, and run it with "
             "the system's own Python 3")

from ..cluster.connection import Connection
from ..errors import AlreadyRunning, Fenced, MirrorError
from . import admin_commands, anew, daemonize, memory, options, protocol, tasks
from .admin_socket import AdminSocket
from .pipe import ManagerPipe
from .stops import ManualStops
from .worker import Worker

log = logging.getLogger("mirror_mgr.worker")

# How long an orderly end may take before the process just ends.
_END_SECONDS = 2.0
# What it ends with where nobody asked it to: a service manager starts it again.
_FAILED = 1


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run until told to stop; return the exit code."""
    try:
        memory.reuse_what_is_freed()
        wanted = options.parse(_with_environment(sys.argv[1:] if argv is None else argv))
        if wanted.action == options.HELP:
            print(options.USAGE, end="")
            return 0
        if wanted.action == options.VERSION:
            print(f"{options.PROGRAM} {daemonize.version()}")
            return 0
        return run_managed() if wanted.managed else run_alone(wanted)
    except MirrorError as error:
        print(f"{options.PROGRAM}: {error}", file=sys.stderr)
        return error.errno


def _with_environment(argv: Sequence[str]) -> Sequence[str]:
    """What CEPH_ARGS holds goes before the arguments, as for every program of Ceph."""
    if "--managed" in argv:
        return argv
    return [*shlex.split(os.environ.get("CEPH_ARGS", "")), *argv]


def run_managed() -> int:
    """Serve the manager at the other end of stdin and stdout; end when it is gone."""
    daemonize.die_with_parent()
    pipe = ManagerPipe(sys.stdin.buffer, sys.stdout.buffer)
    pipe.install_log_handler()
    pipe.say(protocol.WorkerHello(os.getpid()))
    hello = pipe.read_hello()
    conf: Dict[str, str] = {"mon_host": hello.mon_host, "key": hello.key, "fsid": hello.fsid}

    def connect() -> Connection:
        return Connection.connect("local", hello.entity, None, conf)

    async def serve() -> int:
        worker = Worker(_in_thread(connect), hello.entity, pipe.say, hello.options,
                        frozenset(hello.dead))
        return await _until_stopped(worker, pipe.start_reading(worker))

    _end(_run(serve))


def run_alone(wanted: options.Options) -> int:
    """Replay every mirrored pool, with the daemon's arguments and no manager."""
    directory = os.getcwd()
    stops: Dict[int, ManualStops] = {}
    wanted = daemonize.complete(wanted)
    before = anew.handed_on()
    if before is not None:
        daemonize.resume(wanted)
        stops = {int(pool): ManualStops.taken_over(state)
                 for pool, state in before["stops"].items()}
    else:
        try:
            daemonize.prepare(wanted)
        except AlreadyRunning as error:
            if wanted.foreground:
                raise
            # What was asked for is so: a script that starts daemons takes others for failures.
            print(f"{options.PROGRAM}: {error}", file=sys.stderr)
            return 0

    async def serve() -> int:
        def connect() -> Connection:
            conf = {"admin_socket": socket.librados_path}
            if wanted.log_file:
                conf["log_file"] = wanted.log_file
            return Connection.connect(
                "local", wanted.entity, wanted.conf, conf, wanted.ceph_args, wanted.cluster)

        worker = Worker(_in_thread(connect), wanted.entity, lambda message: None, {},
                        stops=stops)
        socket = AdminSocket(
            daemonize.admin_socket(wanted), lambda: admin_commands.commands(worker))
        await socket.open()
        status = _FAILED
        try:
            status = await _until_stopped(worker, asyncio.Event())
        finally:
            socket.close()
            stops.update(worker.stops)
            if status != protocol.EXIT_FENCED:
                daemonize.remove_pid_file(wanted)
        return status

    status = _run(serve)
    if status == protocol.EXIT_FENCED:
        logging.shutdown()
        anew.execute({"stops": {pool: one.handed_on() for pool, one in stops.items()}}, directory)
    _end(status)


def _in_thread(connect: Callable[[], Connection]) -> Callable[[], Awaitable[Connection]]:
    async def connected() -> Connection:
        return await asyncio.get_running_loop().run_in_executor(None, connect)
    return connected


async def _until_stopped(worker: Worker, ended: asyncio.Event) -> int:
    """Run the worker; return what the process has to end with.

    EXIT_FENCED where its client was blocklisted, so that another is to follow.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, worker.refresh)
    loop.add_signal_handler(signal.SIGUSR1, tasks.log_all)
    running = asyncio.ensure_future(worker.run())
    stopping = asyncio.ensure_future(ended.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    _end_by_force_after(_END_SECONDS, 0 if ended.is_set() else _FAILED)
    running.cancel()
    stopping.cancel()
    [error] = await asyncio.gather(running, return_exceptions=True)
    if isinstance(error, Exception) and not isinstance(error, Fenced):
        log.error("the worker ended", exc_info=error)
    if ended.is_set() or not isinstance(error, Exception):
        return 0
    return protocol.EXIT_FENCED if isinstance(error, Fenced) else _FAILED


def _end_by_force_after(seconds: float, status: int) -> None:
    """A dead site must not keep the process: what it holds in RADOS, others may break."""
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()


def _run(serve: Callable[[], Coroutine[Any, Any, int]]) -> int:
    # Crashes happen in the libraries of Ceph: where Python was then goes to stderr.
    faulthandler.enable()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Connecting to dead sites takes threads, which only wait: none must wait for another.
    loop.set_default_executor(ThreadPoolExecutor(64))
    return loop.run_until_complete(serve())


def _end(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    # Threads of a dead site's client may never end.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
