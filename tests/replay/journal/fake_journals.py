"""A site in memory as FakeSite, with what makes an image known: directory, mirroring, trash and
journal.
"""

import errno
from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mirror_mgr.errors import AlreadyExists, Busy, MirrorError, NotFound
from mirror_mgr.wire.constants import Feature, ImageMode, MirrorImageState
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
    instance_id = 4100

    def conf_get(self, option: str) -> str:
        return _CONF.get(option, "")


class FakeJournal:
    """The header of a journal."""

    def __init__(self) -> None:
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
    their header."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.names: Dict[str, str] = {}
        self.mirrored: Dict[str, MirrorImage] = {}
        self.trash: Dict[str, TrashEntry] = {}
        self.journals: Dict[str, FakeJournal] = {}

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
            self.operate(oid, [("write", 0, data)])
            return b""
        if method == "create":
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
        return getattr(self.journals[oid], method)(Decoder(data)) or b""

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
        assert self.names[name] == image_id
        del self.names[name]

    def _dir_get_name(self, source: Decoder) -> bytes:
        image_id = source.string()
        for name, known in self.names.items():
            if known == image_id:
                return Encoder().string(name).done()
        raise NotFound(image_id)

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

    def _trash_list(self, source: Decoder) -> bytes:
        return Encoder().map_(self.trash, Encoder.string, lambda target, entry: target.raw(
            entry.encode())).done()


def _created(oid: str, source: Decoder) -> FakeHeader:
    size, _, features = source.u64(), source.u8(), Feature(source.u64())
    return FakeHeader(oid.partition(".")[2], size, features)


class JournaledPool(SitePool):
    """What the making and removal of a copy in journal mode use of cluster.pool.Pool."""

    connection = JournaledConnection()

    def fork(self) -> "JournaledPool":
        return JournaledPool(self.rados)

    def with_snap_context(self, snap_ids: Sequence[int]) -> "JournaledPool":
        return JournaledPool(self.rados, None, tuple(snap_ids))

    async def omap(self, oid: str, most: int = 0) -> Dict[str, bytes]:
        if not oid.startswith("journal."):
            return await super().omap(oid)
        await self.rados.turn()
        if oid not in self.rados.journals:
            raise NotFound(oid)
        return self.rados.journals[oid].omap()

    async def call(self, oid: str, call: Any, reply: int = 0) -> bytes:
        await self.rados.turn()
        if "_get" not in call.method and not call.method.startswith("get") and (
                "list" not in call.method):
            self.rados.count_write()
        return self.rados.call(oid, call.method, call.data)

    async def operate(self, oid: str, operation: Any) -> None:
        steps = operation.steps
        if ("create", True) in steps and oid in self.rados.headers:
            raise AlreadyExists(oid)
        if ("create", True) in steps and self.rados.content(oid) is not None:
            raise AlreadyExists(oid)
        await super().operate(oid, operation)

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
