"""The name of a copy, which follows its primary's, and what to do while another image has it."""

from typing import Optional

from ..cluster.pool import Pool
from ..errors import AlreadyExists, NotFound, NotReady
from ..wire import cls_rbd
from ..wire.constants import Feature
from ..wire.encoding import Decoder
from ..wire.header import DIRECTORY, MIRRORING, id_oid
from .image import Copy, Image
from .journal.store import ImageJournal

# Between the name that a copy waits for and its id.
_WAITS = ".waits-"


async def rename(copy: Copy, old: str, new: str) -> str:
    """Rename a copy; return the name that it has then.

    Where another copy has the new name, which may be about to leave it (two that swap their names,
    say), that is a name of our own for the time being.  Where an image has it that stays, the copy
    keeps the old one.  May be repeated after a failure at any point.
    """
    parked = f"{new}{_WAITS}{copy.id}"
    try:
        await _move(copy, old, new, parked)
        return new
    except AlreadyExists:
        pass
    owner = await _owner(copy.pool, new)
    if owner == copy.id:
        # The directory gives it to another, which may wait for the name that ours has there.
        owner = await _listed(copy.pool, new)
        if owner is None or not await _is_copy(copy.pool, owner):
            raise NotReady(f"the name {new!r} is just being given up by another image")
    elif owner is None or not await _is_copy(copy.pool, owner):
        return old
    if old != parked:
        await _move(copy, old, parked)
    return parked


def waits_for(name: str, image_id: str) -> Optional[str]:
    """The name that a copy waits for, given its own; None where that is no such name of ours."""
    suffix = f"{_WAITS}{image_id}"
    return name[:-len(suffix)] if name.endswith(suffix) else None


async def is_free(pool: Pool, name: str) -> bool:
    """Whether no image has a name."""
    return await _owner(pool, name) is None and await _listed(pool, name) is None


async def why_not(pool: Pool, name: str) -> str:
    """Why a copy can't have a name, and the cure."""
    other = await _owner(pool, name)
    if other is None:
        return f"the name {name!r} is just being given up by another image"
    if await _is_copy(pool, other):
        return (f"the name {name!r}, which it has at its primary site, still belongs to the copy "
                f"of another image (id {other}) here")
    return (f"the name {name!r}, which it has at its primary site, belongs to another image "
            f"(id {other}) here: rename or remove that image")


async def _move(copy: Copy, old: str, new: str, *others: str) -> None:
    """Give up the old name, and `others` that a try before this one left, for the new one.

    The directory, where the old name is found, comes last.  Raise AlreadyExists.
    """
    copy.check()
    try:
        await copy.claim_name(new)
    except AlreadyExists:
        if not await copy.has_name(new):
            raise
    for name in (old, *others):
        if await copy.has_name(name):
            await copy.remove_object(id_oid(name))
    await copy.pool.call(DIRECTORY, cls_rbd.dir_rename_image(old, new, copy.id))


async def _listed(pool: Pool, name: str) -> Optional[str]:
    """The id of the image that has a name in the directory."""
    try:
        return cls_rbd.decode_dir_get_id(await pool.call(DIRECTORY, cls_rbd.dir_get_id(name)))
    except NotFound:
        return None


async def _owner(pool: Pool, name: str) -> Optional[str]:
    """The id of the image that has a name."""
    data = await pool.read(id_oid(name), 4096)
    return Decoder(data).string() if data else None


async def _is_copy(pool: Pool, image_id: str) -> bool:
    """Whether an image is mirrored and not primary here."""
    try:
        await pool.call(MIRRORING, cls_rbd.mirror_image_get(image_id))
    except NotFound:
        return False
    header = await Image(pool, image_id).header()
    if header is None:
        return False
    if header.features & Feature.JOURNALING:
        journal = await ImageJournal(pool, image_id).header()
        return journal is not None and not journal.is_primary
    return bool(header.features & Feature.NON_PRIMARY)
