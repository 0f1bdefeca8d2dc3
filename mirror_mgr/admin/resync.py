"""Has a copy made anew, where there is something to make it from."""

import errno

import rados
import rbd

from ..errors import InvalidArgument, MirrorError, NotPermitted
from .access import explaining, open_image, open_pool
from .images import require_mirrored
from .peer_probe import LookAtImages
from .peers import see_image
from .specs import ImageSpec


def resync(cluster: "rados.Rados", spec: ImageSpec, force: bool, look: LookAtImages) -> str:
    """Flag the image, so that what replays it deletes the copy and makes it anew.

    Return its global id.  Raise InvalidArgument if the image is primary here; NotPermitted, unless
    `force`, if the peer site cannot be seen to have it as primary: people have lost their only good
    copy so.
    """
    with open_pool(cluster, spec.pool_spec) as ioctx, open_image(ioctx, spec) as image:
        with explaining(f"image '{spec}'"):
            info = require_mirrored(ioctx, image, spec)
            if info["primary"]:
                raise InvalidArgument(f"image '{spec}': it is primary here, so there is nothing "
                                      f"to make it from; to give its data up, first run: "
                                      f"ceph rbd-mirror image demote {spec}")
        if not force:
            reason = _why_not(ioctx, spec, str(info["global_id"]), look)
            if reason:
                raise NotPermitted(
                    f"image '{spec}': {reason}; the copy here may be the only good one. To make "
                    f"it anew all the same: ceph rbd-mirror image resync {spec} --force")
        try:
            with explaining(f"image '{spec}': can't be flagged for resync"):
                image.mirror_image_resync()
        except MirrorError as error:
            # A client that is gone did not hear of the flag.  Who replays looks for it as well.
            if error.errno != errno.ETIMEDOUT or not _is_flagged(image):
                raise
    return str(info["global_id"])


def _is_flagged(image: "rbd.Image") -> bool:
    return any(key.startswith(".rbd_mirror.") and "resync_requested" in value
               for key, value in image.metadata_list())


def _why_not(ioctx: "rados.Ioctx", spec: ImageSpec, global_id: str, look: LookAtImages) -> str:
    """Return why the peer is not known to have a primary of it; empty if it is."""
    sight = see_image(ioctx, spec.pool_spec, global_id, look)
    if isinstance(sight, str):
        return sight
    return "" if sight.images[global_id].primary else "it is not primary at the peer site either"
