"""Brings a copy back to what one of its snapshots shows."""

from dataclasses import replace
from typing import Iterable, Optional

from ..wire.constants import Feature
from ..wire.header import ImageHeader
from ..wire.object_map import ObjectMap, numbers
from ..wire.snapshot import Snapshot
from .image import Copy
from .lanes import for_each
from .maps import head_after, rewritten_since


async def roll_back(copy: Copy, header: ImageHeader, snapshot: Snapshot,
                    halfway: bool = False) -> ImageHeader:
    """Make the data, size and object map of the image those of a snapshot; return its header then.

    Objects that the maps know to be unchanged are left alone, unless a sync may have been cut off
    `halfway`: then the maps do not tell, and there may be objects beyond the end of the image.
    May be repeated after a failure at any point.
    """
    kept: Optional[ObjectMap] = None
    sizes = [s.size for s in header.snapshots if halfway and s.id > snapshot.id]
    count = header.object_count(max(header.size, snapshot.size, *sizes))
    suspects: Iterable[int] = range(count)
    if header.features & Feature.OBJECT_MAP:
        head, kept = await copy.load_map(header), await copy.load_map(header, snapshot.id)
        if head is not None and kept is not None and not halfway:
            suspects = numbers(rewritten_since(kept, head, count))
    await _roll_back_objects(copy, header, snapshot, suspects)
    if header.size != snapshot.size:
        await copy.set_size(snapshot.size)
        header = replace(header, size=snapshot.size)
    if kept is not None:
        await copy.save_map(head_after(kept, bool(header.features & Feature.FAST_DIFF)))
    return header


async def _roll_back_objects(copy: Copy, header: ImageHeader, snapshot: Snapshot,
                             suspects: Iterable[int]) -> None:
    # Of what is undone nothing is to be kept: newer snapshots are left out of the context.
    data = copy.data_pool(header).with_snap_context(
        [snap_id for snap_id in header.snap_ids if snap_id <= snapshot.id])

    async def roll_back_object(number: int) -> None:
        copy.check()
        await data.roll_back(header.data_object(number), snapshot.id)

    try:
        await for_each(suspects, roll_back_object)
    finally:
        data.close()
