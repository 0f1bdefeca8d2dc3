"""The replay of a demotion, cut short at any write: what a promotion finds then."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest

from mirror_mgr.cluster import operation
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.image import Copy
from mirror_mgr.replay.journal.replay import History, JournalReplay
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.journal import (
    LOCAL_OWNER,
    ORPHAN,
    PeerClientData,
    Predecessor,
    TagData,
    journal_data_oid,
)
from mirror_mgr.wire.journal_entry import Entry, encode
from tests.replay.fake_rados import Killed, WriteOp
from tests.replay.headers import LINK
from tests.replay.journal.fake_journals import JournaledSite
from tests.virtual_time import run

_WRITE, _DEMOTION = 1, 13
WIDTH = 4


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    monkeypatch.setattr(operation.rados, "WriteOp", WriteOp, raising=False)


def crc(data):
    return sum(data) & 0xffffffff


def event(number, body=b""):
    return (Encoder().struct(5, 1, Encoder().u32(number).raw(body))
            .struct(1, 1, Encoder().utime(0)).done())


def write(offset, data):
    return event(_WRITE, Encoder().u64(offset).u64(len(data)).bytes_(data).done())


class Sites:
    """`a` has the primary and wrote to it, then demoted it; `b` has the copy."""

    def __init__(self):
        self.a, self.b = JournaledSite(), JournaledSite()
        features = Feature.LAYERING | Feature.JOURNALING
        self.a.add_image("i", "source", features, 4096)
        self.b.add_image("i", "copy", features, 4096)
        self.remote = ImageJournal(self.a.pool(), "source")
        self.local = ImageJournal(self.b.pool(), "copy")
        asyncio.run(self._begin())

    async def _begin(self):
        await self.local.create(LINK.remote_uuid)
        await self.remote.create(LOCAL_OWNER)
        await self.remote.register(LINK.local_uuid, PeerClientData("copy"))
        self.written = [bytes((65 + tid,)) * 100 for tid in range(6)]
        for tid, data in enumerate(self.written):
            self._append(0, tid, write(512 * tid, data))
        await self.remote.allocate(TagData(ORPHAN, Predecessor("", True, 0, 5)), 0)
        self._append(1, 0, event(_DEMOTION))

    def _append(self, tag, tid, data):
        oid = journal_data_oid(1, "source", tid % WIDTH)
        whole = (self.a.content(oid) or b"") + encode(Entry(tag, tid, data), crc)
        self.a.operate(oid, [("write", 0, whole)])

    async def replay(self):
        hold = SimpleNamespace(check=lambda: None, lost=asyncio.Event())
        header = await self.remote.header()
        last = (await self.local.header()).last_tag
        await asyncio.wait_for(JournalReplay(
            Copy(self.b.pool(), "copy"), "i", self.local, self.remote, header, last, LINK, hold,
            Budget(1 << 20), crc, lambda: None, lambda header: 0, History()).run(), 60)

    @property
    def is_promotable(self):
        return self.b.journal("copy").last_tag.owner == ORPHAN

    @property
    def has_all(self):
        data = b"".join(
            (self.b.content(f"rbd_data.copy.{n:016x}") or b"").ljust(1024, b"\0") for n in range(4))
        return all(data[512 * tid:512 * tid + 100] == what
                   for tid, what in enumerate(self.written))

    @property
    def noted(self):
        return self.a.journal("source").front(LINK.local_uuid)


def test_what_a_promotion_finds_after_a_kill_at_any_write():
    """All of it; and it is noted that this is here, lest it be replayed once more after a failback,
    over what was written here meanwhile."""
    for at_primary in (False, True):
        for lives in itertools.count():
            sites = Sites()
            dying = sites.a if at_primary else sites.b
            dying.lives = lives
            try:
                run(sites.replay())
                break
            except Killed:
                pass
            if sites.is_promotable:
                assert sites.has_all
                assert sites.noted is not None and sites.noted[1:] >= (0, 5)
            dying.lives = None
            run(sites.replay())
            assert sites.is_promotable and sites.has_all and sites.noted[1:] == (1, 0)
        assert lives > 1
