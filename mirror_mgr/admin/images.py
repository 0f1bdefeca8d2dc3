"""Mirroring of single images, as librbd offers it."""

import errno
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import rados
import rbd

from ..errors import Busy, InvalidArgument, MirrorError, from_errno
from ..wire.constants import Feature
from ..worker.protocol import ImageReport
from . import names
from .access import explaining, open_image, open_pool
from .modes import MIRRORED, read_mode
from .specs import ImageSpec, PoolSpec
from .words import IMAGE_MODES, word

_IN_POOL_MODE = "its pool is in pool mode, which mirrors images that have the feature journaling"
_AT_ONCE = 100  # each waits for monitors, which serve those that come together at a time


def enable(cluster: "rados.Rados", spec: ImageSpec, mode: str,
           reports: Sequence[ImageReport] = ()) -> None:
    """Mirror the image in ``journal`` or ``snapshot`` mode, with this site as its primary.

    An image that is mirrored so already is no error.  `reports` are as `names.require_free` has
    them.
    """
    if mode not in IMAGE_MODES:
        raise InvalidArgument(f"mode {mode!r}: must be 'journal' or 'snapshot'")
    with open_pool(cluster, spec.pool_spec) as ioctx, open_image(ioctx, spec) as image:
        def why(number: int) -> Optional[str]:
            if is_left_copy(image):
                return _left_copy(spec)
            if number == errno.EROFS:
                if is_mirrored(image) and not image.mirror_image_get_info()["primary"]:
                    return "another site is its primary; change there what is to change"
                return in_use(spec)
            return _why_not_enabled(ioctx, spec, image, mode) if number == errno.EINVAL else None

        with explaining(f"image '{spec}': can't be mirrored in {mode} mode", why):
            if not is_mirrored(image):
                names.require_free(spec, reports)
            image.mirror_image_enable(IMAGE_MODES[mode])


def _why_not_enabled(ioctx: "rados.Ioctx", spec: ImageSpec, image: "rbd.Image",
                     mode: str) -> Optional[str]:
    pool_mode = read_mode(ioctx, spec.pool_spec)
    if pool_mode not in MIRRORED:
        return _not_enabled_above(spec)
    if pool_mode == "pool":
        return (f"{_IN_POOL_MODE}; run: rbd feature enable {spec} journaling, or first: "
                f"ceph rbd-mirror pool enable {spec.pool_spec} image")
    if is_mirrored(image) and image.mirror_image_get_mode() != IMAGE_MODES[mode]:
        current = word(IMAGE_MODES, image.mirror_image_get_mode())
        return (f"it is mirrored in {current} mode; to change that, first run: "
                f"ceph rbd-mirror image disable {spec}")
    parent = _parent(image)
    if parent is not None:
        return ("it is a clone, and its parent has to be mirrored first: "
                f"ceph rbd-mirror image enable {parent} {mode}")
    return None


def _parent(image: "rbd.Image") -> Optional[ImageSpec]:
    try:
        found = image.get_parent_image_spec()
    except rbd.ImageNotFound:  # it has none
        return None
    return ImageSpec(found["pool_name"], found["pool_namespace"], found["image_name"])


def in_use(spec: ImageSpec) -> str:
    """Why librbd refuses what it can't do without the image's lock."""
    return ("a client has it open and does not let go of its lock; close it there first: "
            f"rbd lock ls {spec} says who it is")


def _not_enabled_above(spec: ImageSpec) -> str:
    where = "namespace" if spec.namespace else "pool"
    return (f"mirroring is not enabled on the {where}; "
            f"run: ceph rbd-mirror pool enable {spec.pool_spec} image")


def disable(cluster: "rados.Rados", spec: ImageSpec, force: bool = False) -> None:
    """End mirroring of the image; one that is not mirrored is no error.

    Raise InvalidArgument if it is not primary, unless `force`.
    """
    with open_pool(cluster, spec.pool_spec) as ioctx:
        _disable(ioctx, spec, force)


def _disable(ioctx: "rados.Ioctx", spec: ImageSpec, force: bool) -> None:
    with open_image(ioctx, spec) as image:
        def why(number: int) -> Optional[str]:
            if number == errno.EBUSY:
                return _clones_are_mirrored(image)
            if number != errno.EINVAL:
                return None
            pool_mode = read_mode(ioctx, spec.pool_spec)
            if pool_mode not in MIRRORED:
                return _not_enabled_above(spec)
            if pool_mode == "pool":
                return (f"{_IN_POOL_MODE}; run: rbd feature disable {spec} journaling, or first: "
                        f"ceph rbd-mirror pool enable {spec.pool_spec} image")
            if not force and not image.mirror_image_get_info()["primary"]:
                return ("it is not primary here; disable it at the primary site, or run: "
                        f"ceph rbd-mirror image disable {spec} --force")
            return None

        with explaining(f"image '{spec}': can't disable mirroring", why):
            image.mirror_image_disable(force)


def _clones_are_mirrored(image: "rbd.Image") -> str:
    clones = sorted(str(ImageSpec(clone["pool"], clone["pool_namespace"], clone["image"]))
                    for clone in image.list_children2())
    return ("clones of it are mirrored still; first run: ceph rbd-mirror image disable CLONE; "
            f"{some(clones)} cloned from it")


def snapshot(cluster: "rados.Rados", spec: ImageSpec) -> int:
    """Take a mirror snapshot of a primary image in snapshot mode and return its id."""
    with open_pool(cluster, spec.pool_spec) as ioctx, open_image(ioctx, spec) as image:
        with explaining(f"image '{spec}'"):
            require_mirrored(ioctx, image, spec)
            if image.mirror_image_get_mode() != rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
                raise InvalidArgument(f"image '{spec}': it is mirrored by its journal; only "
                                      "images in snapshot mode have mirror snapshots")
        with explaining(f"image '{spec}': can't take a mirror snapshot", {
                errno.EINVAL: "it is not primary here; take it at the primary site"}.get):
            return int(image.mirror_image_create_snapshot())


def is_mirrored(image: "rbd.Image") -> bool:
    return bool(image.mirror_image_get_info()["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED)


def is_left_copy(image: "rbd.Image") -> bool:
    """Whether it is what mirroring made and gave up, like a copy that came out of the trash."""
    return bool(image.features() & Feature.NON_PRIMARY) and not is_mirrored(image)


def _left_copy(spec: ImageSpec) -> str:
    return ("it is a copy that is mirrored no more, and read-only; to make it an ordinary image, "
            f"run: ceph rbd-mirror image restore {spec}")


def require_mirrored(ioctx: "rados.Ioctx", image: "rbd.Image",
                     spec: ImageSpec) -> Dict[str, object]:
    """Return librbd's mirror image info; raise InvalidArgument unless the image is mirrored."""
    info = image.mirror_image_get_info()
    if info["state"] != rbd.RBD_MIRROR_IMAGE_ENABLED:
        if is_left_copy(image):
            raise InvalidArgument(f"image '{spec}': {_left_copy(spec)}")
        pool_mode = read_mode(ioctx, spec.pool_spec)
        if pool_mode == "image":
            cure = f"run: ceph rbd-mirror image enable {spec} snapshot"
        elif pool_mode == "pool":
            cure = f"{_IN_POOL_MODE}; run: rbd feature enable {spec} journaling"
        else:
            cure = f"first run: ceph rbd-mirror pool enable {spec.pool_spec} image"
        raise InvalidArgument(f"image '{spec}': mirroring is not enabled on it; {cure}")
    return dict(info)


def all_primary(ioctx: "rados.Ioctx", spec: PoolSpec) -> List[ImageSpec]:
    """Return the mirrored images; raise InvalidArgument if one of them is not primary here."""
    mirrored = mirrored_images(ioctx, spec)
    foreign = sorted(str(image) for image, found in mirrored.items() if not found.primary)
    if foreign:
        raise InvalidArgument(
            f"pool '{spec}': {some(foreign)} not primary here: disable mirroring at the primary "
            "site first, or on each image by: ceph rbd-mirror image disable IMAGE --force")
    return list(mirrored)


def disable_all(ioctx: "rados.Ioctx", images: List[ImageSpec]) -> None:
    """End mirroring of these images; raise what failed, when all the others are done.

    A parent is busy as long as its clones are mirrored: it has its turn after them.
    """
    left = images
    while left:
        failures = each(left, lambda image: _disable(ioctx, image, force=False))
        busy = [image for image, error in failures.items() if isinstance(error, Busy)]
        if len(busy) < len(failures) or len(busy) == len(left):
            raise together(failures)
        left = busy


class MirroredImage(NamedTuple):
    """What is known of an image without opening it; `primary`: here."""

    global_id: str
    primary: bool


def mirrored_images(ioctx: "rados.Ioctx", spec: PoolSpec) -> Dict[ImageSpec, MirroredImage]:
    """Return the mirrored images of a pool or namespace."""
    with explaining(f"pool '{spec}': can't list its images"):
        names = {entry["id"]: entry["name"] for entry in rbd.RBD().list2(ioctx)}
        return {ImageSpec(spec.pool, spec.namespace, names[image_id]):
                MirroredImage(info["global_id"], bool(info["primary"]))
                for image_id, info in rbd.RBD().mirror_image_info_list(ioctx)
                if image_id in names and info["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED}


def each(images: List[ImageSpec],
         action: Callable[[ImageSpec], None]) -> Dict[ImageSpec, MirrorError]:
    """Do `action` on all images, many at once; return what failed."""
    def attempt(image: ImageSpec) -> Optional[MirrorError]:
        try:
            action(image)
        except MirrorError as error:
            return error
        return None

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        results = zip(images, threads.map(attempt, images))
        return {image: error for image, error in results if error is not None}


def together(failures: Dict[ImageSpec, MirrorError]) -> MirrorError:
    """Return one error that names every image, with the errno of the first.

    What is the same for many images is said once.
    """
    first = next(iter(failures.values()))
    if len(failures) == 1:
        return first
    named: Dict[str, List[str]] = {}
    for spec, error in failures.items():
        named.setdefault(error.message.replace(str(spec), "IMAGE"), []).append(str(spec))
    return from_errno(first.errno, "\n".join(
        f"{text}\nimages: {', '.join(sorted(names))}" for text, names in named.items()))


def some(names: List[str]) -> str:
    """Return the first of these names, how many more there are, and the verb: "a, b are"."""
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"
