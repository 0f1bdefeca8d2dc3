"""Makes images primary here, unless that would lose or fork data."""

import errno
from datetime import timezone
from typing import Any, Callable, Dict, List, Optional, Tuple

import rados
import rbd

from ..errors import Busy, DeadlineExceeded, InvalidArgument, MirrorError
from ..wire.constants import SnapState
from . import forks
from .access import explaining, open_image, open_pool
from .images import each, mirrored_images, require_mirrored, together
from .modes import require_enabled
from .peer_probe import LookAtImages, Sight
from .peers import login_of_source
from .specs import ImageSpec, PoolSpec

# Promotes images by force, and returns what failed.
Forced = Callable[[List[ImageSpec]], Dict[ImageSpec, MirrorError]]


def promote(cluster: "rados.Rados", spec: ImageSpec, force: bool, forced: Forced,
            look: LookAtImages) -> None:
    """Make the image primary here.

    Raise Busy while it is primary elsewhere, or was since it was demoted here, unless `force`: then
    `forced` does it.
    """
    with open_pool(cluster, spec.pool_spec) as ioctx:
        with open_image(ioctx, spec, read_only=True) as image, explaining(f"image '{spec}'"):
            info = require_mirrored(ioctx, image, spec)
            if info["primary"]:
                raise InvalidArgument(f"image '{spec}': it is primary here already")
        failures = forced([spec]) if force else _promote(
            ioctx, spec.pool_spec, {spec: str(info["global_id"])}, look)
    if failures:
        raise together(failures)


def promote_all(cluster: "rados.Rados", spec: PoolSpec, force: bool, forced: Forced,
                look: LookAtImages) -> Tuple[int, Dict[ImageSpec, MirrorError]]:
    """Promote the images of a pool or namespace that are not primary here.

    Return how many there were, and what failed.
    """
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        images = {image: found.global_id for image, found in mirrored_images(ioctx, spec).items()
                  if not found.primary}
        if images and not force:
            return len(images), _promote(ioctx, spec, images, look)
    return len(images), forced(list(images)) if images else {}


def _promote(ioctx: "rados.Ioctx", pool: PoolSpec, images: Dict[ImageSpec, str],
             look: LookAtImages) -> Dict[ImageSpec, MirrorError]:
    """Promote images, given with their global ids, that no other site has newer data of."""
    mirror_uuid = rbd.RBD().mirror_uuid_get(ioctx)
    sight = _look(ioctx, pool, images, look)

    def promote_unforked(spec: ImageSpec) -> None:
        with open_image(ioctx, spec) as image:
            with explaining(f"image '{spec}'"):
                snapshots = _mirror_snapshots(image)
                here = forks.Side(mirror_uuid, _marks(image, snapshots))
            if snapshots and forks.is_behind(*_state(snapshots[-1])):
                raise Busy(f"image '{spec}': can't be promoted: {_not_come_over(spec)}")
            if forks.is_demoted(here):
                _refuse_fork(spec, images[spec], here, sight)
            _promote_opened(image, spec, force=False)

    return each(list(images), promote_unforked)


def _look(ioctx: "rados.Ioctx", pool: PoolSpec, images: Dict[ImageSpec, str],
          look: LookAtImages) -> Optional[Sight]:
    """What the peer has of the images; None where there is none, or it does not answer."""
    login = login_of_source(ioctx, pool)
    if login is None:
        return Sight()
    try:
        sight = look(login, pool.pool, pool.namespace, tuple(images.values()))
    except DeadlineExceeded:
        return None
    return None if sight.errno else sight


def _refuse_fork(spec: ImageSpec, global_id: str, here: forks.Side,
                 sight: Optional[Sight]) -> None:
    if sight is not None:
        seen = sight.images.get(global_id)
        reason = forks.why_not(here, forks.Side(sight.mirror_uuid, seen.marks)) if seen else ""
    else:
        reason = forks.why_not_unseen(here)
    if reason:
        raise Busy(f"image '{spec}': can't be promoted: {reason}; wait for the last sync, or, to "
                   "give up what that site has, run: "
                   f"ceph rbd-mirror image promote {spec} --force")


def _mirror_snapshots(image: "rbd.Image") -> List[Dict[str, Any]]:
    """Those of an open image, oldest first."""
    return sorted((one for one in image.list_snaps() if one.get("mirror") is not None),
                  key=lambda one: int(one["id"]))


def _state(snapshot: Dict[str, Any]) -> Tuple[SnapState, bool]:
    """What a mirror snapshot is, and whether it is complete."""
    facts = snapshot["mirror"]
    return SnapState(facts["state"]), bool(facts["complete"])


def _not_come_over(spec: ImageSpec) -> str:
    return ("it is primary at another site, or its demotion there has not come over yet; demote it "
            "there and wait for the last sync, or, if that site is lost, run: "
            f"ceph rbd-mirror image promote {spec} --force")


def _marks(image: "rbd.Image", snapshots: List[Dict[str, Any]]) -> Tuple[forks.Mark, ...]:
    """The complete ones of the mirror snapshots of an open image."""
    found = []
    for snapshot in snapshots:
        state, complete = _state(snapshot)
        if complete:
            facts = snapshot["mirror"]
            made = image.get_snap_timestamp(snapshot["id"]).replace(tzinfo=timezone.utc)
            found.append(forks.Mark(
                snapshot["id"], state, facts["primary_mirror_uuid"],
                facts["primary_snap_id"], made.timestamp()))
    return tuple(found)


def promote_one(ioctx: "rados.Ioctx", spec: ImageSpec, force: bool) -> None:
    """With `force` this is for a process that may die: librbd 16.2.15 can crash in it."""
    with open_image(ioctx, spec) as image:
        _promote_opened(image, spec, force)


def _promote_opened(image: "rbd.Image", spec: ImageSpec, force: bool) -> None:
    with explaining(f"image '{spec}': can't be promoted", {
            errno.EBUSY: _not_come_over(spec)}.get):
        image.mirror_image_promote(force)
