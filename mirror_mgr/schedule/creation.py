"""The making of one mirror snapshot."""

import asyncio
from typing import Callable, NamedTuple, Optional

from ..cluster.images import Image, open_image
from ..cluster.pool import Pool
from ..errors import InvalidArgument, NotFound
from ..wire.constants import SnapState
from ..wire.header import ImageHeader, header_oid
from ..wire.snapshot import MirrorNamespace

SKEW = 1.0  # seconds by which the clocks of an OSD and of the manager may differ


class Made(NamedTuple):
    """A mirror snapshot.

    :ivar at: when it was asked for
    :ivar ours: False for one that somebody else had made already
    """

    snapshot: int
    at: float
    ours: bool


class Order(NamedTuple):
    """What to make.

    :ivar what: what messages call the image
    :ivar time: not before this, in seconds since the epoch
    :ivar unless_made: whether one that was made since then will do
    """

    image_id: str
    what: str
    time: int
    unless_made: bool


async def create(pool: Pool, order: Order, now: Callable[[], float]) -> Optional[Made]:
    """Make a mirror snapshot; return None if the image is gone or not primary any more.

    The image is opened ahead of time, so that what librbd does is all that makes it late.
    """
    try:
        if order.unless_made:
            made = await _made_since(pool, order)
            if made is not None:
                return made
        image = await open_image(pool, order.image_id, order.what)
    except NotFound:
        return None
    try:
        # Twice, as timers may go off a little early; not for ever if the clock is set back.
        for _ in range(2):
            await asyncio.sleep(max(0.0, order.time - now()))
        at = now()
        return await _create(image, at)
    finally:
        await image.close()


async def _create(image: Image, at: float) -> Optional[Made]:
    try:
        return Made(await image.create_mirror_snapshot(), at, ours=True)
    except InvalidArgument:
        if await image.is_primary():
            raise
        return None


async def _made_since(pool: Pool, order: Order) -> Optional[Made]:
    header = ImageHeader.from_omap(await pool.omap(header_oid(order.image_id)))
    for snapshot in header.mirror_snapshots:
        at = snapshot.timestamp_ns / 1e9
        if (isinstance(snapshot.namespace, MirrorNamespace)
                and snapshot.namespace.state == SnapState.PRIMARY and at >= order.time - SKEW):
            return Made(snapshot.id, at, ours=False)
    return None
