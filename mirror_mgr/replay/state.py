"""Makes name, features, metadata, snapshots and limit of a copy those of a mirror snapshot."""

import logging
from typing import Dict, Mapping, Tuple

from ..errors import Busy
from ..wire import cls_rbd
from ..wire.constants import Feature, HeaderFlag, ObjectState, Protection
from ..wire.header import ImageHeader, object_map_oid
from ..wire.image_state import ImageState
from ..wire.object_map import ObjectMap
from ..wire.snapshot import Snapshot
from . import children, naming
from .image import Copy

log = logging.getLogger(__name__)

# What librbd lets be switched on an existing image; fast-diff goes with the object map.
_MUTABLE = Feature.EXCLUSIVE_LOCK | Feature.OBJECT_MAP | Feature.DEEP_FLATTEN
# Keys that belong to mirroring itself (librbd's RBD_MIRROR metadata): a resync request, say.
_INTERNAL = ".rbd_mirror."


async def apply(copy: Copy, header: ImageHeader, name: str, state: ImageState,
                remote: ImageHeader, snap_seqs: Mapping[int, int]) -> Tuple[str, bool]:
    """Given the copy (its header, its name) and the state it is to have, make it so.

    `snap_seqs` maps snapshot ids of the primary to those of the copy.  Return the copy's name,
    which is another as long as it can't have that, and whether its header was changed.  A snapshot
    that is to go and has clones here stays, in format 2 out of sight, until a later sync finds it
    without them.
    """
    if state.name != name:
        name = await naming.rename(copy, name, state.name)
    changed = await _features(copy, header, state)
    changed |= await _metadata(copy, header, state)
    changed |= await _snapshots(copy, header, state, remote, snap_seqs)
    if header.snap_limit != state.snap_limit:
        await copy.change_header(cls_rbd.snapshot_set_limit(state.snap_limit))
        changed = True
    return name, changed


async def _features(copy: Copy, header: ImageHeader, state: ImageState) -> bool:
    wanted = state.features & _MUTABLE
    had = header.features & _MUTABLE
    for feature in (Feature.EXCLUSIVE_LOCK, Feature.OBJECT_MAP, Feature.DEEP_FLATTEN):
        if (wanted ^ had) & feature:
            await switch_feature(copy, header, feature, bool(wanted & feature))
    return wanted != had


async def switch_feature(copy: Copy, header: ImageHeader, feature: Feature, on: bool) -> None:
    """Switch one feature of the copy; fast-diff goes with the object map."""
    mask = feature
    if feature == Feature.OBJECT_MAP:
        mask |= Feature.FAST_DIFF
        if on:
            await _new_object_maps(copy, header)
    await copy.change_header(cls_rbd.set_features(mask if on else 0, mask))
    if feature == Feature.OBJECT_MAP and not on:
        await _drop_object_maps(copy, header)


async def _new_object_maps(copy: Copy, header: ImageHeader) -> None:
    """Maps that know nothing yet are flagged so, as librbd does, until they are rebuilt."""
    flags = HeaderFlag.OBJECT_MAP_INVALID | HeaderFlag.FAST_DIFF_INVALID
    for snapshot in header.snapshots:
        count = header.object_count(snapshot.size)
        await copy.save_map(ObjectMap.filled(count, ObjectState.EXISTS), snapshot.id)
        await copy.change_header(cls_rbd.set_flags(flags, flags, snapshot.id))
    count = header.object_count(header.size)
    await copy.save_map(ObjectMap.filled(count, ObjectState.EXISTS))
    await copy.change_header(cls_rbd.set_flags(flags, flags))


async def _drop_object_maps(copy: Copy, header: ImageHeader) -> None:
    for snapshot in header.snapshots:
        await copy.remove_object(object_map_oid(copy.id, snapshot.id))
    await copy.remove_object(object_map_oid(copy.id))


async def _metadata(copy: Copy, header: ImageHeader, state: ImageState) -> bool:
    mine = {k: v for k, v in header.metadata.items() if not k.startswith(_INTERNAL)}
    theirs = {k: v for k, v in state.metadata.items() if not k.startswith(_INTERNAL)}
    gone = mine.keys() - theirs.keys()
    for key in sorted(gone):
        await copy.change_header(cls_rbd.metadata_remove(key))
    news: Dict[str, bytes] = {k: v for k, v in theirs.items() if mine.get(k) != v}
    if news:
        await copy.change_header(cls_rbd.metadata_set(news))
    return bool(gone or news)


async def _snapshots(copy: Copy, header: ImageHeader, state: ImageState, remote: ImageHeader,
                     snap_seqs: Mapping[int, int]) -> bool:
    origins = {local: theirs for theirs, local in snap_seqs.items()}
    changed = False
    for snapshot in header.user_snapshots:
        origin = origins.get(snapshot.id)
        wanted = state.snapshots.get(origin) if origin is not None else None
        if wanted is None or origin is None or remote.snapshot(origin) is None:
            changed |= await _remove_snapshot(copy, header, snapshot)
            continue
        if wanted.name != snapshot.name:
            await copy.change_header(cls_rbd.snapshot_rename(
                snapshot.id, wanted.name))
            changed = True
        protection = (Protection.PROTECTED if wanted.protection == Protection.PROTECTED
                      else Protection.UNPROTECTED)
        if snapshot.protection != protection and not (
                protection == Protection.UNPROTECTED
                and await children.has_uncounted(copy.pool, copy.id, snapshot.id)):
            await copy.protect(snapshot.id, protection)
            changed = True
    return changed


async def _remove_snapshot(copy: Copy, header: ImageHeader, snapshot: Snapshot) -> bool:
    """Remove a snapshot, or hide it while clones need it; whether the header was changed."""
    try:
        await remove_or_hide(copy, header, snapshot)
    except Busy as error:
        log.info("image %s: %s", copy.id, error)
        return False
    return True


async def remove_or_hide(copy: Copy, header: ImageHeader, snapshot: Snapshot) -> None:
    """Remove a snapshot; one that has clones of format 2 is put out of sight, as librbd does.

    Raise Busy when it has clones of format 1.
    """
    if not snapshot.child_count:
        await copy.remove_snapshot(header, snapshot)
        return
    if snapshot.protection != Protection.UNPROTECTED:
        await copy.protect(snapshot.id, Protection.UNPROTECTED)
    await copy.change_header(cls_rbd.snapshot_trash_add(snapshot.id))
