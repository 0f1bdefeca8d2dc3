"""Operations that the journal says have begun and not yet ended.  Pure.

The commit position must not pass the beginning of such a one: its end alone would tell nothing.
"""

import errno
import os
from dataclasses import replace
from typing import Dict, List, Optional

from ...errors import MalformedData
from ...wire.journal_event import (
    Operation,
    OpFinish,
    Resize,
    SnapCreate,
    SnapRemove,
    UpdateFeatures,
)

# What follows their beginning, even before their end, is of the image as it is after them.
_AT_BEGIN = (SnapCreate, Resize, UpdateFeatures)


class Pending:
    """By their ids, which start anew with each tag."""

    def __init__(self) -> None:
        self._begun: Dict[int, Operation] = {}

    def __bool__(self) -> bool:
        return bool(self._begun)

    def begin(self, operation: Operation) -> Optional[Operation]:
        """Return what is to be done now."""
        self._begun[operation.op_tid] = operation
        return operation if isinstance(operation, _AT_BEGIN) else None

    def finish(self, event: OpFinish) -> Optional[Operation]:
        """Return what is to be done now.  An end without a beginning was done already.

        Raise MalformedData when the operation failed in the middle: nobody can tell what the
        image is like since.
        """
        operation = self._begun.get(event.op_tid)
        if isinstance(operation, Resize) and event.code:
            raise MalformedData(f"a resize to {operation.size} bytes failed at the primary "
                                f"({os.strerror(-event.code)})")
        self._begun.pop(event.op_tid, None)
        if operation is None:
            return None
        if event.code == 0:
            return None if isinstance(operation, (Resize, UpdateFeatures)) else operation
        if isinstance(operation, SnapCreate) and event.code != -errno.EEXIST:
            return SnapRemove(operation.op_tid, operation.name, operation.namespace)
        if isinstance(operation, UpdateFeatures):
            return replace(operation, enabled=not operation.enabled)
        return None

    def end_all(self) -> List[Operation]:
        """The tag ended: its next owner carries out what was begun.  Return what is to be done."""
        left: List[Operation] = [
            operation for operation in self._begun.values()
            if not isinstance(operation, _AT_BEGIN)]
        self._begun.clear()
        return left
