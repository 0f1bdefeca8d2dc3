"""Carries out on the copy what the primary's administrator did to the image.

Each may be repeated: after a crash the journal is replayed from the position that was noted last.
"""

import errno
from typing import Awaitable, Callable, Dict, Optional, Set, Type

from ...errors import Busy, MirrorError, NotFound
from ...wire import cls_rbd
from ...wire import journal_event as events
from ...wire.constants import Feature, ObjectState, Protection
from ...wire.object_map import ObjectMap
from ...wire.snapshot import Namespace, Snapshot
from .. import children, naming, state
from ..lanes import for_each
from ..maps import head_after
from .target import Target
from .window import parts

_LANES = 32
_SWITCHABLE = (Feature.EXCLUSIVE_LOCK, Feature.DEEP_FLATTEN)
_MAPS = Feature.OBJECT_MAP | Feature.FAST_DIFF


class Operations:
    """On a target that no window is being written to.  `name` is the copy's name."""

    def __init__(self, target: Target, name: str) -> None:
        self.name = name
        self._target = target
        self._copy = target.copy
        self._refused: Set[int] = set()
        self._actions: Dict[Type[object], Callable[..., Awaitable[None]]] = {
            events.SnapCreate: self._create_snapshot,
            events.SnapRemove: self._remove_snapshot,
            events.SnapRename: self._rename_snapshot,
            events.SnapProtect: self._protect,
            events.SnapUnprotect: self._unprotect,
            events.SnapRollback: self._roll_back,
            events.Rename: self._rename,
            events.Resize: self._resize,
            events.Flatten: self._flatten,
            events.SnapLimit: self._limit,
            events.UpdateFeatures: self._update_features,
            events.MetadataSet: self._set_metadata,
            events.MetadataRemove: self._remove_metadata,
        }

    async def perform(self, operation: events.Operation) -> None:
        """Do it, and let those who have the copy open read its header again."""
        await self._actions[type(operation)](operation)
        await self._target.open()
        await self._copy.notify()

    # --- snapshots ------------------------------------------------------------------------------

    def _find(self, name: str, namespace: Namespace) -> Optional[Snapshot]:
        return next((s for s in self._target.header.snapshots
                     if (s.name, s.namespace) == (name, namespace)), None)

    async def _create_snapshot(self, event: events.SnapCreate) -> None:
        header, now = self._target.header, self._target.object_map
        known = self._find(event.name, event.namespace)
        if known is not None:
            if now is not None and await self._copy.stored_map(
                    header, known.size, known.id) is None:
                await self._copy.save_map(now.resized(header.object_count(known.size)), known.id)
            return
        if len(header.snapshots) >= header.snap_limit and event.op_tid not in self._refused:
            # So it is at the primary, as the operation's end is to tell.
            self._refused.add(event.op_tid)
            return
        [snap_id] = await self._target.data.new_snap_ids(1)
        if now is not None:
            await self._copy.save_map(now, snap_id)
        try:
            await self._copy.add_snapshot(event.name, snap_id, event.namespace)
        except MirrorError:
            await self._target.data.remove_snap_id(snap_id)
            raise
        if now is not None and header.features & Feature.FAST_DIFF:
            await self._target.save_map(head_after(now, True))

    async def _remove_snapshot(self, event: events.SnapRemove) -> None:
        snapshot = self._find(event.name, event.namespace)
        if snapshot is not None:
            await state.remove_or_hide(self._copy, self._target.header, snapshot)

    async def _rename_snapshot(self, event: events.SnapRename) -> None:
        names = {snapshot.name: snapshot for snapshot in self._target.header.user_snapshots}
        if event.old_name in names and event.name not in names:
            snapshot = names[event.old_name]
            await self._call(cls_rbd.snapshot_rename(snapshot.id, event.name))

    async def _protect(self, event: events.SnapProtect) -> None:
        await self._set_protection(event.name, event.namespace, Protection.PROTECTED)

    async def _unprotect(self, event: events.SnapUnprotect) -> None:
        await self._set_protection(event.name, event.namespace, Protection.UNPROTECTED)

    async def _set_protection(self, name: str, namespace: Namespace,
                              protection: Protection) -> None:
        snapshot = self._find(name, namespace)
        if snapshot is None or snapshot.protection == protection:
            return
        if protection == Protection.UNPROTECTED and await children.has_uncounted(
                self._copy.pool, self._copy.id, snapshot.id):
            raise Busy(f"snapshot {name!r} has clones; flatten or remove them")
        await self._copy.protect(snapshot.id, protection)

    async def _roll_back(self, event: events.SnapRollback) -> None:
        snapshot = self._find(event.name, event.namespace)
        if snapshot is None:
            return
        await self._set_size(snapshot.size)
        header = self._target.header
        await self._roll_back_objects(snapshot)
        if header.features & Feature.OBJECT_MAP:
            saved = await self._copy.stored_map(header, snapshot.size, snapshot.id)
            count = header.object_count(snapshot.size)
            await self._target.save_map(saved or ObjectMap.filled(count, ObjectState.EXISTS))

    async def _roll_back_objects(self, snapshot: Snapshot) -> None:
        header = self._target.header

        async def roll_back(number: int) -> None:
            await self._target.data.roll_back(header.data_object(number), snapshot.id)

        await for_each(range(header.object_count(snapshot.size)), roll_back, _LANES)

    async def _limit(self, event: events.SnapLimit) -> None:
        try:
            await self._call(cls_rbd.snapshot_set_limit(event.limit))
        except MirrorError as error:
            if error.errno != errno.ERANGE:
                raise

    # --- the image ------------------------------------------------------------------------------

    async def _resize(self, event: events.Resize) -> None:
        await self._set_size(event.size)

    async def _set_size(self, size: int) -> None:
        header = self._target.header
        if size < header.size:
            await self._target.fill_beyond(size)
            await self._free_from(size)
        now = self._target.object_map
        if now is not None:
            await self._target.save_map(now.resized(header.object_count(size)))
        if size != header.size:
            await self._copy.set_size(size)
            await self._target.open()

    async def _free_from(self, size: int) -> None:
        """Free all objects, or their parts, that are beyond this size."""
        striping, old = self._target.striping, self._target.header.size
        period = striping.period
        # The window's own end must not keep parts of the last objects.
        end = -(-old // period) * period
        for part in parts(events.Discard(size, end - size), striping, end):
            window = self._target.window_beyond_end()
            window.discard(part)
            await self._target.begin(window)

    async def _rename(self, event: events.Rename) -> None:
        if event.name == self.name:
            return
        self.name = await naming.rename(self._copy, self.name, event.name)

    async def _flatten(self, event: events.Flatten) -> None:
        await self._target.flatten()

    async def _update_features(self, event: events.UpdateFeatures) -> None:
        wanted = Feature(event.features)
        for feature in _SWITCHABLE:
            if wanted & feature:
                await self._switch(feature, event.enabled)
        if wanted & _MAPS:
            await self._switch(Feature.OBJECT_MAP, event.enabled)

    async def _switch(self, feature: Feature, on: bool) -> None:
        if bool(self._target.header.features & feature) != on:
            await state.switch_feature(self._copy, self._target.header, feature, on)
            await self._target.open()

    async def _set_metadata(self, event: events.MetadataSet) -> None:
        await self._call(cls_rbd.metadata_set(
            {event.key: event.value.encode("utf-8", "surrogateescape")}))

    async def _remove_metadata(self, event: events.MetadataRemove) -> None:
        try:
            await self._call(cls_rbd.metadata_remove(event.key))
        except NotFound:
            pass

    async def _call(self, call: cls_rbd.Call) -> None:
        await self._copy.pool.call(self._copy.header_oid, call)
