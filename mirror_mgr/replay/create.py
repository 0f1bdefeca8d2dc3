"""Makes the local image that a mirrored image is copied into, and removes what a failed try left.

Order and states are those of the C++ daemon: the mirror image is `creating` until its first mirror
snapshot and image state are there, so whoever finds it in that state may start over.
"""

import secrets
from typing import Optional

from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import AlreadyExists, NotFound
from ..wire import cls_rbd
from ..wire.constants import NO_POOL, Feature, ImageMode, MirrorImageState, OpFeature
from ..wire.header import (
    DIRECTORY,
    MIRRORING,
    ImageHeader,
    ParentLink,
    data_prefix,
    header_oid,
    id_oid,
    object_map_oid,
)
from ..wire.mirror import MirrorImage
from . import children
from .image import Copy, Image

_NOT_COPIED = (Feature.JOURNALING | Feature.NON_PRIMARY | Feature.OPERATIONS | Feature.MIGRATING
               | Feature.DATA_POOL)


async def create(pool: Pool, source: Image, header: ImageHeader, global_id: str,
                 name: str, parent: Optional[ParentLink] = None) -> Copy:
    """Create the copy of a remote image, empty and non-primary; return it.

    `parent` is what it is to be a clone of here.  Raise AlreadyExists when an image that is no
    copy of this one has the name.
    """
    copy = Copy(pool, new_id(pool))
    await pool.call(MIRRORING, cls_rbd.mirror_image_set(copy.id, MirrorImage(
        global_id, MirrorImageState.CREATING, ImageMode.SNAPSHOT)))
    try:
        await add_to_directory(pool, name, copy.id)
    except AlreadyExists:
        await forget(pool, copy.id, global_id)
        raise
    await create_header(copy, source, header, header.features & ~_NOT_COPIED, parent)
    await pool.call(copy.header_oid, cls_rbd.set_features(
        Feature.NON_PRIMARY, Feature.NON_PRIMARY))
    return copy


def new_id(pool: Pool) -> str:
    """An id that no image of the site has."""
    return f"{pool.connection.instance_id:x}{secrets.token_hex(6)}"


async def enable(copy: Copy, global_id: str) -> None:
    """The first snapshot and its state are there: from now on the image counts as mirrored."""
    await copy.pool.call(MIRRORING, cls_rbd.mirror_image_set(copy.id, MirrorImage(
        global_id, MirrorImageState.ENABLED, ImageMode.SNAPSHOT)))


async def discard(pool: Pool, image_id: str, global_id: str, name: str) -> None:
    """Remove what a failed creation of the copy `name` left.  May be repeated.

    It has no snapshot yet, and data is written only after the first.
    """
    await remove_empty(pool, image_id, name)
    await forget(pool, image_id, global_id)


async def remove_empty(pool: Pool, image_id: str, name: str) -> None:
    """Remove all objects of an image that holds no data and has no snapshot."""
    if await Image(pool, image_id).has_name(name):
        await pool.remove(id_oid(name))
    try:
        await pool.call(DIRECTORY, cls_rbd.dir_remove_image(name, image_id))
    except NotFound:
        pass
    await pool.remove(object_map_oid(image_id))
    left = await Image(pool, image_id).header()
    if left is not None:
        await children.release(pool, image_id, left)
    await pool.remove(header_oid(image_id))


async def require_free(pool: Pool, name: str) -> None:
    """Raise AlreadyExists, with what to do, when an image has the name."""
    if await pool.stat(id_oid(name)) is not None:
        raise _taken(name)


async def add_to_directory(pool: Pool, name: str, image_id: str) -> None:
    """Give the name to an image; raise AlreadyExists, with what to do, when another has it."""
    try:
        # First: a daemon can clear away what is in the directory, but no name that leads nowhere.
        await pool.call(DIRECTORY, cls_rbd.dir_add_image(name, image_id))
    except AlreadyExists:
        raise _taken(name) from None
    try:
        await Image(pool, image_id).claim_name(name)
    except AlreadyExists:
        await pool.call(DIRECTORY, cls_rbd.dir_remove_image(name, image_id))
        raise _taken(name) from None


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"image {name!r} exists here and is not a copy of the mirrored image; "
                         "rename or remove it")


async def create_header(copy: Copy, source: Image, header: ImageHeader, features: Feature,
                        parent: Optional[ParentLink] = None) -> None:
    """Create the header, and the object map if that is among the features.

    Where the data goes is decided here, whatever `features` say of it.
    """
    pool = copy.pool
    # The first snapshot to be copied may show more of the parent than the image now has room for.
    size = max(header.size, (parent.head_overlap or 0) if parent else 0)
    data_pool_id = _data_pool(pool, source, header)
    features &= ~Feature.DATA_POOL
    prefix = data_prefix(copy.id)
    if data_pool_id is not None:
        features |= Feature.DATA_POOL
        prefix = data_prefix(copy.id, pool.pool_id)
    await pool.operate(copy.header_oid, Operation().create(exclusive=True).call(cls_rbd.create(
        size, header.order, features, prefix,
        NO_POOL if data_pool_id is None else data_pool_id)))
    if features & Feature.STRIPING:
        await pool.call(copy.header_oid, cls_rbd.set_stripe_unit_count(
            header.stripe_unit, header.stripe_count))
    if features & Feature.OBJECT_MAP:
        await pool.operate(object_map_oid(copy.id), Operation().create().call(
            cls_rbd.object_map_resize(header.object_count(size))))
    if parent is not None:
        await children.attach(pool, copy.id, parent,
                              bool(header.op_features & OpFeature.CLONE_CHILD))


def _data_pool(pool: Pool, source: Image, header: ImageHeader) -> Optional[int]:
    """The guide's rule: rbd_default_data_pool of this site, else the pool named as the source's."""
    connection = pool.connection
    default = connection.conf_get("rbd_default_data_pool")
    if default:
        found = connection.pool_id(default)
        return None if found in (None, pool.pool_id) else found
    if header.data_pool_id == NO_POOL:
        return None
    name = source.pool.connection.pool_name(header.data_pool_id)
    found = connection.pool_id(name) if name else None
    return None if found == pool.pool_id else found


async def forget(pool: Pool, image_id: str, global_id: str) -> None:
    try:
        await pool.call(MIRRORING, cls_rbd.mirror_image_set(image_id, MirrorImage(
            global_id, MirrorImageState.DISABLING, ImageMode.SNAPSHOT)))
        await pool.call(MIRRORING, cls_rbd.mirror_image_remove(image_id))
    except NotFound:
        pass


