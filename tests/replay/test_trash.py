"""What a sweep of the trash takes, leaves, and tells."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from mirror_mgr.errors import Busy, Fenced, NotFound
from mirror_mgr.replay import trash
from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import ImageMode, MirrorImageState, TrashSource
from mirror_mgr.wire.encoding import Decoder
from mirror_mgr.wire.mirror import MirrorImage
from mirror_mgr.wire.trash import TrashEntry


class Trash:
    """`faults` are what the removal of an image raises."""

    connection = SimpleNamespace(conf_get=lambda option: "", full=None)

    def __init__(self, monkeypatch, entries):
        self.connection.full = self
        self.entries = entries
        self.faults = {}
        self.purged = []
        monkeypatch.setattr(cls_rbd, "decode_trash_list", lambda reply: self.entries)
        monkeypatch.setattr(trash, "_purge", self.purge)
        monkeypatch.setattr(trash, "_leave_mirroring", self.leave)

    async def near(self):
        return frozenset()

    async def call(self, oid, call, reply=0):
        if call.method == "trash_get":
            return self.entries[Decoder(call.data).string()].encode()
        if call.method in ("dir_get_name", "mirror_image_get"):
            raise NotFound("")
        return b""

    async def leave(self, pool, image_id, name, global_id, mode):
        pass

    async def purge(self, pool, image_id):
        await asyncio.sleep(0)
        if image_id in self.faults:
            raise self.faults[image_id]
        self.purged.append(image_id)

    def sweep(self, told, mirrored=None, at_once=1, retry=True, is_ours=lambda key: True):
        asyncio.run(trash.sweep(self, mirrored or {}, at_once, retry, told, is_ours))


def entry(source=TrashSource.MIRRORING, seconds=-1):
    now = time.time_ns()
    return TrashEntry(source, "name", now, now + seconds * 10**9)


def test_only_what_is_ours_and_due(monkeypatch):
    found = Trash(monkeypatch, {
        "due": entry(), "later": entry(seconds=100), "a user's": entry(TrashSource.USER),
        "mirrored": entry(), "disabling": entry()})
    found.sweep(trash.Sweep(), {
        name: MirrorImage("g", state, ImageMode.SNAPSHOT) for name, state in (
            ("mirrored", MirrorImageState.ENABLED), ("disabling", MirrorImageState.DISABLING))})
    assert found.purged == ["due", "disabling"]


def test_what_is_for_another_worker_stays(monkeypatch):
    """One that is still mirrored goes with its global id, as its copy does."""
    found = Trash(monkeypatch, {"a": entry(), "b": entry(), "c": entry()})
    found.sweep(trash.Sweep(), {
        "c": MirrorImage("g", MirrorImageState.DISABLING, ImageMode.SNAPSHOT)},
        is_ours=lambda key: key in ("b", "g"))
    assert found.purged == ["b", "c"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_one_that_can_t_go_holds_up_no_other(monkeypatch, at_once):
    found = Trash(monkeypatch, {"a": entry(), "b": entry()})
    found.faults["a"] = Busy("it has clones")
    told = trash.Sweep()
    found.sweep(told, at_once=at_once)
    assert (found.purged, told.waiting, told.failed) == (["b"], [], {"a": "it has clones"})
    found.entries, found.faults = {"a": entry(), "c": entry()}, {}
    found.sweep(told, retry=False)
    assert (found.purged, told.failed) == (["b", "c"], {"a": "it has clones"})
    found.entries = {"a": entry()}
    found.sweep(told)
    assert (found.purged, told.failed) == (["b", "c", "a"], {})


def test_a_blocklisted_client_ends(monkeypatch):
    found = Trash(monkeypatch, {"a": entry()})
    found.faults["a"] = Fenced("")
    with pytest.raises(Fenced):
        found.sweep(trash.Sweep())
