"""CRC-32C as Ceph counts it, by the function that librados itself uses.

A table in Python would take milliseconds for what this does in one microsecond.
"""

import ctypes
from typing import Any

import rados  # noqa: F401  maps the library, which is in no folder that the linker searches

from ..errors import NotSupported

_LIBRARY = "libceph-common.so.2"
# A pointer to the implementation that suits this processor (include/crc32c.h).
_POINTER = "ceph_crc32c_func"
_TYPE = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_uint)


def _load() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
        return _TYPE(ctypes.c_void_p.in_dll(library, _POINTER).value or 0)
    except (OSError, ValueError) as error:
        raise NotSupported(f"{_LIBRARY} has no {_POINTER}: journals can't be read ({error})"
                           ) from None


class Crc32c:
    """Callable with bytes; starts with 0 and does not invert the result.

    Raise NotSupported where this release of Ceph does not let us at its function.
    """

    def __init__(self) -> None:
        self._function = _load()

    def __call__(self, data: bytes) -> int:
        return int(self._function(0, data, len(data)))
