"""librados' and librbd's failures as errors of our tree."""

import errno
import os
from contextlib import contextmanager
from typing import Iterator

import rados
import rbd

from ..errors import ClusterError, DeadlineExceeded, MirrorError, from_errno


def translate(error: Exception, what: str) -> MirrorError:
    """Given what librados or librbd raised while doing `what`, return the error to raise."""
    if isinstance(error, MirrorError):
        return error
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        reason = getattr(error, "strerror", None) or str(error)
        return from_errno(number, f"{what}: {reason}")
    return ClusterError(f"{what}: {error}")


def of_site(code: int, site: str, what: str) -> MirrorError:
    """Given a negative return value of `what` at a site, return the error to raise."""
    if code == -errno.ETIMEDOUT:
        return DeadlineExceeded(f"site {site!r} does not answer; check its monitors, OSDs and "
                                f"network ({what} timed out)")
    return failed(code, f"site {site!r}: {what}")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Have what librados or librbd raise while doing `what` raised as errors of our tree."""
    try:
        yield
    except (rados.Error, rbd.Error, OSError) as error:
        raise translate(error, what) from error


def failed(code: int, what: str) -> MirrorError:
    """Given a negative return value of `what`, return the error to raise."""
    return from_errno(code, f"{what}: {os.strerror(-code)}")
