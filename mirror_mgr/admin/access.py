"""Opens pools and images by spec, and turns what librados and librbd raise into our errors."""

import os
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

import rados
import rbd

from ..errors import MirrorError, NotFound, from_errno
from .specs import ImageSpec, PoolSpec

Why = Callable[[int], Optional[str]]


@contextmanager
def explaining(subject: str, why: Optional[Why] = None) -> Iterator[None]:
    """Raise errors of librados and librbd from within as ours, about `subject`.

    `why` is asked, with the positive errno, what the error means here and what to do about it.
    """
    try:
        yield
    except (rados.Error, rbd.Error) as error:
        raise _explained(error, subject, why) from error


def _explained(error: Exception, subject: str, why: Optional[Why]) -> MirrorError:
    number = abs(getattr(error, "errno", None) or 0)
    if not number:
        return MirrorError(f"{subject}: {error}")
    return from_errno(number, f"{subject}: {(why and why(number)) or os.strerror(number)}")


@contextmanager
def open_pool(cluster: "rados.Rados", spec: PoolSpec) -> Iterator["rados.Ioctx"]:
    """Open the pool in its namespace; raise NotFound if there is no such pool or namespace."""
    with explaining(f"pool {spec.pool!r}"):
        # By the map that librados has, the name may still be that of another pool.
        cluster.wait_for_latest_osdmap()
        try:
            ioctx = cluster.open_ioctx(spec.pool)
        except rados.ObjectNotFound:
            raise NotFound(f"pool {spec.pool!r}: there is no such pool; "
                           "see: ceph osd pool ls") from None
    try:
        if spec.namespace:
            _enter_namespace(ioctx, spec)
        yield ioctx
    finally:
        ioctx.close()


def _enter_namespace(ioctx: "rados.Ioctx", spec: PoolSpec) -> None:
    with explaining(f"namespace '{spec}'"):
        if not rbd.RBD().namespace_exists(ioctx, spec.namespace):
            raise NotFound(f"namespace '{spec}': there is no such namespace; "
                           f"see: rbd namespace ls {spec.pool}")
    ioctx.set_namespace(spec.namespace)


@contextmanager
def in_default_namespace(ioctx: "rados.Ioctx") -> Iterator[None]:
    """Have an ioctx of any namespace be one of its pool's default namespace for a while."""
    namespace = ioctx.get_namespace()
    ioctx.set_namespace("")
    try:
        yield
    finally:
        ioctx.set_namespace(namespace)


@contextmanager
def open_image(ioctx: "rados.Ioctx", spec: ImageSpec,
               read_only: bool = False) -> Iterator["rbd.Image"]:
    """Open an image of a pool that is open; raise NotFound if there is none of this name."""
    with explaining(f"image '{spec}'"):
        try:
            image = rbd.Image(ioctx, spec.name, read_only=read_only)
        except rbd.ImageNotFound:
            raise NotFound(f"image '{spec}': there is no such image; "
                           f"see: rbd ls {spec.pool_spec}") from None
    try:
        yield image
    finally:
        image.close()
