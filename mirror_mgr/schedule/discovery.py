"""Which images of a pool may have mirror snapshots here.

Which are primary is read from their headers, as librbd opens each image for it: with thousands
that takes longer than what is known may be old.
"""

from typing import Any, Dict, FrozenSet, List, NamedTuple, Set, Tuple

import rbd

from ..cluster.connection import Connection
from ..cluster.omap import read_omap, read_omaps
from ..wire.constants import Feature, ImageMode, MirrorImageState
from ..wire.encoding import Decoder
from ..wire.header import MIRRORING, header_oid
from ..wire.mirror import IMAGE_PREFIX, MirrorPool
from .levels import ImageKey


class Image(NamedTuple):
    """An image in snapshot mode.

    :ivar spec: what users call it
    """

    key: ImageKey
    spec: str
    is_primary: bool


class PoolView(NamedTuple):
    """A pool as it is.

    :ivar has_peer: whether there is a site that a snapshot could be of use to
    :ivar gone: which of the images that were asked for are not there any more
    """

    name: str
    has_peer: bool
    images: Tuple[Image, ...]
    gone: FrozenSet[ImageKey]


async def read_pool(connection: Connection, pool_id: int, name: str,
                    known: Set[ImageKey]) -> PoolView:
    """Return the pool's images; of those `known`, also tell which are gone for good."""
    return await connection.run(_read_pool, connection.cluster, pool_id, name, known)


def _read_pool(cluster: Any, pool_id: int, name: str, known: Set[ImageKey]) -> PoolView:
    ioctx = cluster.open_ioctx2(pool_id)
    try:
        has_peer = any(peer["direction"] != rbd.RBD_MIRROR_PEER_DIRECTION_RX
                       for peer in rbd.RBD().mirror_peer_list(ioctx))
        found: List[Image] = []
        there: Set[ImageKey] = set()
        for namespace in ["", *rbd.RBD().namespace_list(ioctx)]:
            ioctx.set_namespace(namespace)
            images = _read_namespace(ioctx, pool_id, name, namespace)
            found += images
            there.update(image.key for image in images)
            unsure = {key for key in known - there if key.namespace == namespace}
            if unsure:
                there |= _existing(ioctx, unsure)
        return PoolView(name, has_peer, tuple(found), frozenset(known - there))
    finally:
        ioctx.close()


def _read_namespace(ioctx: Any, pool_id: int, pool: str, namespace: str) -> List[Image]:
    if rbd.RBD().mirror_mode_get(ioctx) == rbd.RBD_MIRROR_MODE_DISABLED:
        return []
    mirrored = {image_id for image_id, image in MirrorPool.from_omap(
        read_omap(ioctx, MIRRORING, IMAGE_PREFIX)).images.items()
        if image.mode == ImageMode.SNAPSHOT and image.state == MirrorImageState.ENABLED}
    if not mirrored:
        return []
    named = [(entry["id"], entry["name"]) for entry in rbd.RBD().list2(ioctx)
             if entry["id"] in mirrored]
    headers = read_omaps(ioctx, [header_oid(image_id) for image_id, _ in named], "features")
    prefix = f"{pool}/{namespace}/" if namespace else f"{pool}/"
    return [Image(ImageKey(pool_id, namespace, image_id), prefix + name, _is_primary(header))
            for (image_id, name), header in zip(named, headers) if header]


def _is_primary(header: Dict[str, bytes]) -> bool:
    return not Decoder(header["features"]).u64() & Feature.NON_PRIMARY


def _existing(ioctx: Any, images: Set[ImageKey]) -> Set[ImageKey]:
    """Which of these are there, also in the trash, from where they may come back.

    By their headers: an image on its way into the trash or out of it may be in no list.
    """
    keys = sorted(images)
    headers = read_omaps(ioctx, [header_oid(key.image_id) for key in keys], "features")
    return {key for key, header in zip(keys, headers) if header is not None}
