"""Makes images primary here, unless that would lose or fork data."""

import errno
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import rados
import rbd

from ..errors import Busy, DeadlineExceeded, InvalidArgument, MalformedData, MirrorError
from ..wire.header import ImageHeader
from ..worker.protocol import ImageReport
from . import forks, headers, mirrored, names, namespaces, sites
from .access import explaining, open_image, open_pool
from .images import each, is_mirrored, mirrored_images, require_mirrored, together
from .modes import require_enabled
from .peer_probe import LookAtImages, Sight
from .peers import login_of_source
from .specs import ImageSpec, PoolSpec

# Promotes images by force, and returns what failed.
Forced = Callable[[List[ImageSpec]], Dict[ImageSpec, MirrorError]]


def promote(cluster: "rados.Rados", spec: ImageSpec, force: bool, forced: Forced,
            look: LookAtImages, reports: Sequence[ImageReport] = ()) -> None:
    """Make the image primary here; `reports` are as `names.require_free` has them.

    Raise Busy while it is primary elsewhere, or was since it was demoted here, unless `force`: then
    `forced` does it.
    """
    with open_pool(cluster, spec.pool_spec) as ioctx:
        with open_image(ioctx, spec, read_only=True) as image, explaining(f"image '{spec}'"):
            if not is_mirrored(image):
                names.require_free(spec, reports)
            info = require_mirrored(ioctx, image, spec)
            if info["primary"]:
                raise InvalidArgument(f"image '{spec}': it is primary here already")
        images = {spec: str(info["global_id"])}
        failures = forced([spec]) if force else _promote(ioctx, spec.pool_spec, images, look)
        _tell(ioctx, images, failures)
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
        if not images:
            return 0, {}
        failures = forced(list(images)) if force else _promote(ioctx, spec, images, look)
        _tell(ioctx, images, failures)
    return len(images), failures


def _tell(ioctx: "rados.Ioctx", images: Dict[ImageSpec, str],
          failures: Dict[ImageSpec, MirrorError]) -> None:
    """Have the statuses say that images were promoted.  Where that fails, a worker will."""
    def tell(spec: ImageSpec) -> None:
        with explaining(f"image '{spec}': can't tell that it was promoted"):
            mirrored.tell_promoted(ioctx, images[spec])

    each([spec for spec in images if spec not in failures], tell)


def _promote(ioctx: "rados.Ioctx", pool: PoolSpec, images: Dict[ImageSpec, str],
             look: LookAtImages) -> Dict[ImageSpec, MirrorError]:
    """Promote images, given with their global ids, that no other site has newer data of."""
    mirror_uuid = sites.mirror_uuid(ioctx)
    sight = _look(ioctx, pool, images, look)

    def promote_unforked(spec: ImageSpec) -> None:
        with open_image(ioctx, spec) as image:
            header = _header(ioctx, image, spec)
            if forks.is_behind(header):
                raise Busy(f"image '{spec}': can't be promoted: {_not_come_over(spec)}")
            here = forks.Side(mirror_uuid, forks.marks(header))
            if not here.marks or forks.is_demoted(here):
                _refuse_fork(spec, images[spec], here, sight)
            promote_opened(image, spec, force=False)

    return each(list(images), promote_unforked)


def _header(ioctx: "rados.Ioctx", image: "rbd.Image", spec: ImageSpec) -> ImageHeader:
    """As it is now: while a worker removes older snapshots librbd lists some and finds them not."""
    with explaining(f"image '{spec}'"):
        header = headers.read(ioctx, [image.id()]).get(image.id())
    if header is None:
        raise MalformedData(f"image '{spec}': its header can't be read")
    return header


def _look(ioctx: "rados.Ioctx", pool: PoolSpec, images: Dict[ImageSpec, str],
          look: LookAtImages) -> Optional[Sight]:
    """What the peer has of the images; None where there is none, or it does not answer."""
    login = login_of_source(ioctx, pool)
    if login is None:
        return Sight()
    try:
        sight = look(login, pool.pool, namespaces.remote(ioctx, pool), tuple(images.values()))
    except DeadlineExceeded:
        return None
    return None if sight.errno else sight


def _refuse_fork(spec: ImageSpec, global_id: str, here: forks.Side,
                 sight: Optional[Sight]) -> None:
    if sight is None:
        fork = forks.why_not_unseen(here)
    else:
        seen = sight.images.get(global_id)
        fork = forks.why_not(here, forks.Side(sight.mirror_uuid, seen.marks),
                             seen.primary) if seen else None
    if fork is not None:
        raise Busy(f"image '{spec}': can't be promoted: {fork.reason}; {fork.cure}, or, to "
                   "give up what that site has, run: "
                   f"ceph rbd-mirror image promote {spec} --force")


def _not_come_over(spec: ImageSpec) -> str:
    return ("it is primary at another site, or its demotion there has not come over yet; demote it "
            "there and wait for the last sync, or, if that site is lost, run: "
            f"ceph rbd-mirror image promote {spec} --force")


def promote_opened(image: "rbd.Image", spec: ImageSpec, force: bool) -> None:
    """With `force` this is for a process that may die: librbd 16.2.15 can crash in it."""
    with explaining(f"image '{spec}': can't be promoted", {
            errno.EBUSY: _not_come_over(spec)}.get):
        image.mirror_image_promote(force)
