"""Makes images non-primary here, once no client can write to them any more.

librbd only borrows the lock of a client while it demotes an image in snapshot mode.  What the
client has queued meanwhile is written when it has the lock again: acknowledged, and in no snapshot.
"""

import errno
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional

import rados
import rbd

from ..errors import InvalidArgument, MirrorError, ReadOnly
from ..wire import cls_rbd
from ..wire.constants import Feature
from ..wire.header import header_oid
from .access import explaining, open_image, open_pool
from .images import each, in_use, mirrored_images, require_mirrored
from .modes import require_enabled
from .openers import FENCED_SECONDS, Fence, Mirroring, Opener, Openers
from .specs import ImageSpec, PoolSpec

# Commands and schedules have images open for a moment.
_OPEN_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_HAND_OVER_SECONDS = 5.0
_ANSWER_MS = 2000
_HEADER_UPDATE = ""


class Demoted(NamedTuple):
    """:ivar total: how many images were to be demoted
    :ivar failures: those that were not
    :ivar fenced: the clients that were blocklisted for it
    """

    total: int
    failures: Dict[ImageSpec, MirrorError]
    fenced: FrozenSet[Opener]

    @property
    def note(self) -> str:
        """What the user is told of these clients; empty where there are none."""
        if not self.fenced:
            return ""
        return "\n".join([
            f"blocklisted for {FENCED_SECONDS // 3600} h, and so cut off from every image that it "
            "had open; once the client has ended, the command beside it takes it off the list:",
            *(f"{opener}: ceph osd blocklist rm {opener.address}"
              for opener in sorted(self.fenced))])


def demote(cluster: "rados.Rados", spec: ImageSpec, force: bool, mirroring: Mirroring) -> Demoted:
    """Make the image non-primary here, so that another site may promote it.

    Refused while a client has it open for writing, unless `force`: then such clients are
    blocklisted.
    """
    cure = f"ceph rbd-mirror image demote {spec} --force"
    with open_pool(cluster, spec.pool_spec) as ioctx:
        return _demote(cluster, ioctx, spec.pool_spec, [spec], force, mirroring, cure)


def demote_all(cluster: "rados.Rados", spec: PoolSpec, force: bool,
               mirroring: Mirroring) -> Demoted:
    """Demote the images of a pool or namespace that are primary here."""
    cure = f"ceph rbd-mirror pool demote {spec} --force"
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        images = [image for image, found in mirrored_images(ioctx, spec).items() if found.primary]
        return _demote(cluster, ioctx, spec, images, force, mirroring, cure)


def _demote(cluster: "rados.Rados", ioctx: "rados.Ioctx", pool: PoolSpec, images: List[ImageSpec],
            force: bool, mirroring: Mirroring, cure: str) -> Demoted:
    openers = Openers(cluster, pool, mirroring)
    fence = Fence(cluster)
    until = time.monotonic() + _OPEN_SECONDS

    def demote_one(spec: ImageSpec) -> None:
        with open_image(ioctx, spec) as image:
            with explaining(f"image '{spec}'"):
                if not require_mirrored(ioctx, image, spec)["primary"]:
                    raise InvalidArgument(f"image '{spec}': it is not primary here; "
                                          "demote it at the primary site")
            _Demotion(ioctx, image, spec, openers).run(fence if force else None, until, cure)

    failures = each(images, demote_one)
    return Demoted(len(images), failures, frozenset(fence.fenced))


class _Demotion:
    """Of one image, which is primary here."""

    def __init__(self, ioctx: "rados.Ioctx", image: "rbd.Image", spec: ImageSpec,
                 openers: Openers) -> None:
        self._ioctx = ioctx
        self._image = image
        self._spec = spec
        self._openers = openers
        self._header_oid = header_oid(image.id())

    def run(self, fence: Optional[Fence], until: float, cure: str) -> None:
        """Demote it; with a `fence` clients are kept out by that, without it until they close it.

        Raise ReadOnly when they do not until then: what librbd's own demotion gives for a client
        that keeps its lock.
        """
        if fence is None:
            self._wait_until_closed(until, cure)
        with self._lock_taken() if fence is not None and self._found() else nullcontext():
            with self._closed_to_writers():
                if fence is not None:
                    self._fence_out(fence)
                else:
                    self._refuse(self._found(), cure)
                with explaining(f"image '{self._spec}': can't be demoted", {
                        errno.EROFS: in_use(self._spec)}.get):
                    self._image.mirror_image_demote()

    def _found(self) -> List[Opener]:
        return self._openers.of(self._image, self._spec)

    def _wait_until_closed(self, until: float, cure: str) -> None:
        found = self._found()
        while found and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            found = self._found()
        self._refuse(found, cure)

    def _refuse(self, found: List[Opener], cure: str) -> None:
        if not found:
            return
        has, it, is_one = ("has", "it", True) if len(found) == 1 else ("have", "them", False)
        silent = "" if self._all_answer() else (
            f" (if {'that client' if is_one else 'one of these clients'} has died, run the same "
            "again in half a minute)")
        raise ReadOnly(
            f"image '{self._spec}': can't be demoted: {' and '.join(map(str, found))} {has} it "
            "open for writing, and what is written after the demotion would be lost; close it "
            f"there{silent}, or, to have {it} blocklisted, run: {cure}")

    def _all_answer(self) -> bool:
        """Whether every client that has the image open is alive."""
        try:
            self._ioctx.notify(self._header_oid, _HEADER_UPDATE, _ANSWER_MS)
        except rados.Error:
            return False
        return True

    @contextmanager
    def _closed_to_writers(self) -> Iterator[None]:
        """Whoever opens the image from now on can only read it, and who did before is seen.

        It is what librbd's demotion begins with in snapshot mode, brought forward.  In journal mode
        librbd refuses what is written after the demotion.
        """
        with explaining(f"image '{self._spec}'"):
            by_snapshots = (self._image.mirror_image_get_mode()
                            == rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
        if not by_snapshots:
            yield
            return
        self._set_non_primary(True)
        try:
            yield
        except Exception:
            with explaining(f"image '{self._spec}': clients may only read it until it is demoted"):
                if self._image.mirror_image_get_info()["primary"]:
                    self._set_non_primary(False)
                    self._all_answer()  # who opened it meanwhile looks again
            raise

    def _set_non_primary(self, to: bool) -> None:
        call = cls_rbd.set_features(Feature.NON_PRIMARY if to else 0, Feature.NON_PRIMARY)
        with explaining(f"image '{self._spec}': its header can't be changed"):
            self._ioctx.execute(self._header_oid, call.cls, call.method, call.data)

    @contextmanager
    def _lock_taken(self) -> Iterator[None]:
        """Have a live client write what it has cached, and hand its lock over.

        One that does not answer, or does not let go, has to lose it by the blocklist.
        """
        with explaining(f"image '{self._spec}'"):
            has_lock = bool(self._image.features() & rbd.RBD_FEATURE_EXCLUSIVE_LOCK)
        if not (has_lock and self._all_answer()):
            yield
            return

        def take() -> None:
            with suppress(rbd.Error):
                self._image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        taking.join(_HAND_OVER_SECONDS)
        try:
            yield
        finally:
            taking.join()

    def _fence_out(self, fence: Fence) -> None:
        """Blocklist all clients; their watches last until the OSD has heard of it."""
        fenced: List[Opener] = []
        while True:
            found = [opener for opener in self._found() if opener not in fenced]
            if not found:
                return
            for opener in found:
                fence.out(opener)
            fenced += found
