"""One atomic change of one RADOS object."""

import errno

import rados

from ..errors import InvalidArgument
from ..wire.cls import Call

VERSION_DIFFERS = (errno.EOVERFLOW, errno.ERANGE)
"""What an OSD answers when the version that is expected is above or below the object's."""

_CREATE_EXCLUSIVE = rados.LIBRADOS_CREATE_EXCLUSIVE
_CREATE_IDEMPOTENT = rados.LIBRADOS_CREATE_IDEMPOTENT


class Operation:
    """Steps that the OSD applies to an object all together or not at all.

    cls calls of one operation all see the object as it was before it.
    """

    def __init__(self) -> None:
        self.op = rados.WriteOp()
        self.op.create()

    def create(self, exclusive: bool = False) -> "Operation":
        self.op.new(_CREATE_EXCLUSIVE if exclusive else _CREATE_IDEMPOTENT)
        return self

    def write(self, offset: int, data: bytes) -> "Operation":
        self.op.write(data, offset)
        return self

    def write_full(self, data: bytes) -> "Operation":
        self.op.write_full(data)
        return self

    def zero(self, offset: int, length: int) -> "Operation":
        """Free a range; one that reaches the object's end makes the object that much shorter.

        A zero of no bytes would abort the OSD, hence the check.
        """
        if length <= 0:
            raise InvalidArgument(f"zero of {length} bytes at {offset}: a length is needed")
        # python-rados hands the two on in the wrong order.
        self.op.zero(length, offset)
        return self

    def truncate(self, size: int) -> "Operation":
        self.op.truncate(size)
        return self

    def compare(self, offset: int, data: bytes) -> "Operation":
        """Let the whole operation fail where the object holds something else."""
        self.op.cmpext(data, offset)
        return self

    def remove(self) -> "Operation":
        self.op.remove()
        return self

    def call(self, call: Call) -> "Operation":
        self.op.execute(*call)
        return self

    def expect_version(self, version: int) -> "Operation":
        """Let the whole operation fail unless this is the object's version."""
        self.op.assert_version(version)
        return self

    def release(self) -> None:
        self.op.release()
