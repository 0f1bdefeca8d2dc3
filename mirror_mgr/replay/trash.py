"""Removes copies: into the trash first, as the C++ daemon does, and from there for good.

An image in the trash no longer counts as mirrored, and `rbd trash ls` shows it until
`rbd_mirroring_delete_delay` seconds have passed.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Optional

from ..cluster.connection import Connection
from ..cluster.operation import Operation
from ..cluster.pool import Pool
from ..errors import AlreadyExists, Busy, Fenced, MirrorError, NotFound, NotReady
from ..wire import cls_rbd
from ..wire.constants import Feature, ImageMode, MirrorImageState, Protection, TrashSource
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
_SECOND = 10**9


def is_copy_of(header: ImageHeader, remote_uuid: str) -> bool:
    """Whether an image is nothing but a copy of one of that pool.

    Not one that was promoted here, nor one whose primary is another.
    """
    if not header.features & Feature.NON_PRIMARY or not header.mirror_snapshots:
        return False
    newest = mirror(header.mirror_snapshots[-1])
    return newest.is_non_primary and newest.primary_mirror_uuid == remote_uuid


def delay_seconds(connection: Connection) -> int:
    """How long a removed copy stays in the trash of this site."""
    return int(connection.conf_get("rbd_mirroring_delete_delay") or 0)


async def move_to_trash(copy: Copy, name: str, global_id: str, delay_seconds: int,
                        mode: ImageMode = ImageMode.SNAPSHOT) -> None:
    """Put a copy into the trash and end its mirroring.  May be repeated."""
    pool = copy.pool
    now = time.time_ns()
    entry = TrashEntry(TrashSource.MIRRORING, name, now, now + delay_seconds * _SECOND)
    await pool.operate(TRASH, Operation().create())
    try:
        await pool.call(TRASH, cls_rbd.trash_add(copy.id, entry))
    except AlreadyExists:
        pass
    await _leave_mirroring(pool, copy.id, name, global_id, mode)


@dataclass
class Sweep:
    """Ids of images in the trash: those whose turn is to come, and those that stay, with why.

    `removing` is how many are being removed.
    """

    waiting: List[str] = field(default_factory=list)
    removing: int = 0
    failed: Dict[str, str] = field(default_factory=dict)


async def sweep(pool: Pool, mirrored: Mapping[str, MirrorImage], at_once: int, retry: bool,
                told: Sweep, is_ours: Callable[[str], bool]) -> None:
    """Remove for good what mirroring put into the trash and whose time is over.

    `mirrored` are the images that the pool mirrors, by id; `at_once` of them are removed at one
    time.  What can't go yet, as clones hang on it, stays for a later sweep with `retry`; `told` is
    brought up to date.  `is_ours` tells, given the global id of one of `mirrored`, else the id of
    the image in the trash, whether it is for us to remove it.
    """
    try:
        entries = cls_rbd.decode_trash_list(await pool.call(TRASH, cls_rbd.trash_list(), 1 << 20))
    except NotFound:
        entries = {}
    due = {image_id: entry for image_id, entry in entries.items()
           if _is_due(entry, mirrored.get(image_id)) and (retry or image_id not in told.failed)
           and is_ours(mirrored[image_id].global_id if image_id in mirrored else image_id)}
    told.waiting = list(due)
    if retry:
        told.failed.clear()

    async def lane() -> None:
        while told.waiting:
            image_id = told.waiting.pop(0)
            told.removing += 1
            try:
                await _sweep_one(pool, image_id, due[image_id].name, mirrored.get(image_id), told)
            finally:
                told.removing -= 1

    await asyncio.gather(*(lane() for _ in range(at_once)))


def _is_due(entry: TrashEntry, image: Optional[MirrorImage]) -> bool:
    return (entry.source == TrashSource.MIRRORING and entry.deferment_end_ns <= time.time_ns()
            and (image is None or image.state == MirrorImageState.DISABLING))


async def _sweep_one(pool: Pool, image_id: str, name: str, image: Optional[MirrorImage],
                     told: Sweep) -> None:
    try:
        if image is not None:
            await _leave_mirroring(pool, image_id, name, image.global_id, image.mode)
        await _purge(pool, image_id)
        log.info("image %s (id %s): removed from the trash", name, image_id)
    except Fenced:
        raise
    except MirrorError as error:
        told.failed[image_id] = str(error)
        log.info("image %s (id %s): stays in the trash: %s", name, image_id, error)


async def _leave_mirroring(pool: Pool, image_id: str, name: str, global_id: str,
                           mode: ImageMode) -> None:
    await pool.call(MIRRORING, cls_rbd.mirror_image_set(image_id, MirrorImage(
        global_id, MirrorImageState.DISABLING, mode)))
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


