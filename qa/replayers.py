"""The two programs that the benchmark compares, started and watched in the same way."""

import os
import subprocess
from pathlib import Path
from typing import Dict, NamedTuple, Optional

from qa import processes
from qa.errors import LabError
from qa.sites import REPOSITORY, Site

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a process has used: seconds of CPU since its start, memory in bytes now and at most."""

    cpu_seconds: float
    rss: int
    peak_rss: int


def usage(pid: int) -> Usage:
    """Return what the process has used so far. Raise LabError when it is gone."""
    if not processes.is_alive(pid):
        raise LabError(f"process {pid}, which is measured, has ended; see its log")
    stat = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path("/proc", str(pid), "status").read_text().splitlines()
    )
    ticks = int(stat[11]) + int(stat[12])
    return Usage(ticks / _TICKS, _kib(status, "VmRSS"), _kib(status, "VmHWM"))


def _kib(status: Dict[str, str], name: str) -> int:
    return int(status[name].split()[0]) << 10


class Daemon:
    """Ceph's own rbd-mirror daemon."""

    name = "daemon"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.pid = 0

    def start(self) -> None:
        """Start it; it replays every mirrored pool of its site."""
        self.pid = self._site.start_rbd_mirror("bench")

    def stop(self) -> None:
        """Ask it to end and wait until it has."""
        self._site.stop_rbd_mirror("bench")


class Worker:
    """Our worker, started by hand with the daemon's arguments."""

    name = "worker"
    _entity = "client.rbd-mirror.w"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self.pid = 0

    def start(self) -> None:
        """Start it; it replays every mirrored pool of its site."""
        keyring = self._site.directory / "keyrings" / f"{self._entity}.keyring"
        caps = ("mon", "profile rbd-mirror", "osd", "profile rbd")
        keyring.write_text(self._site.ceph("auth", "get-or-create", self._entity, *caps))
        log = self._site.directory / "log" / f"{self._entity}.log"
        self._process = subprocess.Popen(
            self._site.argv("/usr/bin/python3", "-m", "mirror_mgr.worker", "-f", "-c",
                            self._site.conf, "-n", self._entity, "--keyring", str(keyring),
                            "--log-file", str(log)),
            env={**processes.member_environment(self._site.lab), "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self._process is not None:
            processes.end([self.pid])
            self._process.wait()
            self._process = None
