"""Gives a copy the size, and the overlap with its parent, that a snapshot of the primary has."""

from dataclasses import replace
from typing import Optional

from ..errors import NotPermitted, NotReady
from ..wire.constants import Feature
from ..wire.header import ImageHeader
from ..wire.snapshot import Snapshot
from .image import Copy


async def set_shape(copy: Copy, local: ImageHeader, snapshot: Snapshot, remote: ImageHeader,
                    keep_parent: bool = False) -> ImageHeader:
    """Given both headers and the primary's snapshot, change the copy; return its header then.

    `keep_parent`: one that nothing of is shown any more stays the parent.  It is the same header
    when nothing was changed.  Raise NotPermitted when the copy shows less of its parent already.
    """
    local = await _set_overlap(copy, local, snapshot.parent_overlap, remote, keep_parent)
    if local.size != snapshot.size:
        await copy.set_size(snapshot.size)
        local = replace(local, size=snapshot.size)
    return local


async def _set_overlap(copy: Copy, local: ImageHeader, wanted: Optional[int], remote: ImageHeader,
                       keep_parent: bool) -> ImageHeader:
    parent = local.parent
    shown = parent.head_overlap if parent else None
    if (wanted or 0) > (shown or 0):
        raise NotPermitted("the image shows more of its parent at the primary site than here; "
                           "resync it")
    if parent is None or shown is None or shown == wanted:
        return local
    if wanted is None and not keep_parent:
        return await _detach(copy, local, remote)
    wanted = wanted or 0
    if shown == wanted:
        return local
    await copy.shrink_overlap(wanted, local.size)
    return replace(local, parent=replace(parent, head_overlap=wanted))


async def _detach(copy: Copy, local: ImageHeader, remote: ImageHeader) -> ImageHeader:
    """End what the image itself shows of its parent; with deep-flatten, snapshots as well."""
    if local.features & ~remote.features & Feature.DEEP_FLATTEN:
        await copy.drop_feature(Feature.DEEP_FLATTEN)
    await copy.detach_parent(local)
    header = await copy.header()
    if header is None:
        raise NotReady("the copy was removed meanwhile")
    return header
