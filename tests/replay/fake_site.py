"""A site in memory: data objects as FakeRados keeps them, and what the class `rbd` keeps of images.
"""

import errno
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from mirror_mgr.errors import AlreadyExists, Busy, MirrorError, NotFound, from_errno
from mirror_mgr.wire.constants import (
    NO_SNAP_LIMIT,
    NOSNAP,
    Feature,
    HeaderFlag,
    ObjectState,
    Protection,
)
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import (
    MirrorNamespace,
    Snapshot,
    decode_namespace,
    encode_namespace,
)
from tests.replay.fake_rados import FakeConnection, FakePool, FakeRados

ORDER = 10


@dataclass
class FakeHeader:
    """An rbd_header object; each change of it is a new `version`."""

    image_id: str
    size: int
    features: Feature
    version: int = 1
    snap_seq: int = 0
    snap_limit: int = NO_SNAP_LIMIT
    snapshots: Dict[int, Snapshot] = field(default_factory=dict)
    metadata: Dict[str, bytes] = field(default_factory=dict)

    def omap(self) -> Dict[str, bytes]:
        found = {
            "size": _u64(self.size), "order": bytes((ORDER,)), "features": _u64(self.features),
            "object_prefix": Encoder().string(f"rbd_data.{self.image_id}").done(),
            "snap_seq": _u64(self.snap_seq), "snap_limit": _u64(self.snap_limit)}
        found.update({f"snapshot_{snap_id:016x}": encode_snapshot(snapshot)
                      for snap_id, snapshot in self.snapshots.items()})
        found.update({f"metadata_{key}": value for key, value in self.metadata.items()})
        return found

    # --- methods of cls_rbd, by name ---------------------------------------------------------

    def set_size(self, source: Decoder) -> None:
        self.size = source.u64()

    def set_features(self, source: Decoder) -> None:
        features, mask = source.u64(), source.u64()
        self.features = Feature(self.features & ~mask | features & mask)

    def set_flags(self, source: Decoder) -> None:
        flags, mask, snap_id = source.u64(), source.u64(), source.u64()
        assert flags == mask
        if snap_id != NOSNAP:
            self._change(snap_id, flags=HeaderFlag(flags))

    def snapshot_add(self, source: Decoder) -> None:
        name, snap_id, namespace = source.string(), source.u64(), decode_namespace(source)
        if any((s.name, type(s.namespace)) == (name, type(namespace))
               for s in self.snapshots.values()):
            raise AlreadyExists(name)
        if snap_id <= self.snap_seq:
            raise from_errno(errno.ESTALE, name)
        self.snap_seq = snap_id
        self.snapshots[snap_id] = Snapshot(snap_id, name, self.size, namespace=namespace,
                                           timestamp_ns=snap_id * 10**9)

    def snapshot_remove(self, source: Decoder) -> None:
        snap_id = source.u64()
        if self._snapshot(snap_id).protection != Protection.UNPROTECTED:
            raise Busy("protected")
        del self.snapshots[snap_id]

    def snapshot_rename(self, source: Decoder) -> None:
        self._change(source.u64(), name=source.string())

    def snapshot_set_limit(self, source: Decoder) -> None:
        self.snap_limit = source.u64()

    def set_protection_status(self, source: Decoder) -> None:
        self._change(source.u64(), protection=Protection(source.u8()))

    def mirror_image_snapshot_set_copy_progress(self, source: Decoder) -> None:
        snap_id, complete, last = source.u64(), source.boolean(), source.u64()
        namespace = self._snapshot(snap_id).namespace
        assert isinstance(namespace, MirrorNamespace)
        self._change(snap_id, namespace=replace(
            namespace, complete=complete, last_copied_object_number=last))

    def metadata_set(self, source: Decoder) -> None:
        self.metadata.update(source.map_(Decoder.string, Decoder.bytes_))

    def metadata_remove(self, source: Decoder) -> None:
        del self.metadata[source.string()]

    def _snapshot(self, snap_id: int) -> Snapshot:
        if snap_id not in self.snapshots:
            raise NotFound(f"snapshot {snap_id}")
        return self.snapshots[snap_id]

    def _change(self, snap_id: int, **changes: Any) -> None:
        self.snapshots[snap_id] = replace(self._snapshot(snap_id), **changes)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """``cls_rbd_snap`` of version 8."""
    body = Encoder().u64(snapshot.id).string(snapshot.name).u64(snapshot.size)
    body.u8(snapshot.protection).u64(snapshot.flags).raw(encode_namespace(snapshot.namespace))
    body.utime(snapshot.timestamp_ns).u32(snapshot.child_count)
    body.optional(snapshot.parent_overlap, Encoder.u64)
    return Encoder().struct(8, 8, body).done()


def _u64(value: int) -> bytes:
    return Encoder().u64(value).done()


def merged_marks(newer: ObjectMap, removed: ObjectMap) -> ObjectMap:
    """What object_map_snap_remove makes of the next newer map."""
    return ObjectMap(bytes(
        ObjectState.EXISTS if cell == ObjectState.EXISTS_CLEAN and (
            n >= len(removed) or removed[n] == ObjectState.EXISTS) else cell
        for n, cell in enumerate(newer.cells)))


class FakeSite(FakeRados):
    """`headers` and `maps` by object name."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.headers: Dict[str, FakeHeader] = {}
        self.maps: Dict[str, ObjectMap] = {}

    def pool(self) -> "SitePool":
        return SitePool(self)

    def call(self, oid: str, method: str, data: bytes) -> bytes:
        if method.startswith("object_map_"):
            return self._call_map(oid, method, data)
        header = self.header(oid)
        getattr(header, method)(Decoder(data))
        header.version += 1
        return b""

    def header(self, oid: str) -> FakeHeader:
        if oid not in self.headers:
            raise NotFound(oid)
        return self.headers[oid]

    def _call_map(self, oid: str, method: str, data: bytes) -> bytes:
        if method == "object_map_save":
            self.maps[oid] = ObjectMap.decode(data)
            return b""
        if oid not in self.maps:
            raise NotFound(oid)
        if method == "object_map_load":
            return self.maps[oid].encode()
        assert method == "object_map_snap_remove"
        self.maps[oid] = merged_marks(self.maps[oid], ObjectMap.decode(data))
        return b""


class FakeWatch:
    handle = 1

    def confirmed_ms_ago(self) -> float:
        return 0.0

    async def close(self) -> None:
        pass


class SiteConnection(FakeConnection):
    """Of a site whose pools hold no clones of format 1."""

    async def pool_names(self) -> Dict[int, str]:
        return {}

    def pool_name(self, pool_id: int) -> str:
        return "p"


class SitePool(FakePool):
    """What the replay uses of cluster.pool.Pool."""

    pool_id = 1
    namespace = ""
    connection = SiteConnection()

    def at_snapshot(self, snap_id: int) -> "SitePool":
        return SitePool(self.rados, snap_id)

    def with_snap_context(self, snap_ids: Sequence[int]) -> "SitePool":
        return SitePool(self.rados, None, tuple(snap_ids))

    def fork(self) -> "SitePool":
        return SitePool(self.rados)

    async def omap(self, oid: str, most: int = 0) -> Dict[str, bytes]:
        await self.rados.turn()
        return self.rados.header(oid).omap()

    async def omap_versioned(self, oid: str) -> Tuple[Dict[str, bytes], int]:
        omap = await self.omap(oid)
        return omap, self.rados.header(oid).version

    async def call(self, oid: str, call: Any, reply: int = 0) -> bytes:
        await self.rados.turn()
        if call.method != "object_map_load":
            self.rados.count_write()
        return self.rados.call(oid, call.method, call.data)

    async def operate(self, oid: str, operation: Any) -> None:
        names = {name for name, *_ in operation.steps}
        if not names & {"call", "version", "write_full"}:
            await super().operate(oid, operation)
            return
        await self.rados.turn()
        self.rados.count_write()
        for name, *arguments in operation.steps:
            if name == "version" and self.rados.header(oid).version != arguments[0]:
                raise MirrorError("the version differs", errno.ERANGE)
            if name == "call":
                self.rados.call(oid, *arguments[1:])
            if name == "write_full":
                self.rados.operate(oid, [("create", False), ("truncate", 0),
                                         ("write", 0, arguments[0])])

    async def operate_versioned(self, oid: str, operation: Any) -> int:
        await self.operate(oid, operation)
        return self.rados.header(oid).version

    async def remove(self, oid: str) -> bool:
        await self.rados.turn()
        self.rados.count_write()
        if self.rados.maps.pop(oid, None) is not None:
            return True
        if self.rados.content(oid) is None:
            return False
        self.rados.operate(oid, [("remove",)])
        return True

    async def new_snap_ids(self, count: int) -> List[int]:
        await self.rados.turn()
        return [self.rados.new_snapshot() for _ in range(count)]

    async def remove_snap_id(self, snap_id: int) -> None:
        await self.rados.turn()
        self.rados.count_write()
        self.rados.remove_snapshot(snap_id)

    async def roll_back(self, oid: str, snap_id: int) -> None:
        await self.rados.turn()
        self.rados.count_write()
        if self.rados.content(oid) is not None or self.rados.content(oid, snap_id) is not None:
            self.rados.operate(oid, [("rollback", snap_id)], self._context)

    async def notify(self, oid: str, payload: bytes = b"") -> None:
        await self.rados.turn()

    async def watch(self, oid: str, notified: Callable[[bytes], None],
                    lost: Callable[[], None]) -> FakeWatch:
        await self.rados.turn()
        return FakeWatch()


def shown(site: FakeSite, header: FakeHeader, snapshot: Optional[Snapshot] = None) -> bytes:
    """The content of an image, now or at a snapshot."""
    size = header.size if snapshot is None else snapshot.size
    snap_id = None if snapshot is None else snapshot.id
    count = -(-size >> ORDER)  # rounded up
    objects = (site.content(f"rbd_data.{header.image_id}.{n:016x}", snap_id) or b""
               for n in range(count))
    return b"".join(data.ljust(1 << ORDER, b"\0") for data in objects)[:size]
