"""What options like ``--pool P --namespace N --image I`` mean, by ids."""

from typing import NamedTuple, Optional

import rados
import rbd

from ..errors import InvalidArgument
from .access import explaining, open_image, open_pool
from .images import require_mirrored
from .specs import ImageSpec, PoolSpec


class Target(NamedTuple):
    """A pool, namespace or image; None stands for all.

    :ivar image: its name
    """

    pool_id: Optional[int] = None
    namespace: Optional[str] = None
    image_id: Optional[str] = None
    image: str = ""


def find(cluster: "rados.Rados", pool: Optional[str], namespace: Optional[str],
         image: Optional[str], in_snapshot_mode: bool = False) -> Target:
    """Return what is meant; with no pool that is everything.

    Raise NotFound for what is not there, and InvalidArgument for a part of nothing, or with
    `in_snapshot_mode` for an image that is not mirrored by snapshots.
    """
    if pool is None:
        if namespace is not None or image is not None:
            raise InvalidArgument(f"{'image' if image else 'namespace'} {image or namespace!r}: "
                                  "of which pool? Add --pool")
        return Target()
    if "/" in pool or "@" in pool:
        raise InvalidArgument(f"pool {pool!r}: name the pool alone, "
                              "with --namespace and --image beside it")
    with open_pool(cluster, PoolSpec(pool, namespace or "")) as ioctx:
        pool_id = int(ioctx.get_pool_id())
        if image is None:
            return Target(pool_id, namespace)
        spec = ImageSpec(pool, namespace or "", image)
        with open_image(ioctx, spec, read_only=True) as opened, explaining(f"image '{spec}'"):
            if in_snapshot_mode:
                require_mirrored(ioctx, opened, spec)
                if opened.mirror_image_get_mode() != rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
                    raise InvalidArgument(f"image '{spec}': it is mirrored by its journal; only "
                                          "images in snapshot mode have mirror snapshots")
            return Target(pool_id, namespace or "", str(opened.id()), image)
