"""Who is a clone of what, as the parent's side keeps it: both formats of clones.

Format 1 lists clones in `rbd_children` of the clone's pool and needs a protected parent snapshot;
format 2 lists them at the parent's header, whose snapshots count them.
"""

import logging

import rbd

from ..cluster.pool import Pool
from ..errors import AlreadyExists, MirrorError, NotFound, NotReady, NotSupported
from ..wire import cls_rbd
from ..wire.constants import Feature, OpFeature, Protection
from ..wire.header import CHILDREN, ImageHeader, ParentLink, header_oid
from .journal.store import ImageJournal

log = logging.getLogger(__name__)


async def attach(pool: Pool, image_id: str, link: ParentLink, counted: bool) -> None:
    """Make an image a clone, in format 2 if `counted`; before it is set non-primary.

    The header names the parent first: whoever removes a half-made clone finds it there.  Raise
    NotReady when the parent's snapshot has just gone.
    """
    await pool.call(header_oid(image_id), cls_rbd.parent_attach(
        link.pool_id, link.namespace, link.image_id, link.snap_id, link.head_overlap or 0))
    parent_oid = header_oid(link.image_id)
    parents = pool.connection.pool(link.pool_id, link.namespace)
    try:
        if counted:
            await pool.call(header_oid(image_id), cls_rbd.op_features_set(
                OpFeature.CLONE_CHILD, OpFeature.CLONE_CHILD))
            await parents.call(parent_oid, cls_rbd.op_features_set(
                OpFeature.CLONE_PARENT, OpFeature.CLONE_PARENT))
            await parents.call(parent_oid, cls_rbd.child_attach(
                link.snap_id, pool.pool_id, pool.namespace, image_id))
            return
        await parents.call(parent_oid, cls_rbd.set_protection_status(
            link.snap_id, Protection.PROTECTED))
    except NotFound:
        raise NotReady("the parent's snapshot was removed meanwhile") from None
    try:
        await pool.call(CHILDREN, cls_rbd.add_child(
            link.pool_id, link.image_id, link.snap_id, image_id))
    except AlreadyExists:
        pass


async def release(pool: Pool, image_id: str, header: ImageHeader) -> None:
    """Have the parent forget a clone that needs it no longer.  May be repeated."""
    link = header.parent
    if link is None:
        return
    try:
        if header.op_features & OpFeature.CLONE_CHILD:
            parents = pool.connection.pool(link.pool_id, link.namespace)
            await parents.call(header_oid(link.image_id), cls_rbd.child_detach(
                link.snap_id, pool.pool_id, pool.namespace, image_id))
            await _drop_hidden(parents, link)
        else:
            await pool.call(CHILDREN, cls_rbd.remove_child(
                link.pool_id, link.image_id, link.snap_id, image_id))
    except NotFound:
        pass


async def _drop_hidden(parents: Pool, link: ParentLink) -> None:
    """Have a snapshot go that was removed and stayed for its clones, if none is left.

    That of a copy is left to who replays the image.
    """
    header = ImageHeader.from_omap(await parents.omap(header_oid(link.image_id)))
    snapshot = header.snapshot(link.snap_id)
    if (snapshot is None or not snapshot.is_hidden or snapshot.child_count
            or header.features & Feature.NON_PRIMARY):
        return
    journal = (await ImageJournal(parents, link.image_id).header()
               if header.features & Feature.JOURNALING else None)
    if journal is None or journal.is_primary:
        try:
            await parents.connection.run(_remove_snapshot, parents, link)
        except MirrorError as error:
            log.info("image %s keeps a snapshot that no clone needs: %s", link.image_id, error)


def _remove_snapshot(parents: Pool, link: ParentLink) -> None:
    """Blocking."""
    with rbd.Image(parents.ioctx, image_id=link.image_id) as image:
        image.remove_snap_by_id(link.snap_id)


async def has_uncounted(pool: Pool, image_id: str, snap_id: int) -> bool:
    """Whether a snapshot has clones of format 1, in any pool of the site."""
    for pool_id in await pool.connection.pool_names():
        try:
            found = await pool.connection.pool(pool_id, pool.namespace).call(
                CHILDREN, cls_rbd.get_children(pool.pool_id, image_id, snap_id), 1 << 20)
        except (NotFound, NotSupported):
            continue
        if cls_rbd.decode_get_children(found):
            return True
    return False
