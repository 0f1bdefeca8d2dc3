"""Ranges of TCP ports for labs that run side by side on one host."""

import fcntl
import json
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from qa.errors import LabError

CLAIMS = Path("/run/lock/mirror_mgr-lab")
LOWEST = 20000


def claim(lab: Path, count: int, base: Optional[int] = None) -> int:
    """Reserve `count` free consecutive ports for the lab, those from `base` on when it is given.

    Return the first. The range lies below the kernel's ephemeral ports, so that no outgoing
    connection can take one of them while a daemon restarts. Raise LabError when they are taken.
    """
    end = ephemeral_start()
    candidates = range(LOWEST, end - count, count) if base is None else [base]
    with _claims() as claims:
        for first in candidates:
            if not _clashes(claims, first, count) and _all_free(first, count):
                claims[str(lab)] = [first, count]
                return first
    where = f"between {LOWEST} and {end}" if base is None else f"from {base} on"
    raise LabError(f"no {count} free ports in a row {where}; end another lab")


def release(lab: Path) -> None:
    """Give back what `claim` reserved for the lab."""
    with _claims() as claims:
        claims.pop(str(lab), None)


def ephemeral_start() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def _clashes(claims: dict, base: int, count: int) -> bool:
    return any(base < start + length and start < base + count for start, length in claims.values())


def _all_free(base: int, count: int) -> bool:
    for port in range(base, base + count):
        with socket.socket() as probe:
            # Closed connections that still linger there are no hindrance, only a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


@contextmanager
def _claims() -> Iterator[dict]:
    CLAIMS.mkdir(parents=True, exist_ok=True)
    path = CLAIMS / "ports.json"
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        claims = json.loads(file.read() or "{}")
        # A lab whose directory is gone holds nothing any more.
        claims = {lab: value for lab, value in claims.items() if Path(lab).exists()}
        yield claims
        file.truncate(0)
        file.write(json.dumps(claims))
