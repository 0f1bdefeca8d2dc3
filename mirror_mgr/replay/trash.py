"""Removes copies: into the trash first, as the C++ daemon does, and from there for good.

An image in the trash no longer counts as mirrored, and `rbd trash ls` shows it until
`rbd_mirroring_delete_delay` seconds have passed.
"""

import asyncio
import enum
import logging
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping

from ..cluster.connection import Connection
from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import AlreadyExists, Busy, Fenced, MalformedData, MirrorError, NotFound, NotReady
from ..wire import cls_rbd
from ..wire.constants import (
    Feature,
    ImageMode,
    MirrorImageState,
    Protection,
    TrashSource,
    TrashState,
)
from ..wire.header import (
    DIRECTORY,
    MIRRORING,
    TRASH,
    ImageHeader,
    header_oid,
    id_oid,
    object_map_oid,
)
from ..wire.journal import LOCAL_OWNER
from ..wire.mirror import MirrorImage
from ..wire.trash import TrashEntry
from . import children
from .image import Copy
from .journal.store import ImageJournal
from .lanes import for_each
from .scan import mirror

log = logging.getLogger(__name__)

_LANES = 16
_PAGE = 1024
# An image that is still mirrored is not being moved to the trash any more.
_STALE_NS = 60 * 10**9
_SECOND = 10**9


class Bond(enum.Enum):
    """What a mirrored image is to the image of the same global id at a site."""

    PRIMARY = "primary"
    COPY = "copy"
    DEMOTED = "demoted"
    STRANGER = "stranger"


def bond(header: ImageHeader, remote_uuid: str) -> Bond:
    """Given an image in snapshot mode and the mirror uuid of the site's pool, return what it is.

    One with a demotion is nobody's copy: it may be the only image which can be promoted.
    """
    if not header.features & Feature.NON_PRIMARY or not header.mirror_snapshots:
        return Bond.PRIMARY
    newest = mirror(header.mirror_snapshots[-1])
    if newest.is_demoted:
        return Bond.DEMOTED
    if newest.is_primary or not newest.primary_mirror_uuid:
        return Bond.PRIMARY  # it is being promoted
    return Bond.COPY if newest.primary_mirror_uuid == remote_uuid else Bond.STRANGER


def delay_seconds(connection: Connection) -> int:
    """How long a removed copy stays in the trash of this site."""
    return int(connection.conf_get("rbd_mirroring_delete_delay") or 0)


async def move_to_trash(copy: Copy, name: str, global_id: str, delay_seconds: int,
                        mode: ImageMode = ImageMode.SNAPSHOT) -> None:
    """Put a copy into the trash and end its mirroring.  May be repeated.

    Raise NotReady when somebody promoted it or took it out of mirroring meanwhile: then it stays
    what it is.
    """
    pool = copy.pool
    now = time.time_ns()
    entry = TrashEntry(TrashSource.MIRRORING, name, now, now + delay_seconds * _SECOND)
    await pool.operate(TRASH, Operation().create())
    try:
        await pool.call(TRASH, cls_rbd.trash_add(copy.id, entry))
    except AlreadyExists:
        # Of a try before this one: its time is to begin now.
        await pool.call(TRASH, cls_rbd.trash_remove(copy.id))
        await pool.call(TRASH, cls_rbd.trash_add(copy.id, entry))
    try:
        await _leave_mirroring(pool, copy.id, name, global_id, mode)
    except NotReady:
        await pool.call(TRASH, cls_rbd.trash_remove(copy.id))
        raise
    except NotFound:
        if await _is_listed(pool, copy.id):
            await pool.call(TRASH, cls_rbd.trash_remove(copy.id))
            raise NotReady(f"image {name!r}: its mirroring was ended meanwhile") from None


@dataclass
class Sweep:
    """Ids of images in the trash: those whose turn is to come, and those that stay, with why.

    `kept` are those whose time has not come.  `removing` is how many are being removed.
    """

    waiting: List[str] = field(default_factory=list)
    removing: int = 0
    failed: Dict[str, str] = field(default_factory=dict)
    kept: Dict[str, TrashEntry] = field(default_factory=dict)


async def sweep(pool: Pool, mirrored: Mapping[str, MirrorImage], at_once: int, retry: bool,
                told: Sweep, is_ours: Callable[[str], bool]) -> None:
    """Remove for good what mirroring put into the trash and whose time is over.

    Where the pool is nearly full that time is but what rbd_mirroring_delete_delay asks for.

    `mirrored` are the images that the pool mirrors, by id; `at_once` of them are removed at one
    time.  What can't go yet, as clones hang on it, stays for a later sweep with `retry`; `told` is
    brought up to date.  `is_ours` tells, given the global id of one of `mirrored`, else the id of
    the image in the trash, whether it is for us to remove it.
    """
    entries = {image_id: entry for image_id, entry in (await _entries(pool)).items()
               if entry.source == TrashSource.MIRRORING
               and is_ours(mirrored[image_id].global_id if image_id in mirrored else image_id)}
    for image_id in entries.keys() & mirrored.keys():
        await _set_right(pool, image_id, entries[image_id], mirrored[image_id])
    moved = {image_id: entry for image_id, entry in entries.items()
             if image_id not in mirrored
             or mirrored[image_id].state == MirrorImageState.DISABLING}
    due = set()
    for image_id, entry in moved.items():
        if _is_due(entry) or (_may_go(entry, pool) and await _is_crowded(pool, image_id)):
            due.add(image_id)
    told.kept = {image_id: entry for image_id, entry in moved.items() if image_id not in due}
    told.waiting = [image_id for image_id in moved
                    if image_id in due and (retry or image_id not in told.failed)]
    if retry:
        told.failed.clear()

    async def lane() -> None:
        while told.waiting:
            image_id = told.waiting.pop(0)
            told.removing += 1
            try:
                await _sweep_one(pool, image_id, moved[image_id], told)
            finally:
                told.removing -= 1

    await asyncio.gather(*(lane() for _ in range(at_once)))


async def _entries(pool: Pool) -> Dict[str, TrashEntry]:
    found: Dict[str, TrashEntry] = {}
    after = ""
    while True:
        try:
            page = cls_rbd.decode_trash_list(
                await pool.call(TRASH, cls_rbd.trash_list(after, _PAGE), 1 << 20))
        except NotFound:
            return found
        found.update(page)
        if len(page) < _PAGE:
            return found
        after = max(page)


def _is_due(entry: TrashEntry) -> bool:
    return entry.deferment_end_ns <= time.time_ns()


def _may_go(entry: TrashEntry, pool: Pool) -> bool:
    """Whether it stays by our own wish alone."""
    asked = delay_seconds(pool.connection) * _SECOND
    return entry.deletion_time_ns + asked <= time.time_ns()


async def _is_crowded(pool: Pool, image_id: str) -> bool:
    """Whether a pool that the image takes room in is nearly full."""
    near = await pool.connection.full.near()
    if not near:
        return False
    header = await Copy(pool, image_id).header()
    return pool.pool_id in near or header is not None and header.data_pool_id in near


async def _set_right(pool: Pool, image_id: str, entry: TrashEntry, image: MirrorImage) -> None:
    """Finish what was cut off in :func:`move_to_trash`, or take it back.

    It is not to wait until its time in the trash is over.
    """
    try:
        if image.state == MirrorImageState.DISABLING:
            try:
                await _leave_mirroring(pool, image_id, entry.name, image.global_id, image.mode)
            except NotReady:
                await pool.call(TRASH, cls_rbd.trash_remove(image_id))
        elif entry.deletion_time_ns + _STALE_NS < time.time_ns():
            now = cls_rbd.decode_mirror_image_get(
                await pool.call(MIRRORING, cls_rbd.mirror_image_get(image_id)))
            if now.state == MirrorImageState.ENABLED and await _is_listed(pool, image_id):
                await pool.call(TRASH, cls_rbd.trash_remove(image_id))
    except NotFound:
        pass  # somebody else ended its mirroring
    except Fenced:
        raise
    except MirrorError as error:
        log.warning("image %s (id %s): its move to the trash is not finished: %s", entry.name,
                    image_id, error)


async def _sweep_one(pool: Pool, image_id: str, listed: TrashEntry, told: Sweep) -> None:
    try:
        if await _claim(pool, image_id):
            await _purge(pool, image_id)
            log.info("image %s (id %s): removed from the trash", listed.name, image_id)
    except Fenced:
        raise
    except MirrorError as error:
        told.failed[image_id] = str(error)
        log.info("image %s (id %s): stays in the trash: %s", listed.name, image_id, error)


async def _claim(pool: Pool, image_id: str) -> bool:
    """Whether what was listed is there still, for us to remove; from now on nobody restores it.

    It may have been restored, or given a longer time, since it was listed.
    """
    try:
        entry = cls_rbd.decode_trash_get(await pool.call(TRASH, cls_rbd.trash_get(image_id)))
    except NotFound:
        return False
    if entry.source != TrashSource.MIRRORING or entry.state not in (
            TrashState.NORMAL, TrashState.REMOVING):
        return False
    if not _is_due(entry) and not (_may_go(entry, pool) and await _is_crowded(pool, image_id)):
        return False
    await pool.call(TRASH, cls_rbd.trash_state_set(
        image_id, TrashState.REMOVING, TrashState.NORMAL))
    if await _is_listed(pool, image_id) or await _is_mirrored(pool, image_id):
        await pool.call(TRASH, cls_rbd.trash_state_set(
            image_id, TrashState.NORMAL, TrashState.REMOVING))
        raise NotReady("it is an image of the pool as well; remove the entry in the trash, not the "
                       "image, by: rados rmomapkey rbd_trash id_" + image_id)
    return True


async def _is_listed(pool: Pool, image_id: str) -> bool:
    """Whether an image of the pool has this id."""
    try:
        await pool.call(DIRECTORY, cls_rbd.dir_get_name(image_id))
    except NotFound:
        return False
    return True


async def _is_mirrored(pool: Pool, image_id: str) -> bool:
    try:
        await pool.call(MIRRORING, cls_rbd.mirror_image_get(image_id))
    except NotFound:
        return False
    return True


async def _leave_mirroring(pool: Pool, image_id: str, name: str, global_id: str,
                           mode: ImageMode) -> None:
    """Raise NotFound when it is not mirrored any more, NotReady when it is no copy any more.

    Then nothing is changed.
    """
    await pool.call(MIRRORING, cls_rbd.mirror_image_set(image_id, MirrorImage(
        global_id, MirrorImageState.DISABLING, mode)))
    # From now on nobody promotes it; up to now somebody may have.
    if await Copy(pool, image_id).has_name(name) and await _was_promoted(pool, image_id, mode):
        await pool.call(MIRRORING, cls_rbd.mirror_image_set(image_id, MirrorImage(
            global_id, MirrorImageState.ENABLED, mode)))
        raise NotReady(f"image {name!r}: it was promoted meanwhile")
    if mode == ImageMode.JOURNAL:
        # Should it be taken out of the trash again, it is an image of its own.
        journal = ImageJournal(pool, image_id)
        await journal.remove()
        await journal.create(LOCAL_OWNER)
    if await Copy(pool, image_id).has_name(name):
        await pool.remove(id_oid(name))
    try:
        await pool.call(DIRECTORY, cls_rbd.dir_remove_image(name, image_id))
    except NotFound:
        pass
    await pool.call(MIRRORING, cls_rbd.mirror_image_remove(image_id))


async def _was_promoted(pool: Pool, image_id: str, mode: ImageMode) -> bool:
    """Whether what was a copy is none any more."""
    if mode == ImageMode.JOURNAL:
        try:
            journal = await ImageJournal(pool, image_id).header()
            last = journal.last_tag if journal is not None else None
        except MalformedData:
            return False  # being set back by a removal that was cut off
        # The first tag is the owner's that a copy was made with, or that of a journal set back by
        # a removal.
        return last is not None and last.owner == LOCAL_OWNER and last.tid > 0
    header = await Copy(pool, image_id).header()
    return header is not None and not header.features & Feature.NON_PRIMARY


async def drop_empty_entry(pool: Pool, image_id: str) -> bool:
    """Remove the entry of an image that was being disabled and is nowhere; whether it was."""
    if await Copy(pool, image_id).header() is not None or await _is_listed(pool, image_id):
        return False
    try:
        await pool.call(TRASH, cls_rbd.trash_get(image_id))
        return False
    except NotFound:
        pass
    try:
        await pool.call(MIRRORING, cls_rbd.mirror_image_remove(image_id))
    except NotFound:
        pass
    return True


async def _purge(pool: Pool, image_id: str) -> None:
    copy = Copy(pool.fork(), image_id)
    try:
        header = await copy.header()
        if header is not None:
            if not header.features & (Feature.NON_PRIMARY | Feature.JOURNALING):
                raise NotReady("it is no copy any more")
            if any(snapshot.child_count for snapshot in header.snapshots):
                raise Busy("it has clones")
            for snapshot in header.snapshots:
                if (snapshot.protection != Protection.UNPROTECTED
                        and await children.has_uncounted(pool, image_id, snapshot.id)):
                    raise Busy("it has clones")
            for snapshot in header.snapshots:
                await copy.remove_snapshot(header, snapshot, merged=True)
            await _remove_data(copy, header)
            await children.release(pool, image_id, header)
        await ImageJournal(pool, image_id).remove()
        await pool.remove(object_map_oid(image_id))
        await pool.remove(header_oid(image_id))
        await pool.call(TRASH, cls_rbd.trash_remove(image_id))
    finally:
        copy.pool.close()


async def _remove_data(copy: Copy, header: ImageHeader) -> None:
    data = copy.data_pool(header)

    async def remove(number: int) -> None:
        await data.remove(header.data_object(number))

    await for_each(range(header.max_object_count), remove, _LANES)


