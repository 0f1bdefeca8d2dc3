"""Keeps the process small: what a copy needed goes back to the system when it is done."""

import ctypes
import os

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


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
