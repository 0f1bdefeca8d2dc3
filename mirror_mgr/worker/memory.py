"""Keeps the process small: what a copy needed goes back to the system when it is done."""

import asyncio
import ctypes
import os
from typing import Callable

from ..replay.budget import Budget

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_KEPT = 32 << 20
# What the process may have beside what its budget is for.
_OWN = 48 << 20
_CHECK_SECONDS = 0.1
# So much more than at the last time is not worth a trim of a process at rest.
_LITTLE = 4 << 20


def reuse_what_is_freed() -> None:
    """Have malloc keep large buffers for the next ones, in few arenas.

    To map each of them costs a fault a page, which is most of the work of a copy.  No harm where
    malloc is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for parameter, value in ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, _KEPT),
                             (_M_TRIM_THRESHOLD, _KEPT)):
        mallopt(parameter, value)


def trim() -> None:
    """Give all pages back that nothing is in."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return
    malloc_trim(0)


async def keep_small(budget: Budget, rss: Callable[[], int], trim: Callable[[], None]) -> None:
    """Until cancelled: trim when the process has grown too large, and when it comes to rest."""
    at_rest = rss()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        if budget.used:
            if rss() > max(_OWN, at_rest) + budget.limit:
                trim()
        elif rss() > at_rest + _LITTLE:
            trim()
            at_rest = rss()


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
