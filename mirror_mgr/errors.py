"""Every error mirror_mgr raises, as one tree.

::

    MirrorError                 EIO
     +- InvalidArgument         EINVAL
     +- NotFound                ENOENT
     +- AlreadyExists           EEXIST
     |   +- SplitBrain          EEXIST
     +- NotPermitted            EPERM
     +- AccessDenied            EACCES
     +- ReadOnly                EROFS
     +- Busy                    EBUSY
     |   +- AlreadyRunning      EBUSY
     +- NotReady                EAGAIN
     +- DeadlineExceeded        ETIMEDOUT
     +- NotSupported            EOPNOTSUPP
     +- OutOfSpace              ENOSPC
     +- Fenced                  ESHUTDOWN
     +- MalformedData           EBADMSG
     +- ClusterError            the errno that librados or librbd gave

``errno`` is positive and is what the ``ceph`` CLI exits with.  A message names the thing
first and then the cure: "pool 'x': mirroring is disabled; run ceph rbd-mirror pool enable x".
"""

import errno as _errno
from typing import Optional, Tuple


class MirrorError(Exception):
    """The root.  ``message`` is for the user, ``errno`` for the exit code."""

    errno = _errno.EIO

    def __init__(self, message: str, errno: Optional[int] = None) -> None:
        super().__init__(message)
        self.message = message
        if errno is not None:
            self.errno = abs(errno)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Tuple[object, ...]:
        return type(self), (self.message, self.errno)


class InvalidArgument(MirrorError):
    errno = _errno.EINVAL


class NotFound(MirrorError):
    errno = _errno.ENOENT


class AlreadyExists(MirrorError):
    errno = _errno.EEXIST


class SplitBrain(AlreadyExists):
    """Both sides wrote since their last common snapshot."""


class NotPermitted(MirrorError):
    errno = _errno.EPERM


class AccessDenied(MirrorError):
    errno = _errno.EACCES


class ReadOnly(MirrorError):
    errno = _errno.EROFS


class Busy(MirrorError):
    errno = _errno.EBUSY


class AlreadyRunning(Busy):
    """Another process was started with the same pid file."""


class NotReady(MirrorError):
    errno = _errno.EAGAIN


class DeadlineExceeded(MirrorError):
    errno = _errno.ETIMEDOUT


class NotSupported(MirrorError):
    errno = _errno.EOPNOTSUPP


class OutOfSpace(MirrorError):
    errno = _errno.ENOSPC


class Fenced(MirrorError):
    """This client was blocklisted: its connection is of no more use."""

    errno = _errno.ESHUTDOWN


class MalformedData(MirrorError):
    """Bytes that do not decode as the Ceph structure they should be."""

    errno = _errno.EBADMSG


class ClusterError(MirrorError):
    """An errno of librados or librbd that no class above stands for."""


_BY_ERRNO = {
    cls.errno: cls
    for cls in (InvalidArgument, NotFound, AlreadyExists, NotPermitted, AccessDenied, ReadOnly,
                Busy, NotReady, DeadlineExceeded, NotSupported, OutOfSpace, Fenced)
}
_BY_ERRNO[_errno.EDQUOT] = OutOfSpace


def from_errno(errno: int, message: str) -> MirrorError:
    """Given an errno of either sign, return the error of the tree that stands for it."""
    number = abs(errno)
    return _BY_ERRNO.get(number, ClusterError)(message, number)
