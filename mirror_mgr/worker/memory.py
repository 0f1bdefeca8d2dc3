"""Keeps the process small: what a copy needed goes back to the system when it is done."""

import ctypes
import os
import sys
from typing import Sequence

# Mapping each large buffer costs a fault a page: with huge pages that is a third less work.
TUNABLE = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 128 << 10


def return_what_is_freed() -> None:
    """Tell malloc to map large buffers one by one and to use few arenas.

    By itself glibc raises its threshold for mapping to the size of what is freed, and the buffers
    of a copy then stay in the arenas of librados' threads.  No harm where malloc is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for parameter, value in ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, _LARGE),
                             (_M_TRIM_THRESHOLD, _LARGE)):
        mallopt(parameter, value)


def start_again_with_huge_pages(argv: Sequence[str]) -> None:
    """Run this program with the same arguments anew where malloc was not told to use huge pages.

    glibc reads that from the environment of a new process; the manager sets it for its workers.
    """
    name, value = TUNABLE
    if name not in os.environ and sys.executable:
        os.execve(sys.executable, [sys.executable, "-m", "mirror_mgr.worker", *argv],
                  {**os.environ, name: value})


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
