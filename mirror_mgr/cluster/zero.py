"""The step of a write operation that frees a range of an object.

``WriteOp.zero`` of python-rados hands offset and length on in the wrong order; where it was
repaired, release numbers do not tell.  So librados is called by its own name, with the handle that
a WriteOp keeps to itself.
"""

import ctypes
import functools
from ctypes import c_uint64, c_void_p
from typing import Any, List, Optional

import rados

from ..errors import NotSupported


def zero(op: Any, offset: int, length: int) -> None:
    """Add the step to a rados.WriteOp.  `length` must not be 0: an OSD of release 16 aborts."""
    _function()(_words(op)[_place()], offset, length)


@functools.lru_cache(maxsize=1)
def _function() -> Any:
    """Of the very librados that python-rados is linked to."""
    function = ctypes.PyDLL(rados.__file__).rados_write_op_zero
    function.argtypes = [c_void_p, c_uint64, c_uint64]
    function.restype = None
    return function


@functools.lru_cache(maxsize=1)
def _place() -> int:
    """Which word of a WriteOp is the handle: the one that is empty until there is one."""
    op = rados.WriteOp()
    before = _words(op)
    op.create()
    changed = [place for place, word in enumerate(_words(op)) if word != before[place]]
    op.release()
    if len(changed) != 1 or before[changed[0]] is not None:
        raise NotSupported("can't free ranges of objects: this python3-rados is not built as those "
                           "of Ceph 16 to 20; install the one of this Ceph release")
    return changed[0]


def _words(op: Any) -> List[Optional[int]]:
    """What an object of an extension type holds beyond what every Python object does."""
    return [c_void_p.from_address(id(op) + at).value for at in range(
        object.__basicsize__, type(op).__basicsize__, ctypes.sizeof(c_void_p))]
