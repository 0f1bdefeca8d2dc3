"""The worker with a fault built in: it kills itself at a certain write, or writes slowly.

Run as `python3 -m qa.crashing_worker [--before N | --after N] [--slow SECONDS]`, with the pipes of
a managed worker. Writes are counted from one: those that a sync makes to RADOS at either site, not
those of its statuses, pings, the roster and the leader lock, which come by the clock.
"""

import argparse
import asyncio
import functools
import os
import re
import signal
import sys
import threading
from typing import Any, Awaitable, Callable, List, Optional, TypeVar

from mirror_mgr.cluster.pool import Pool
from mirror_mgr.replay import unlink
from mirror_mgr.wire.header import LEADER
from mirror_mgr.worker.__main__ import main as worker
from mirror_mgr.worker.team import ROSTER

T = TypeVar("T")

_READS = re.compile("get|list|load")
_BY_THE_CLOCK = ("mirror_image_status_set", "mirror_image_status_remove", "mirror_peer_ping")


class Fault:
    """Counts writes and strikes at one of them."""

    def __init__(self, before: Optional[int], after: Optional[int], slow: float) -> None:
        self._before = before
        self._after = after
        self._slow = slow
        self._count = 0
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Count a write that is about to be made; return its number."""
        with self._lock:
            self._count += 1
            number = self._count
        if number == self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    def end(self, number: int) -> None:
        """The write with this number is done."""
        if number == self._after:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, write: Callable[[], Awaitable[T]]) -> T:
        """Make a write, with the fault about it."""
        number = self.begin()
        if self._slow:
            await asyncio.sleep(self._slow)
        result = await write()
        self.end(number)
        return result

    def in_method(self, name: str, counts: Callable[..., bool]) -> None:
        """Put the fault into a method of Pool, for calls that count."""
        original = getattr(Pool, name)

        async def method(pool: Pool, *args: Any, **options: Any) -> Any:
            if not counts(*args):
                return await original(pool, *args, **options)
            return await self.around(lambda: original(pool, *args, **options))

        setattr(Pool, name, method)

    def in_batches(self) -> None:
        """Put the fault into each write of those that are made all at once."""
        original = Pool.operate_all

        async def operate_all(pool: Pool, operations: Any) -> Any:
            found = []
            for one in operations:
                found += await self.around(functools.partial(original, pool, [one]))
            return found

        Pool.operate_all = operate_all  # type: ignore[method-assign]

    def in_blocking(self, name: str) -> None:
        """Put the fault into a function that changes the primary image through librbd."""
        original = getattr(unlink, name)

        def function(*args: Any) -> Any:
            number = self.begin()
            result = original(*args)
            self.end(number)
            return result

        setattr(unlink, name, function)


def _counts(oid: str, call: Any = None, *rest: Any) -> bool:
    if oid in (LEADER, ROSTER):
        return False
    method = getattr(call, "method", "")
    return not _READS.search(method) and method not in _BY_THE_CLOCK


def main(argv: List[str]) -> int:
    """Run the worker until it is told to stop or dies."""
    parser = argparse.ArgumentParser(prog="crashing_worker", description=__doc__)
    parser.add_argument("--before", type=int, metavar="N", help="die when the Nth write is due")
    parser.add_argument("--after", type=int, metavar="N", help="die when the Nth write is done")
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="for each write")
    args = parser.parse_args(argv)
    fault = Fault(args.before, args.after, args.slow)
    for name in ("operate", "operate_versioned", "call", "notify"):
        fault.in_method(name, _counts)
    for name in ("new_snap_ids", "remove_snap_id"):
        fault.in_method(name, lambda *args: True)
    fault.in_batches()
    for name in ("_remove", "_snapshot"):
        fault.in_blocking(name)
    return worker(["--managed"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
