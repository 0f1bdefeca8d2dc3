"""A site in memory as FakeSite, with what makes an image known: directory, mirroring, trash and
journal.
"""

import errno
from dataclasses import replace
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from mirror_mgr.errors import AlreadyExists, Busy, MirrorError, NotFound
from mirror_mgr.wire.constants import Feature, ImageMode, MirrorImageState, TrashState
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.header import DIRECTORY, MIRRORING, TRASH, header_oid, id_oid
from mirror_mgr.wire.journal import (
    Client,
    ClientState,
    JournalHeader,
    decode_positions,
    encode_positions,
)
from mirror_mgr.wire.mirror import MirrorImage
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.trash import TrashEntry
from tests.replay.fake_site import FakeHeader, FakeSite, SiteConnection, SitePool

_CONF = {"rbd_journal_order": "24", "rbd_journal_splay_width": "4"}


class JournaledConnection(SiteConnection):
    """`conf` may be changed; `nearly_full` are the ids of pools."""

    instance_id = 4100

    def __init__(self, site: "JournaledSite") -> None:
        self.conf = dict(_CONF)
        self.nearly_full: FrozenSet[int] = frozenset()
        self.full = self
        self._site = site

    def conf_get(self, option: str) -> str:
        return self.conf.get(option, "")

    async def near(self) -> FrozenSet[int]:
        return self.nearly_full

    def pool(self, pool_id: int, namespace: str = "") -> "JournaledPool":
        return self._site.pool()

    def pool_name(self, pool_id: int) -> Optional[str]:
        return "p"


class FakeJournal:
    """The header of a journal; each change of it by a method is a new `version`."""

    def __init__(self) -> None:
        self.version = 1
        self.clients: Dict[str, Client] = {}
        self.tags: Dict[int, bytes] = {}

    def omap(self) -> Dict[str, bytes]:
        found = {"order": bytes((24,)), "splay_width": bytes((4,)),
                 "pool_id": Encoder().s64(-1).done()}
        for key, value in (("minimum_set", 0), ("active_set", 0), ("next_tag_tid", len(self.tags))):
            found[key] = Encoder().u64(value).done()
        found.update({f"client_{client.id}": _encoded(client) for client in self.clients.values()})
        found.update({f"tag_{tid:016x}": _tag(tid, data) for tid, data in self.tags.items()})
        return found

    # --- methods of cls_journal, by name -----------------------------------------------------

    def create(self, source: Decoder) -> None:
        raise AlreadyExists("journal")

    def client_register(self, source: Decoder) -> None:
        client = Client(source.string(), source.bytes_())
        if client.id in self.clients:
            raise AlreadyExists(client.id)
        self.clients[client.id] = client

    def client_update_data(self, source: Decoder) -> None:
        client_id = source.string()
        self.clients[client_id] = replace(self.clients[client_id], data=source.bytes_())

    def client_unregister(self, source: Decoder) -> None:
        if self.clients.pop(source.string(), None) is None:
            raise NotFound("client")

    def client_commit(self, source: Decoder) -> None:
        client_id = source.string()
        self.clients[client_id] = replace(
            self.clients[client_id], positions=decode_positions(source))

    def get_next_tag_tid(self, source: Decoder) -> bytes:
        return Encoder().u64(len(self.tags)).done()

    def tag_create(self, source: Decoder) -> None:
        tid, _ = source.u64(), source.u64()
        if tid != len(self.tags):
            raise MirrorError("stale", errno.ESTALE)
        self.tags[tid] = source.bytes_()

    def get_tag(self, source: Decoder) -> bytes:
        tid = source.u64()
        return _tag(tid, self.tags[tid])


def _encoded(client: Client) -> bytes:
    return Encoder().struct(1, 1, Encoder().string(client.id).bytes_(client.data).raw(
        encode_positions(client.positions)).u8(ClientState.CONNECTED)).done()


def _tag(tid: int, data: bytes) -> bytes:
    return Encoder().struct(1, 1, Encoder().u64(tid).u64(0).bytes_(data)).done()


class JournaledSite(FakeSite):
    """`names` is the directory, ids by name; `mirrored` and `trash` are by id; journals by name of
    their header; `records` are omaps of objects of ours."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.names: Dict[str, str] = {}
        self.mirrored: Dict[str, MirrorImage] = {}
        self.trash: Dict[str, TrashEntry] = {}
        self.journals: Dict[str, FakeJournal] = {}
        self.records: Dict[str, Dict[str, bytes]] = {}
        self.mirror_uuid = ""
        self.connection = JournaledConnection(self)

    def pool(self) -> "JournaledPool":
        return JournaledPool(self)

    def journal(self, image_id: str) -> JournalHeader:
        return JournalHeader.from_omap(self.journals[f"journal.{image_id}"].omap())

    def everything(self) -> Dict[str, Any]:
        """All that is here, to be compared."""
        return {
            **{oid: found.content() for oid, found in self.objects.items() if oid != TRASH},
            **{oid: header.omap() for oid, header in self.headers.items()},
            **{oid: journal.omap() for oid, journal in self.journals.items()},
            **{oid: bytes(cells.cells) for oid, cells in self.maps.items()},
            DIRECTORY: dict(self.names), MIRRORING: dict(self.mirrored), TRASH: dict(self.trash)}

    def add_image(self, name: str, image_id: str, features: Feature, size: int) -> None:
        """One that a user made."""
        self.names[name] = image_id
        self.operate(id_oid(name), [("write", 0, Encoder().string(image_id).done())])
        self.headers[header_oid(image_id)] = FakeHeader(image_id, size, features)
        self.operate(f"rbd_data.{image_id}.{0:016x}", [("write", 0, b"data")])

    def call(self, oid: str, method: str, data: bytes) -> bytes:
        if oid in (DIRECTORY, MIRRORING, TRASH):
            return getattr(self, f"_{method}")(Decoder(data)) or b""
        if oid.startswith("journal."):
            return self._call_journal(oid, method, data)
        if method == "set_id":
            if self.content(oid) is not None:
                raise AlreadyExists(oid)
            self.operate(oid, [("write", 0, data)])
            return b""
        if method == "create":
            if oid in self.headers:
                raise AlreadyExists(oid)
            self.headers[oid] = _created(oid, Decoder(data))
            return b""
        if method == "object_map_resize":
            self.maps[oid] = ObjectMap(bytes(Decoder(data).u64()))
            return b""
        return super().call(oid, method, data)

    def _call_journal(self, oid: str, method: str, data: bytes) -> bytes:
        if method == "create" and oid not in self.journals:
            self.journals[oid] = FakeJournal()
            return b""
        if oid not in self.journals:
            raise NotFound(oid)
        if not method.startswith("get"):
            self.journals[oid].version += 1
        return getattr(self.journals[oid], method)(Decoder(data)) or b""

    def header(self, oid: str) -> Any:
        return self.journals.get(oid) or super().header(oid)

    # --- methods of cls_rbd, by name ---------------------------------------------------------

    def _dir_add_image(self, source: Decoder) -> None:
        name = source.string()
        if name in self.names:
            raise AlreadyExists(name)
        self.names[name] = source.string()

    def _dir_remove_image(self, source: Decoder) -> None:
        name, image_id = source.string(), source.string()
        if image_id not in self.names.values():
            raise NotFound(name)
        if self.names.get(name) != image_id:
            raise MirrorError(name, errno.ESTALE)
        del self.names[name]

    def _dir_rename_image(self, source: Decoder) -> None:
        old, new, image_id = source.string(), source.string(), source.string()
        if new in self.names:
            raise AlreadyExists(new)
        if self.names.get(old) != image_id:
            raise MirrorError(old, errno.ESTALE)
        self.names[new] = self.names.pop(old)

    def _dir_get_id(self, source: Decoder) -> bytes:
        name = source.string()
        if name not in self.names:
            raise NotFound(name)
        return Encoder().string(self.names[name]).done()

    def _dir_get_name(self, source: Decoder) -> bytes:
        image_id = source.string()
        for name, known in self.names.items():
            if known == image_id:
                return Encoder().string(name).done()
        raise NotFound(image_id)

    def _mirror_uuid_get(self, source: Decoder) -> bytes:
        return Encoder().string(self.mirror_uuid).done()

    def _mirror_image_get(self, source: Decoder) -> bytes:
        image_id = source.string()
        if image_id not in self.mirrored:
            raise NotFound(image_id)
        return self.mirrored[image_id].encode()

    def _mirror_image_get_image_id(self, source: Decoder) -> bytes:
        global_id = source.string()
        for image_id, image in self.mirrored.items():
            if image.global_id == global_id:
                return Encoder().string(image_id).done()
        raise NotFound(global_id)

    def _mirror_image_set(self, source: Decoder) -> None:
        image_id, image = source.string(), MirrorImage.decode(source)
        if image_id not in self.mirrored and image.state == MirrorImageState.DISABLING:
            raise NotFound(image_id)
        self.mirrored[image_id] = image

    def _mirror_image_remove(self, source: Decoder) -> None:
        image_id = source.string()
        if image_id not in self.mirrored:
            raise NotFound(image_id)
        if self.mirrored[image_id].state != MirrorImageState.DISABLING:
            raise Busy(image_id)
        del self.mirrored[image_id]

    def _trash_add(self, source: Decoder) -> None:
        image_id = source.string()
        if image_id in self.trash:
            raise AlreadyExists(image_id)
        self.trash[image_id] = TrashEntry.decode(source)

    def _trash_remove(self, source: Decoder) -> None:
        if self.trash.pop(source.string(), None) is None:
            raise NotFound("trash")

    def _trash_get(self, source: Decoder) -> bytes:
        return self._trashed(source.string()).encode()

    def _trash_state_set(self, source: Decoder) -> None:
        image_id, state, expected = source.string(), source.u8(), source.u8()
        entry = self._trashed(image_id)
        if entry.state not in (state, expected):
            raise MirrorError(image_id, errno.ESTALE)
        self.trash[image_id] = replace(entry, state=TrashState(state))

    def _trash_list(self, source: Decoder) -> bytes:
        after, count = source.string(), source.u64()
        page = sorted(image_id for image_id in self.trash if image_id > after)[:count]
        return Encoder().map_({image_id: self.trash[image_id] for image_id in page}, Encoder.string,
                              lambda target, entry: target.raw(entry.encode())).done()

    def _trashed(self, image_id: str) -> TrashEntry:
        if image_id not in self.trash:
            raise NotFound(image_id)
        return self.trash[image_id]


def _created(oid: str, source: Decoder) -> FakeHeader:
    size, _, features = source.u64(), source.u8(), Feature(source.u64())
    return FakeHeader(oid.partition(".")[2], size, features)


class JournaledPool(SitePool):
    """What the making and removal of a copy in journal mode use of cluster.pool.Pool."""

    def __init__(self, rados: "JournaledSite", snap_id: Optional[int] = None,
                 context: Sequence[int] = ()) -> None:
        super().__init__(rados, snap_id, context)
        self.connection = rados.connection

    def fork(self) -> "JournaledPool":
        return JournaledPool(self.rados)

    def with_snap_context(self, snap_ids: Sequence[int]) -> "JournaledPool":
        return JournaledPool(self.rados, None, tuple(snap_ids))

    async def omap(self, oid: str, most: int = 0) -> Dict[str, bytes]:
        if oid.startswith("rbd_"):
            return await super().omap(oid)
        await self.rados.turn()
        if oid in self.rados.records:
            return dict(self.rados.records[oid])
        if oid not in self.rados.journals:
            raise NotFound(oid)
        return self.rados.journals[oid].omap()

    async def change_omap(self, oid: str, changes: Mapping[str, Optional[bytes]]) -> None:
        await self.rados.turn()
        self.rados.count_write()
        omap = self.rados.records.setdefault(oid, {})
        for key, value in changes.items():
            if value is None:
                omap.pop(key, None)
            else:
                omap[key] = value

    async def call(self, oid: str, call: Any, reply: int = 0) -> bytes:
        await self.rados.turn()
        if "_get" not in call.method and not call.method.startswith("get") and (
                "list" not in call.method):
            self.rados.count_write()
        return self.rados.call(oid, call.method, call.data)

    async def notify(self, oid: str, payload: bytes = b"", timeout_ms: int = 0) -> None:
        """Nobody hears it, and it goes on when the client is dead."""

    async def operate_all(self, operations: Sequence[Tuple[str, Any]]
                          ) -> List[Optional[MirrorError]]:
        for oid, one in operations:
            await self.operate(oid, one)
        return [None] * len(operations)

    async def remove(self, oid: str) -> bool:
        for kept in (self.rados.headers, self.rados.journals):
            if oid in kept:
                await self.rados.turn()
                self.rados.count_write()
                del kept[oid]
                return True
        return await super().remove(oid)


def mirrored(global_id: str, state: MirrorImageState = MirrorImageState.ENABLED) -> MirrorImage:
    return MirrorImage(global_id, state, ImageMode.JOURNAL)
