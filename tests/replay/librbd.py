"""A primary image as librbd of release 16 writes it: data, object maps and snapshots."""

import random
from typing import Any, Dict, Optional

from mirror_mgr.wire import image_state
from mirror_mgr.wire.constants import Feature, HeaderFlag, ObjectState, Protection, SnapState
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import header_oid, image_state_oid, object_map_oid
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import MirrorNamespace, Snapshot, UserNamespace, encode_namespace
from tests.replay.fake_site import ORDER, FakeHeader, FakeSite, merged_marks, shown
from tests.replay.headers import US

OBJECT = 1 << ORDER
MOST = 6 * OBJECT


class PrimaryImage:
    """`contents` has what each snapshot showed when it was made.

    `blind`: the object maps of some snapshots are flagged as invalid.
    """

    def __init__(self, site: FakeSite, rng: random.Random, features: Feature,
                 blind: bool = False) -> None:
        self.site = site
        self.blind = blind
        self.header = FakeHeader("source", rng.randrange(1, MOST), features)
        self.contents: Dict[int, bytes] = {}
        self._rng = rng
        self._names = 0
        site.headers[header_oid("source")] = self.header
        self._map = ObjectMap.filled(self._count)

    # --- the object map of the image itself --------------------------------------------------

    @property
    def _map(self) -> ObjectMap:
        return self.site.maps.get(object_map_oid("source"), ObjectMap.filled(self._count))

    @_map.setter
    def _map(self, found: ObjectMap) -> None:
        self._save_map(found)

    def _save_map(self, found: ObjectMap, snap_id: Optional[int] = None) -> None:
        if self.header.features & Feature.OBJECT_MAP:
            if not self.header.features & Feature.FAST_DIFF:
                found = ObjectMap(found.cells.replace(b"\3", b"\1"))
            self.site.maps[object_map_oid("source", snap_id)] = found

    # --- data --------------------------------------------------------------------------------

    @property
    def _count(self) -> int:
        return -(-self.header.size // OBJECT)

    def _oid(self, number: int) -> str:
        return f"rbd_data.source.{number:016x}"

    def change(self, times: int) -> None:
        for _ in range(times):
            if self._rng.randrange(9):
                self._change_object()
            else:
                self.resize(self._rng.randrange(MOST))

    def _change_object(self) -> None:
        rng = self._rng
        if not self.header.size:
            return
        number = rng.randrange(self._count)
        there = min(OBJECT, self.header.size - number * OBJECT)
        offset = rng.randrange(there)
        length = rng.randrange(1, 1 + min(rng.choice((5, 70, OBJECT)), there - offset))
        step = rng.choice((
            ("write", offset, rng.randbytes(length)), ("write", offset, rng.randbytes(length)),
            ("write", 0, rng.randbytes(there)), ("write", offset, bytes(length)),
            ("zero", offset, length), ("truncate", offset), ("remove",)))
        self._apply(number, step)

    def _apply(self, number: int, step: Any) -> None:
        oid = self._oid(number)
        if self.site.content(oid) is None and step[0] != "write":
            return
        self.site.operate(oid, [step], list(self.header.snapshots))
        cells = bytearray(self._map.cells)
        cells[number] = (ObjectState.NONEXISTENT if self.site.content(oid) is None
                         else ObjectState.EXISTS)
        self._map = ObjectMap(cells)

    def resize(self, size: int) -> None:
        if size < self.header.size:
            self._trim(*divmod(size, OBJECT))
        self.header.size = size
        self._map = self._map.resized(self._count)

    def _trim(self, edge: int, rest: int) -> None:
        """Cut the object `edge` to `rest` bytes and remove what follows it."""
        for number in range(edge, self._count):
            self._apply(number, ("truncate", rest) if number == edge and rest else ("remove",))

    def roll_back(self, snapshot: Snapshot) -> None:
        """The image gets the map of the snapshot as it is."""
        self.resize(snapshot.size)
        for number in range(self._count):
            self.site.operate(self._oid(number), [("rollback", snapshot.id)],
                              list(self.header.snapshots))
        self._map = self.site.maps.get(object_map_oid("source", snapshot.id), self._map)
        assert shown(self.site, self.header) == self.contents[snapshot.id]

    # --- snapshots ---------------------------------------------------------------------------

    def user_snapshots(self) -> Dict[int, Snapshot]:
        return {i: s for i, s in self.header.snapshots.items()
                if isinstance(s.namespace, UserNamespace)}

    def make_user_snapshot(self) -> None:
        self._names += 1
        snap_id = self._make_snapshot(f"user{self._names}", UserNamespace())
        if not self._rng.randrange(3):
            self.header._change(snap_id, protection=Protection.PROTECTED)

    def make_mirror_snapshot(self, demote: bool = False) -> int:
        self._names += 1
        if demote:
            self.header.features |= Feature.NON_PRIMARY
        snap_id = self._make_snapshot(f".mirror.primary.{self._names}", MirrorNamespace(
            SnapState.PRIMARY_DEMOTED if demote else SnapState.PRIMARY, True, US))
        state = image_state.ImageState(
            "name", Feature(self.header.features & ~Feature.FAST_DIFF),
            snapshots={i: image_state.SnapshotState(s.name, s.namespace, s.protection)
                       for i, s in self.user_snapshots().items()},
            metadata=dict(self.header.metadata))
        for index, blob in enumerate(image_state.encode(state, OBJECT)):
            self.site.operate(image_state_oid("source", snap_id, index), [("write", 0, blob)])
        return snap_id

    def _make_snapshot(self, name: str, namespace: Any) -> int:
        snap_id = self.site.new_snapshot()
        self.site.call(header_oid("source"), "snapshot_add", Encoder().string(name).u64(
            snap_id).raw(encode_namespace(namespace)).done())
        self._save_map(self._map, snap_id)
        self._map = ObjectMap(self._map.cells.replace(b"\1", b"\3"))
        self.contents[snap_id] = shown(self.site, self.header)
        if self.blind and self._rng.randrange(2):
            self.header._change(snap_id, flags=HeaderFlag.FAST_DIFF_INVALID)
        return snap_id

    def remove_snapshot(self, snap_id: int) -> None:
        removed = self.site.maps.pop(object_map_oid("source", snap_id), None)
        newer = [i for i in sorted(self.header.snapshots) if i > snap_id]
        heir = object_map_oid("source", newer[0] if newer else None)
        if removed is not None and self.header.features & Feature.FAST_DIFF:
            self.site.maps[heir] = merged_marks(self.site.maps[heir], removed)
        del self.header.snapshots[snap_id]
        self.site.remove_snapshot(snap_id)

    def change_user_snapshots(self) -> None:
        """Remove, rename, protect."""
        for snap_id, snapshot in self.user_snapshots().items():
            roll = self._rng.randrange(6)
            if roll == 0:
                self.remove_snapshot(snap_id)
            elif roll == 1:
                self.header._change(snap_id, name=f"{snapshot.name}x")
            elif roll == 2:
                self.header._change(snap_id, protection=Protection(
                    Protection.PROTECTED - snapshot.protection))
