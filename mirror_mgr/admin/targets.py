"""What options like ``--pool P --namespace N --image I`` mean, by ids."""

from typing import NamedTuple, Optional

import rados
import rbd

from ..errors import InvalidArgument, NotFound
from .access import explaining, open_image, open_pool
from .images import require_mirrored
from .specs import ImageSpec, PoolSpec


class Target(NamedTuple):
    """A pool, namespace or image; None stands for all.

    :ivar image: its name
    :ivar unfit: why nothing of it can have a schedule of mirror snapshots, None if it can
    """

    pool_id: Optional[int] = None
    namespace: Optional[str] = None
    image_id: Optional[str] = None
    image: str = ""
    unfit: Optional[InvalidArgument] = None

    def must_fit(self) -> "Target":
        """Return it, or raise what makes it unfit."""
        if self.unfit is not None:
            raise self.unfit
        return self


def find(cluster: "rados.Rados", pool: Optional[str], namespace: Optional[str],
         image: Optional[str]) -> Target:
    """Return what is meant; with no pool that is everything.

    `pool` may be written with its namespace, as for other commands.  Raise InvalidArgument for
    what is not there, as ``rbd`` does where it is about schedules, and for a part of nothing.
    """
    try:
        return _find(cluster, pool, namespace, image)
    except NotFound as error:
        raise InvalidArgument(error.message) from error


def _find(cluster: "rados.Rados", pool: Optional[str], namespace: Optional[str],
          image: Optional[str]) -> Target:
    if pool is None:
        if namespace is not None or image is not None:
            raise InvalidArgument(f"{'image' if image else 'namespace'} {image or namespace!r}: "
                                  "of which pool? Add --pool")
        return Target()
    if "/" in pool and namespace is None:
        pool, _, namespace = pool.partition("/")
    spec = PoolSpec(pool, namespace or "")
    with open_pool(cluster, spec) as ioctx:
        pool_id = int(ioctx.get_pool_id())
        if image is None:
            return Target(pool_id, namespace, unfit=_why_not_pool(ioctx, spec))
        return _find_image(ioctx, pool_id, ImageSpec(pool, namespace or "", image))


def _find_image(ioctx: "rados.Ioctx", pool_id: int, spec: ImageSpec) -> Target:
    with open_image(ioctx, spec, read_only=True) as opened, explaining(f"image '{spec}'"):
        return Target(pool_id, spec.namespace, str(opened.id()), spec.name,
                      _why_not_image(ioctx, opened, spec))


def _why_not_pool(ioctx: "rados.Ioctx", spec: PoolSpec) -> Optional[InvalidArgument]:
    """Of a whole pool only that it is of RBD is asked: mirroring may be enabled later."""
    if not spec.namespace:
        applications = ioctx.application_list()
        if applications and "rbd" not in applications:
            return InvalidArgument(f"pool '{spec}': it is no pool of RBD, but of "
                                   f"{' and '.join(applications)}")
        return None
    with explaining(f"namespace '{spec}'"):
        if rbd.RBD().mirror_mode_get(ioctx) != rbd.RBD_MIRROR_MODE_IMAGE:
            return InvalidArgument(
                f"namespace '{spec}': mirroring by images is not enabled in it; "
                f"run: ceph rbd-mirror pool enable {spec} image")
    return None


def _why_not_image(ioctx: "rados.Ioctx", image: "rbd.Image",
                   spec: ImageSpec) -> Optional[InvalidArgument]:
    try:
        require_mirrored(ioctx, image, spec)
    except InvalidArgument as error:
        return error
    if image.mirror_image_get_mode() != rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
        return InvalidArgument(f"image '{spec}': it is mirrored by its journal; only "
                               "images in snapshot mode have mirror snapshots")
    return None
