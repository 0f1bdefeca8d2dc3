"""The replay of a demotion, cut short at any write: what a promotion finds then."""

import asyncio
import itertools
from dataclasses import replace
from types import SimpleNamespace

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.image import Copy
from mirror_mgr.replay.journal.replay import History, JournalReplay
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.journal import (
    LOCAL_OWNER,
    ORPHAN,
    ObjectPosition,
    PeerClientData,
    Predecessor,
    TagData,
    journal_data_oid,
)
from mirror_mgr.wire.journal_entry import Entry, encode
from tests.replay.fake_rados import Killed
from tests.replay.headers import LINK
from tests.replay.journal.fake_journals import JournaledSite
from tests.virtual_time import run

_WRITE, _DEMOTION = 1, 13
WIDTH = 4


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


def test_what_was_not_noted_in_time_is_not_replayed_over_newer_data():
    """As a daemon may leave it: the copy has the demotion, its position is from before that.

    It was promoted, written to, and demoted since, and the other site is primary again.
    """
    sites = Sites()
    run(sites.replay())
    asyncio.run(sites.remote.commit(LINK.local_uuid, (ObjectPosition(1, 0, 1),)))
    newer = b"newer" * 20

    async def there_and_back():
        await sites.local.allocate(TagData(LOCAL_OWNER, Predecessor(ORPHAN, True, 1, 1)), 0)
        sites.b.operate(f"rbd_data.copy.{1:016x}", [("write", 0, newer)])
        demotion = Predecessor("", True, 2, 7)
        await sites.local.allocate(TagData(ORPHAN, demotion), 0)
        await sites.remote.allocate(TagData(LINK.local_uuid, Predecessor(ORPHAN, True, 1, 1)), 0)
        await sites.remote.allocate(TagData(
            ORPHAN, replace(demotion, mirror_uuid=LINK.local_uuid)), 0)
        await sites.remote.allocate(TagData(LOCAL_OWNER, Predecessor(ORPHAN, True, 3, 1)), 0)
        sites._append(4, 0, write(2048, b"last"))
        await sites.remote.allocate(TagData(ORPHAN, Predecessor("", True, 4, 0)), 0)
        sites._append(5, 0, event(_DEMOTION))

    asyncio.run(there_and_back())
    run(sites.replay())
    assert sites.b.content(f"rbd_data.copy.{1:016x}")[:len(newer)] == newer
    assert sites.b.content(f"rbd_data.copy.{2:016x}")[:4] == b"last"
    assert sites.noted[1:] == (5, 0)


def test_a_failback_that_was_not_noted_in_time_is_gone_on_with():
    """What is not replayed again is not missed, either."""
    sites = Sites()
    run(sites.replay())

    async def go_on():
        promotion = Predecessor(ORPHAN, True, 1, 1)
        await sites.local.allocate(TagData(LINK.remote_uuid, promotion), 0)
        await sites.remote.allocate(TagData(LOCAL_OWNER, promotion), 0)
        sites.a.operate(journal_data_oid(1, "source", 0), [("truncate", 0)])
        for tid in (0, 4):
            sites._append(0, tid, write(512 * tid, b"older"))
        sites._append(1, 0, event(_DEMOTION))
        await sites.remote.commit(LINK.local_uuid, (ObjectPosition(1, 0, 1),))
        await sites.remote.commit("", (ObjectPosition(1, 0, 5),))
        sites._append(2, 0, write(2048, b"last"))
        await sites.remote.allocate(TagData(ORPHAN, Predecessor("", True, 2, 0)), 0)
        sites._append(3, 0, event(_DEMOTION))

    asyncio.run(go_on())
    run(sites.replay())
    assert sites.b.content(f"rbd_data.copy.{0:016x}")[:5] == sites.written[0][:5]
    assert sites.b.content(f"rbd_data.copy.{2:016x}")[:4] == b"last"
    assert sites.noted[1:] == (3, 0)


def test_a_demotion_that_is_over_is_none_to_promote_the_copy_by(monkeypatch):
    """The other site was promoted again before its demotion was replayed here."""
    sites = Sites()

    async def promote_and_demote():
        await sites.remote.allocate(TagData(LOCAL_OWNER, Predecessor(ORPHAN, True, 1, 0)), 0)
        sites._append(2, 0, write(2048, b"last"))
        await sites.remote.allocate(TagData(ORPHAN, Predecessor("", True, 2, 0)), 0)
        sites._append(3, 0, event(_DEMOTION))

    asyncio.run(promote_and_demote())
    owners = []

    async def allocate(journal, data, tag_class, allocate=ImageJournal.allocate):
        owners.append(data.mirror_uuid)
        return await allocate(journal, data, tag_class)

    monkeypatch.setattr(ImageJournal, "allocate", allocate)
    run(sites.replay())
    assert ORPHAN not in owners[:-1] and owners[-1] == ORPHAN
    assert sites.b.content(f"rbd_data.copy.{2:016x}")[:4] == b"last"
    assert sites.is_promotable and sites.noted[1:] == (3, 0)


def test_without_a_change_of_roles_it_goes_on_where_that_is_noted():
    """A daemon may have entered a tag and have passed over the last entries of the one before."""
    sites = Sites()

    async def enter_next():
        sites.a.journals["journal.source"].tags.popitem()
        sites.a.operate(journal_data_oid(1, "source", 0), [("truncate", 0)])
        for tid in (0, 4):
            sites._append(0, tid, write(512 * tid, sites.written[tid]))
        await sites.remote.commit(LINK.local_uuid, (ObjectPosition(1, 0, 1),))
        before = Predecessor("", True, 0, 5)
        await sites.remote.allocate(TagData(LOCAL_OWNER, before), 0)
        await sites.local.allocate(TagData(
            LINK.remote_uuid, replace(before, mirror_uuid=LINK.remote_uuid)), 0)
        await sites.remote.allocate(TagData(ORPHAN, before), 0)
        sites._append(2, 0, event(_DEMOTION))

    asyncio.run(enter_next())
    run(sites.replay())
    assert sites.b.content(f"rbd_data.copy.{1:016x}")[:100] == sites.written[2]


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
