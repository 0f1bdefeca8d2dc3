"""The flag by which an administrator asks for a copy to be made anew.

librbd sets it at an image that is not primary, and leaves it there when that is promoted.  Served
once the image is a copy again, it would throw away, long after, a copy that has all.
"""

from typing import Callable, Mapping, Optional

from ..cluster.operation import VERSION_DIFFERS, Operation
from ..cluster.pool import Pool
from ..errors import MirrorError
from ..wire import cls_journal, cls_rbd
from ..wire.cls import Call
from ..wire.constants import Feature
from ..wire.header import ImageHeader, header_oid
from ..wire.journal import IMAGE_CLIENT, ImageClientData, JournalHeader, journal_oid

# Given all that an object says, what takes the flag of a primary away; None where there is none.
_Change = Callable[[Mapping[str, bytes]], Optional[Call]]


def is_asked(header: ImageHeader, local_uuid: str) -> bool:
    """Whether a resync of an image in snapshot mode was asked for."""
    return b"resync_requested" in header.metadata.get(_key(local_uuid), b"")


async def forget(pool: Pool, image_id: str, local_uuid: str) -> None:
    """Take the flag of an image in snapshot mode away, if it is primary."""
    def change(omap: Mapping[str, bytes]) -> Optional[Call]:
        header = ImageHeader.from_omap(omap)
        if header.features & Feature.NON_PRIMARY or not is_asked(header, local_uuid):
            return None
        return cls_rbd.metadata_remove(_key(local_uuid))

    await _forget(pool, header_oid(image_id), change)


async def forget_in_journal(pool: Pool, image_id: str) -> None:
    """The same in journal mode, where the journal has it."""
    def change(omap: Mapping[str, bytes]) -> Optional[Call]:
        header = JournalHeader.from_omap(omap)
        if not header.is_primary or not header.image.resync_requested:
            return None
        return cls_journal.client_update_data(
            IMAGE_CLIENT, ImageClientData(header.image.tag_class).encode())

    await _forget(pool, journal_oid(image_id), change)


async def _forget(pool: Pool, oid: str, change: _Change) -> None:
    """Nothing is changed where the object was meanwhile: a demotion and a resync may have come."""
    own = pool.fork()
    try:
        omap, version = await own.omap_versioned(oid)
        call = change(omap)
        if call is not None:
            operation = Operation()
            operation.expect_version(version)
            operation.call(call)
            await own.operate(oid, operation)
    except MirrorError as error:
        if error.errno not in VERSION_DIFFERS:
            raise
    finally:
        own.close()


def _key(local_uuid: str) -> str:
    return f".rbd_mirror.{local_uuid}"
