"""The header of an image, and the names of the objects that belong to it."""

from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional, Tuple

from ..errors import MalformedData
from .constants import NO_POOL, NO_SNAP_LIMIT, Feature, HeaderFlag, OpFeature
from .encoding import Decoder
from .snapshot import MirrorNamespace, Snapshot, UserNamespace

DIRECTORY = "rbd_directory"
MIRRORING = "rbd_mirroring"
LEADER = "rbd_mirror_leader"
CHILDREN = "rbd_children"
NAMESPACES = "rbd_namespace"
TRASH = "rbd_trash"
INFO = "rbd_info"

_SNAPSHOT = "snapshot_"
_METADATA = "metadata_"
_HIGHEST_ORDER = 25


def header_oid(image_id: str) -> str:
    return f"rbd_header.{image_id}"


def id_oid(name: str) -> str:
    return f"rbd_id.{name}"


def object_map_oid(image_id: str, snap_id: Optional[int] = None) -> str:
    """Name the map of the image itself, or of its snapshot ``snap_id``."""
    head = f"rbd_object_map.{image_id}"
    return head if snap_id is None else f"{head}.{snap_id:016x}"


def image_state_oid(image_id: str, snap_id: int, index: int) -> str:
    """Name object ``index`` of the image state of a mirror snapshot."""
    return f"rbd_mirror_snapshot.{image_id}.{snap_id}.{index}"


def data_prefix(image_id: str, image_pool_id: Optional[int] = None) -> str:
    """Return the object prefix of a new image.

    ``image_pool_id`` is the pool of its header, given only when its data is in another pool.
    """
    if image_pool_id is None:
        return f"rbd_data.{image_id}"
    return f"rbd_data.{image_pool_id}.{image_id}"


@dataclass(frozen=True)
class ParentLink:
    """``cls_rbd_parent``: which snapshot a clone stands on.

    ``head_overlap`` in bytes; None when the image itself is flattened and only snapshots of it
    still need the parent.
    """

    pool_id: int
    namespace: str
    image_id: str
    snap_id: int
    head_overlap: Optional[int] = None

    @classmethod
    def decode(cls, data: bytes) -> "ParentLink":
        """Given the ``parent`` value of a header's omap (versions 1 and 2), return the link."""
        version, body = Decoder(data).struct(2)
        return cls(
            pool_id=body.s64(),
            namespace=body.string() if version >= 2 else "",
            image_id=body.string(),
            snap_id=body.u64(),
            head_overlap=body.optional(Decoder.u64) if version >= 2 else body.u64())


@dataclass(frozen=True)
class ImageHeader:
    """All that the omap of ``rbd_header.<id>`` says of an image.

    ``size`` and ``stripe_unit`` in bytes; an object has 2**``order`` bytes.  ``data_pool_id`` is
    -1 for an image whose data is in its own pool.  ``snapshots`` ascend by id.
    """

    size: int
    order: int
    features: Feature
    object_prefix: str
    flags: HeaderFlag = HeaderFlag(0)
    stripe_unit: int = 0
    stripe_count: int = 1
    data_pool_id: int = NO_POOL
    snap_seq: int = 0
    snap_limit: int = NO_SNAP_LIMIT
    op_features: OpFeature = OpFeature(0)
    parent: Optional[ParentLink] = None
    snapshots: Tuple[Snapshot, ...] = ()
    metadata: Dict[str, bytes] = field(default_factory=dict, hash=False)

    @classmethod
    def from_omap(cls, omap: Mapping[str, bytes]) -> "ImageHeader":
        """Given every key of a header's omap, return the header.

        Keys and values as ``cls_rbd`` of releases 16 to 20 writes them.  Raise MalformedData
        when one is missing that every image has, or does not decode.
        """
        order = _required(omap, "order").u8()
        stripe_unit = _u64(omap, "stripe_unit", 1 << order)
        stripe_count = _u64(omap, "stripe_count", 1)
        _check_layout(order, stripe_unit, stripe_count)
        parent = omap.get("parent")
        snapshots = (Snapshot.decode(value) for key, value in omap.items()
                     if key.startswith(_SNAPSHOT))
        return cls(
            size=_required(omap, "size").u64(),
            order=order,
            features=Feature(_required(omap, "features").u64()),
            object_prefix=_required(omap, "object_prefix").string(),
            flags=HeaderFlag(_u64(omap, "flags", 0)),
            stripe_unit=stripe_unit,
            stripe_count=stripe_count,
            data_pool_id=(Decoder(omap["data_pool_id"]).s64() if "data_pool_id" in omap
                          else NO_POOL),
            snap_seq=_u64(omap, "snap_seq", 0),
            snap_limit=_u64(omap, "snap_limit", NO_SNAP_LIMIT),
            op_features=OpFeature(_u64(omap, "op_features", 0)),
            parent=None if parent is None else ParentLink.decode(parent),
            snapshots=tuple(sorted(snapshots, key=lambda snapshot: snapshot.id)),
            metadata={key[len(_METADATA):]: value for key, value in omap.items()
                      if key.startswith(_METADATA)})

    @property
    def mirror_snapshots(self) -> Tuple[Snapshot, ...]:
        return tuple(s for s in self.snapshots if isinstance(s.namespace, MirrorNamespace))

    @property
    def user_snapshots(self) -> Tuple[Snapshot, ...]:
        return tuple(s for s in self.snapshots if isinstance(s.namespace, UserNamespace))

    @property
    def snap_ids(self) -> Tuple[int, ...]:
        return tuple(s.id for s in self.snapshots)

    @property
    def object_size(self) -> int:
        return 1 << self.order

    def snapshot(self, snap_id: int) -> Optional[Snapshot]:
        return next((s for s in self.snapshots if s.id == snap_id), None)

    def object_count(self, size: int) -> int:
        """Return how many objects an image of ``size`` bytes has with this striping."""
        period = self.object_size * self.stripe_count
        full, rest = divmod(size, period)
        stripes = -(-rest // (self.stripe_unit or self.object_size))
        return full * self.stripe_count + min(self.stripe_count, stripes)

    @property
    def max_object_count(self) -> int:
        """The highest object count that the image or any snapshot of it has."""
        return max(self.object_count(size) for size in
                   (self.size, *(snapshot.size for snapshot in self.snapshots)))

    def data_object(self, number: int) -> str:
        return f"{self.object_prefix}.{number:016x}"


def _check_layout(order: int, stripe_unit: int, stripe_count: int) -> None:
    """As librbd does (``image/CreateRequest.cc``)."""
    if order > _HIGHEST_ORDER:
        raise MalformedData(f"image of objects of 2**{order} bytes")
    if not stripe_unit or (1 << order) % stripe_unit or not stripe_count:
        raise MalformedData(f"image of {stripe_count} stripes of {stripe_unit} bytes in objects "
                            f"of {1 << order}")


def _required(omap: Mapping[str, bytes], key: str) -> Decoder:
    if key not in omap:
        raise MalformedData(f"image header has no '{key}'")
    return Decoder(omap[key])


def _u64(omap: Mapping[str, bytes], key: str, default: int) -> int:
    return Decoder(omap[key]).u64() if key in omap else default
