"""Random changes to an image, mirrored round by round, every snapshot compared with the source."""

import random
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import rados
import rbd

from qa.images import checksum, mirror_snapshots, user_snapshots
from qa.sites import Site
from qa.waiting import wait_for

MIB = 1 << 20
_BASE = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
_MAPS = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF | rbd.RBD_FEATURE_DEEP_FLATTEN


@dataclass(frozen=True)
class Layout:
    """How an image is laid out; `size` in bytes, objects of 2**`order` bytes.

    `clone` is the format of a clone, 0 for none; `parents` how many images it stands on, and
    `parent_mode` how they are mirrored.
    """

    name: str
    features: int = _BASE | _MAPS
    order: int = 22
    stripe_unit: int = 0
    stripe_count: int = 0
    data_pool: bool = False
    namespace: str = ""
    size: int = 40 * MIB
    clone: int = 0
    parents: int = 1
    parent_mode: str = "snapshot"


LAYOUTS = (
    Layout("plain"),
    Layout("small-objects-striped", order=20, stripe_unit=65536, stripe_count=4),
    Layout("no-object-map", features=_BASE, namespace="ns"),
    Layout("layering-only", features=rbd.RBD_FEATURE_LAYERING, order=21),
    Layout("data-pool", data_pool=True, order=23),
    Layout("no-fast-diff", features=_BASE | rbd.RBD_FEATURE_OBJECT_MAP, order=18, size=12 * MIB),
    Layout("clone", clone=2, order=20, size=16 * MIB),
    Layout("clone-format-1", features=_BASE | _MAPS & ~rbd.RBD_FEATURE_DEEP_FLATTEN, clone=1,
           order=21, size=16 * MIB),
    Layout("clone-no-object-map", features=_BASE | rbd.RBD_FEATURE_DEEP_FLATTEN, clone=2, order=20,
           size=16 * MIB),
    Layout("clone-of-clone-striped", order=20, stripe_unit=65536, stripe_count=4, data_pool=True,
           namespace="ns", size=16 * MIB, clone=2, parents=2),
)


def in_data_pool(layouts: Sequence[Layout], *names: str) -> List[Layout]:
    """Those with these names, all their data in the data pool."""
    return [replace(layout, data_pool=True) for layout in layouts if layout.name in names]


def prepare(sites: Sequence[Site], pool: str, erasure_coded: bool = False) -> str:
    """Make what LAYOUTS ask for beside the mirrored `pool`; return the name of the data pool.

    An erasure-coded one takes three OSDs at each site.
    """
    data_pool = f"{pool}-data"
    for site in sites:
        if erasure_coded:
            site.create_erasure_coded_pool(data_pool)
        else:
            site.create_pool(data_pool)
        site.rbd("namespace", "create", f"{pool}/ns")
        site.rbd("mirror", "pool", "enable", f"{pool}/ns", "image")
    return data_pool


class Rounds:
    """One image of `layout` in `pool`, changed at `primary` and compared at `copy`.

    All that is random comes from `rng`.  `data_pool` is needed by layouts that ask for one.
    """

    mode = "snapshot"

    def __init__(self, primary: Site, copy: Site, pool: str, name: str, layout: Layout,
                 rng: random.Random, data_pool: Optional[str] = None) -> None:
        self.primary = primary
        self.copy = copy
        self.name = name
        self.layout = layout
        self.rng = rng
        self.history: List[str] = []
        self._pool = pool
        self._data_pool = data_pool
        self._snapshots = 0
        self._clusters: Dict[str, rados.Rados] = {}

    @property
    def spec(self) -> str:
        return "/".join(filter(None, (self._pool, self.layout.namespace, self.name)))

    def reversed(self) -> "Rounds":
        """The same image once it was promoted at the copy's site: changed there from now on."""
        other = type(self)(self.copy, self.primary, self._pool, self.name, self.layout, self.rng)
        other.history = self.history
        other._snapshots = self._snapshots
        return other

    def close(self) -> None:
        for cluster in self._clusters.values():
            cluster.shutdown()
        self._clusters.clear()

    def create(self) -> None:
        """Create the image, with something in it, and enable mirroring."""
        with self._ioctx(self.primary) as ioctx:
            if self.layout.clone:
                self._clone(ioctx)
            else:
                rbd.RBD().create(
                    ioctx, self.name, self.layout.size, order=self.layout.order, old_format=False,
                    features=self.layout.features, **self._striping)
        self.change()
        self.primary.rbd("mirror", "image", "enable", self.spec, self.mode)

    @property
    def _striping(self) -> Dict[str, Any]:
        return dict(stripe_unit=self.layout.stripe_unit, stripe_count=self.layout.stripe_count,
                    data_pool=self._data_pool if self.layout.data_pool else None)

    def _clone(self, ioctx: rados.Ioctx) -> None:
        """Create the image on top of mirrored ones, each with holes and data in it."""
        names = [f"{self.name}-parent-{n}" for n in range(self.layout.parents)] + [self.name]
        rbd.RBD().create(ioctx, names[0], self.layout.size * 3 // 4, order=22, old_format=False,
                         features=_BASE | _MAPS)
        for parent, child in zip(names, names[1:]):
            with rbd.Image(ioctx, parent) as image:
                for _ in range(4):
                    self._write(image)
                image.create_snap("base")
                image.protect_snap("base")
                self._write(image)
            self.primary.rbd("mirror", "image", "enable",
                             self.spec.replace(self.name, parent), self.layout.parent_mode)
            rbd.RBD().clone(ioctx, parent, "base", ioctx, child, features=self.layout.features,
                            order=self.layout.order, **self._striping)

    def change(self, count: Optional[int] = None) -> None:
        """Do some random things to the image at the primary site."""
        with self.image(self.primary) as image:
            for _ in range(self.rng.randint(1, 25) if count is None else count):
                self._operation()(image)

    def snapshot(self) -> int:
        """Make a mirror snapshot; return its id."""
        with self.image(self.primary) as image:
            return int(image.mirror_image_create_snapshot())

    def round(self) -> None:
        """Change, make a mirror snapshot, wait until it is copied, compare everything."""
        self.change()
        self.wait_copied(self.snapshot())
        self.compare()

    def wait_copied(self, snap_id: int) -> None:
        """Wait until the copy holds this mirror snapshot whole."""
        wait_for(lambda: snap_id in self.copied(), self.describe)

    def wait_current(self) -> None:
        """Wait until the copy holds the primary's newest mirror snapshot.

        A new copy may need one that carries its site as peer; the worker has it made.
        """
        wait_for(lambda: self.newest_primary_snapshot() in self.copied(), self.describe)

    def newest_primary_snapshot(self) -> int:
        with self.image(self.primary) as image:
            return mirror_snapshots(image)[-1].id

    def copied(self) -> List[int]:
        """The primary's mirror snapshots that the copy holds complete."""
        try:
            with self.image(self.copy) as image:
                return [s.primary_id for s in mirror_snapshots(image)
                        if s.complete and s.primary_id is not None]
        except rbd.ImageNotFound:
            return []

    def compare(self) -> None:
        """Raise AssertionError unless the copy equals the source in its image and all snapshots.

        The worker may just have had a mirror snapshot made that the copy could start from.
        """
        self.wait_current()
        theirs, newest = self._digests(self.primary, None)
        ours, _ = self._digests(self.copy, newest)
        theirs["HEAD"] = theirs["mirror"]
        assert ours == theirs, f"{self.spec} differs\n{self.describe()}\n{theirs}\n{ours}"

    def digests_at_copy(self) -> Dict[str, str]:
        """Checksums of the copy's image and user snapshots, by name."""
        with self.image(self.copy) as image:
            return self.user_digests(image)

    def describe(self) -> str:
        """All that happened, and how things stand."""
        return "\n".join([
            f"layout {self.layout}", "history: " + "; ".join(self.history),
            self.copy.rbd("mirror", "image", "status", self.spec, check=False),
            *(site.rbd("snap", "ls", "--all", self.spec, check=False)
              for site in (self.primary, self.copy))])

    def _digests(self, site: Site, mirrored: Optional[int]) -> Tuple[Dict[str, str], int]:
        """Checksums by snapshot name; "mirror" is the newest, or the copy of `mirrored`."""
        with self.image(site) as image:
            found = self.user_digests(image)
            mirrors = mirror_snapshots(image)
            newest = mirrors[-1]
            if mirrored is not None:
                newest = next(s for s in mirrors if s.primary_id == mirrored)
            image.set_snap_by_id(newest.id)
            found["mirror"] = _digest(image)
        return found, newest.id

    @staticmethod
    def user_digests(image: rbd.Image) -> Dict[str, str]:
        """Checksums of an open image and its user snapshots, by name."""
        found = {"HEAD": _digest(image)}
        for name in user_snapshots(image):
            image.set_snap(name)
            found[f"@{name}"] = _digest(image)
        return found

    @contextmanager
    def image(self, site: Site) -> Iterator[rbd.Image]:
        """The image at a site, open; for writing where it is primary."""
        with self._ioctx(site) as ioctx:
            with rbd.Image(ioctx, self.name, read_only=site is self.copy) as image:
                yield image

    @contextmanager
    def _ioctx(self, site: Site) -> Iterator[rados.Ioctx]:
        if site.name not in self._clusters:
            self._clusters[site.name] = site.rados()
            self._clusters[site.name].conf_set("rbd_default_clone_format",
                                               str(self.layout.clone or "auto"))
        with self._clusters[site.name].open_ioctx(self._pool) as ioctx:
            ioctx.set_namespace(self.layout.namespace)
            yield ioctx

    # --- the operations -----------------------------------------------------------------------

    def _operation(self) -> Callable[[rbd.Image], None]:
        choices = (
            (self._write, 40), (self._discard, 18), (self._zeroes, 8), (self._discard_object, 8),
            (self._resize, 6), (self._snapshot, 8), (self._remove_snapshot, 4),
            (self._rename_snapshot, 2), (self._protect, 2), (self._rollback, 1),
            (self._metadata, 3), *([(self._flatten, 1)] if self.layout.clone else []))
        return self.rng.choices([c[0] for c in choices], [c[1] for c in choices])[0]

    def _range(self, image: rbd.Image, longest: int) -> Tuple[int, int]:
        size = image.size()
        offset = self.rng.randrange(size)
        if self.rng.random() < 0.5:
            offset -= offset % 4096
        return offset, max(1, min(self.rng.randint(1, longest), size - offset))

    def _write(self, image: rbd.Image) -> None:
        offset, length = self._range(image, self.rng.choice((512, 4096, 70000, 3 * MIB)))
        image.write(self.rng.randbytes(length), offset)
        self.history.append(f"write {offset}~{length}")

    def _discard(self, image: rbd.Image) -> None:
        offset, length = self._range(image, self.rng.choice((4096, 200000, 6 * MIB)))
        image.discard(offset, length)
        self.history.append(f"discard {offset}~{length}")

    def _zeroes(self, image: rbd.Image) -> None:
        offset, length = self._range(image, self.rng.choice((4096, 200000)))
        image.write_zeroes(offset, length)
        self.history.append(f"zero {offset}~{length}")

    def _discard_object(self, image: rbd.Image) -> None:
        size = 1 << self.layout.order
        number = self.rng.randrange(-(-image.size() // size))
        length = min(size, image.size() - number * size)
        image.discard(number * size, length)
        self.history.append(f"discard {number * size}~{length}")

    def _resize(self, image: rbd.Image) -> None:
        size = self.rng.randint(MIB, self.layout.size * 3 // 2)
        image.resize(size)
        self.history.append(f"resize {size}")

    def _snapshot(self, image: rbd.Image) -> None:
        name = self._new_name(image)
        image.create_snap(name)
        self.history.append(f"snapshot {name}")

    def _new_name(self, image: rbd.Image) -> str:
        """One that no snapshot has, whoever made them."""
        names = user_snapshots(image)
        while True:
            self._snapshots += 1
            if f"s{self._snapshots}" not in names:
                return f"s{self._snapshots}"

    def _pick(self, image: rbd.Image) -> Optional[str]:
        names = user_snapshots(image)
        return self.rng.choice(names) if names else None

    def _remove_snapshot(self, image: rbd.Image) -> None:
        name = self._pick(image)
        if name is not None and not image.is_protected_snap(name):
            image.remove_snap(name)
            self.history.append(f"remove {name}")

    def _rename_snapshot(self, image: rbd.Image) -> None:
        name = self._pick(image)
        if name is not None:
            new = self._new_name(image)
            image.rename_snap(name, new)
            self.history.append(f"rename {name} {new}")

    def _protect(self, image: rbd.Image) -> None:
        name = self._pick(image)
        if name is not None:
            if image.is_protected_snap(name):
                image.unprotect_snap(name)
            else:
                image.protect_snap(name)
            self.history.append(f"protect or unprotect {name}")

    def _rollback(self, image: rbd.Image) -> None:
        name = self._pick(image)
        if name is not None:
            image.rollback_to_snap(name)
            self.history.append(f"rollback {name}")

    def _metadata(self, image: rbd.Image) -> None:
        key = f"key{self.rng.randrange(4)}"
        image.metadata_set(key, str(self.rng.random()))
        self.history.append(f"metadata {key}")

    def _flatten(self, image: rbd.Image) -> None:
        if image.overlap():
            image.flatten()
            self.history.append("flatten")


def _digest(image: rbd.Image) -> str:
    """What an open image shows, and how much of it may come from a parent."""
    return f"{checksum(image)} {image.overlap()}"
