"""One atomic change of one RADOS object."""

import errno
from typing import Any, Callable, Dict, List, Sequence, Tuple

import rados

from ..errors import InvalidArgument
from ..wire.cls import Call
from .zero import zero

VERSION_DIFFERS = (errno.EOVERFLOW, errno.ERANGE)
"""What an OSD answers when the version that is expected is above or below the object's."""

Step = Tuple[Any, ...]

# Steps that may change where the object ends.
_ENDS = ("zero", "truncate")
_BYTES = ("write", *_ENDS)


class Operation:
    """Steps that the OSD applies to an object all together or not at all.

    cls calls of one operation all see the object as it was before it.
    """

    def __init__(self) -> None:
        self.steps: List[Step] = []

    def create(self, exclusive: bool = False) -> "Operation":
        return self._add("create", exclusive)

    def write(self, offset: int, data: bytes) -> "Operation":
        return self._add("write", offset, data)

    def write_full(self, data: bytes) -> "Operation":
        return self._add("write_full", data)

    def zero(self, offset: int, length: int) -> "Operation":
        """Free a range; one that reaches the object's end makes the object that much shorter.

        A zero of no bytes would abort the OSD, hence the check.
        """
        if length <= 0:
            raise InvalidArgument(f"zero of {length} bytes at {offset}: a length is needed")
        return self._add("zero", offset, length)

    def truncate(self, size: int) -> "Operation":
        return self._add("truncate", size)

    def compare(self, offset: int, data: bytes) -> "Operation":
        """Let the whole operation fail where the object holds something else."""
        return self._add("compare", offset, data)

    def remove(self) -> "Operation":
        return self._add("remove")

    def call(self, call: Call) -> "Operation":
        return self._add("call", *call)

    def expect_version(self, version: int) -> "Operation":
        """Let the whole operation fail unless this is the object's version."""
        return self._add("version", version)

    def _add(self, *step: Any) -> "Operation":
        self.steps.append(step)
        return self

    @property
    def mixed(self) -> bool:
        """Whether it may change where the object ends and does something else to its bytes."""
        if len(self.steps) < 2:
            return False
        names = [step[0] for step in self.steps if step[0] in _BYTES]
        return len(names) > 1 and names.count("write") < len(names)

    def parts(self) -> List["Operation"]:
        """The same as several operations, none of them mixed, to be applied in this order.

        An erasure-coded pool needs that.  What else is written to the stripe in which a mixed
        operation ends the object may be lost, and two truncates abort OSDs (both seen with
        release 16).
        """
        found: List[Operation] = []
        for step in self.steps:
            if not found or not _go_together(found[-1].steps, step):
                found.append(Operation())
            found[-1].steps.append(step)
        return found

    def write_op(self) -> "rados.WriteOp":
        """Hand the steps to librados, which has a copy of all data then; release the result."""
        op = rados.WriteOp()
        op.create()
        try:
            for step in self.steps:
                _IN_LIBRADOS[step[0]](op, *step[1:])
        except BaseException:
            op.release()
            raise
        self.steps.clear()
        return op


def _go_together(steps: Sequence[Step], step: Step) -> bool:
    if step[0] not in _BYTES:
        return True
    before = next((name for name, *_ in reversed(steps) if name in _BYTES), None)
    return before is None or before == step[0] == "write"


_IN_LIBRADOS: Dict[str, Callable[..., None]] = {
    "create": lambda op, exclusive: op.new(
        rados.LIBRADOS_CREATE_EXCLUSIVE if exclusive else rados.LIBRADOS_CREATE_IDEMPOTENT),
    "write": lambda op, offset, data: op.write(data, offset),
    "write_full": lambda op, data: op.write_full(data),
    "zero": zero,
    "truncate": lambda op, size: op.truncate(size),
    "compare": lambda op, offset, data: op.cmpext(data, offset),
    "remove": lambda op: op.remove(),
    "call": lambda op, *call: op.execute(*call),
    "version": lambda op, version: op.assert_version(version),
}
