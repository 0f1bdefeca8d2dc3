"""Workers run from here in the manager's place, so that tests decide when they live and die."""

import json
import signal
import subprocess
import threading
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Type

from mirror_mgr.worker import protocol
from qa import processes
from qa.sites import REPOSITORY, Site
from qa.waiting import wait_for

PLAIN = "mirror_mgr.worker"
CRASHING = "qa.crashing_worker"


class Worker:
    """A worker process and what it says."""

    def __init__(self, argv: List[str], environment: Dict[str, str]) -> None:
        self.addresses: List[str] = []
        self.images: Dict[str, protocol.ImageReport] = {}
        self.pools: Sequence[protocol.PoolReport] = ()
        self.log: List[str] = []
        self._process = subprocess.Popen(
            argv, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> Optional[int]:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def say(self, message: protocol.Message) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(protocol.encode(message))
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it in order, as a manager that ends does: by closing the pipe."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reap()

    def kill(self) -> None:
        """Kill it outright."""
        self._process.kill()
        self._reap()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def tell_tasks(self) -> None:
        """Have it log what it does; it is given a second for that."""
        if self.alive:
            self.signal(signal.SIGUSR1)
            self._listener.join(1)

    def _reap(self) -> None:
        self._process.wait(20)
        self._listener.join(5)
        self.require_no_crash()

    def require_no_crash(self) -> None:
        """Raise AssertionError when a signal ended the process that is no kill."""
        code = self._process.poll()
        assert code is None or code >= 0 or code == -signal.SIGKILL, (
            f"the worker died: {signal.Signals(-code).name}; see its stderr")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = protocol.decode(line)
            if isinstance(message, protocol.WorkerHello) and message.address:
                self.addresses.append(message.address)
            elif isinstance(message, protocol.Heartbeat):
                self._take(message)
            elif isinstance(message, protocol.LogLine):
                self.log.append(f"{message.level}: {message.text}")

    def _take(self, beat: protocol.Heartbeat) -> None:
        gone = set(beat.removed)
        images = {image.global_id: image for image in beat.images}
        self.images = {**{gid: image for gid, image in self.images.items() if gid not in gone},
                       **images}
        self.pools = beat.pools


# As the labs of tests have it.
REMOVE_AT_ONCE = {"missing_image_seconds": 0, "removed_copy_seconds": 0}


class Workers:
    """One worker at a time at a site, for one pool that mirrors from `primary`.

    As a context manager no worker is left afterwards.
    """

    def __init__(self, site: Site, primary: Site, pool: str) -> None:
        self.site = site
        self.primary = primary
        self.current: Optional[Worker] = None
        self._pool = pool
        self._dead: List[str] = []
        [user] = json.loads(site.ceph(
            *("auth", "get-or-create", "client.rbd-mirror.by-hand", "mon", "profile rbd-mirror"),
            *("osd", "profile rbd", "--format", "json")))
        self._entity, self._key = user["entity"], user["key"]
        self._fsid = site.ceph("fsid").strip()

    def start(self, module: str = PLAIN, *args: str) -> Worker:
        """Start a worker; it knows which of its predecessors are dead."""
        assert self.current is None or not self.current.alive, "the one before is still there"
        words = ("--managed",) if module == PLAIN else args
        worker = Worker(self.site.argv("/usr/bin/python3", "-m", module, *words),
                        processes.member_environment(self.site.lab))
        self.current = worker
        mon_host = f"[v2:127.0.0.1:{self.site.port},v1:127.0.0.1:{self.site.port + 1}]"
        worker.say(protocol.ManagerHello(
            "by-hand", self._entity, self._key, mon_host, self._fsid, REMOVE_AT_ONCE,
            tuple(self._dead)))
        return worker

    def crashing(self, *args: str) -> Worker:
        """Start a worker with a fault; `args` are those of qa.crashing_worker."""
        return self.start(CRASHING, *args)

    def stop(self) -> None:
        """End the worker in order."""
        assert self.current is not None
        self.current.stop()

    def kill(self) -> None:
        """Kill the worker outright, and bury it."""
        assert self.current is not None
        self.current.kill()
        self.bury()

    def bury(self) -> None:
        """Note that the worker is dead; have the primary's OSDs forget it at once.

        There, whoever changes an image would wait for its answer until its watches expire.
        """
        assert self.current is not None and not self.current.alive
        self._dead += self.current.addresses
        listed = self.primary.run("rados", "-p", self._pool, "listwatchers", "rbd_mirroring").stdout
        for address in {line.split()[0].partition("=")[2] for line in listed.splitlines()}:
            self.primary.ceph("osd", "blocklist", "add", address)

    def fence(self) -> None:
        """Have this site's OSDs refuse the dead, as a worker that follows them would."""
        for address in self._dead:
            self.site.ceph("osd", "blocklist", "add", address)

    def wait_connected(self) -> None:
        worker = self.current
        assert worker is not None
        wait_for(lambda: worker.addresses, lambda: "\n".join(worker.log))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Any,
                 trace: Optional[TracebackType]) -> None:
        if self.current is None:
            return
        if kind is not None:
            self.current.tell_tasks()
            print("\n".join(self.current.log[-300:]))
        if self.current.alive:
            self.current.stop()
        self.current.require_no_crash()
