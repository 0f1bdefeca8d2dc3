"""Copies whose primary is gone: what goes when, and what stays whatever happens meanwhile."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from mirror_mgr import states
from mirror_mgr.errors import Fenced, MalformedData
from mirror_mgr.replay import trash
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.wire.constants import Feature, ImageMode, MirrorImageState, MirrorMode
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import header_oid, id_oid
from mirror_mgr.wire.journal import LOCAL_OWNER, ORPHAN, TagData
from mirror_mgr.wire.mirror import MirrorImage, MirrorPool
from mirror_mgr.worker import missing as missing_module
from mirror_mgr.worker import removal_rules as rules
from mirror_mgr.worker.missing import MissingPrimaries
from mirror_mgr.worker.pool import orphaned
from mirror_mgr.worker.removal_rules import Delays, Record
from tests.replay import headers
from tests.replay.fake_rados import Killed
from tests.replay.headers import LINK
from tests.replay.journal.fake_journals import JournaledSite

MODES = [ImageMode.SNAPSHOT, ImageMode.JOURNAL]
ENABLED, DISABLING = MirrorImageState.ENABLED, MirrorImageState.DISABLING
HOUR, DAY = 3600.0, 86400.0
SIZE = 2048


class Clock:
    """Stands in for the module time."""

    def __init__(self):
        self.now = 1.7e9

    def time(self):
        return self.now

    def time_ns(self):
        return int(self.now * 10**9)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    one = Clock()
    monkeypatch.setattr(missing_module, "time", one)
    monkeypatch.setattr(trash, "time", one)
    return one


class Site(JournaledSite):
    """`before_write` is called with how many writes were done."""

    before_write = None

    def count_write(self):
        if self.before_write is not None:
            self.before_write(self.writes)
        super().count_write()


class Sites:
    """`a` has the primaries, `b` the copies; an image has the same name, and its id, at both."""

    def __init__(self, clock, mode=ImageMode.SNAPSHOT, names=("i",)):
        self.clock = clock
        self.mode = mode
        self.a, self.b = Site(), Site()
        self.a.mirror_uuid = LINK.remote_uuid
        self.unlisted = set()
        for name in names:
            self.a.mirrored[f"r{name}"] = MirrorImage(f"g{name}", ENABLED, mode)
            self.copy(name)
        self.told = {}
        self.delays = Delays()
        self.worker = self.new_worker()

    def copy(self, name):
        features = Feature.LAYERING | Feature.OBJECT_MAP
        image_id = f"l{name}"
        self.b.add_image(name, image_id, features | (
            Feature.JOURNALING if self.mode == ImageMode.JOURNAL else Feature.NON_PRIMARY), SIZE)
        self.b.operate(f"rbd_data.{image_id}.{1:016x}", [("write", 0, b"more")])
        self.b.call(f"rbd_object_map.{image_id}", "object_map_resize", Encoder().u64(2).done())
        self.b.mirrored[image_id] = MirrorImage(f"g{name}", ENABLED, self.mode)
        if self.mode == ImageMode.JOURNAL:
            asyncio.run(ImageJournal(self.b.pool(), image_id).create(LINK.remote_uuid))
        else:
            self.add_snapshot(name, headers.copied(self.b.new_snapshot(), of=3))

    def add_snapshot(self, name, snapshot):
        header = self.b.headers[header_oid(f"l{name}")]
        header.snapshots[snapshot.id] = replace(snapshot, size=SIZE)
        header.snap_seq = snapshot.id
        header.version += 1

    def new_worker(self):
        return MissingPrimaries(self.b.pool(), self.a.pool(), LINK, self.delays,
                                self.told.__setitem__, lambda gid: self.told.pop(gid, None))

    def lose(self, *names):
        """Have the primaries of these mirrored no more."""
        for name in names:
            del self.a.mirrored[f"r{name}"]

    def find(self, name):
        self.a.mirrored[f"r{name}"] = MirrorImage(f"g{name}", ENABLED, self.mode)

    async def look_once(self, is_ours):
        local = MirrorPool(images=dict(self.b.mirrored), mode=MirrorMode.IMAGE)
        remote = MirrorPool(images={
            image_id: image for image_id, image in self.a.mirrored.items()
            if image_id not in self.unlisted}, mode=MirrorMode.IMAGE)
        await self.worker.look(orphaned(local, remote), len(local.images), is_ours)
        for image_id, image in local.images.items():
            if image.state == DISABLING:
                await trash.drop_empty_entry(self.b.pool(), image_id)
        await trash.sweep(self.b.pool(), local.images, 1, True, trash.Sweep(), lambda key: True)

    def look(self, later=0.0, is_ours=lambda global_id: True):
        """What a worker does, and once more in so many seconds."""
        asyncio.run(self.look_once(is_ours))
        if later:
            self.clock.now += later
            asyncio.run(self.look_once(is_ours))

    @property
    def records(self):
        return rules.Records.from_omap(self.b.records.get(rules.OBJECT, {})).missing

    def of(self, name):
        """What is left of a copy, its mark in the trash and in our records aside."""
        return [oid for oid, what in self.b.everything().items()
                if what and (f"l{name}" in oid or oid == id_oid(name))]

    def is_image(self, name):
        """Whether it is an image for everybody, with its data."""
        return (self.b.names.get(name) == f"l{name}" and f"l{name}" not in self.b.trash
                and self.b.content(id_oid(name)) == Encoder().string(f"l{name}").done()
                and self.has_data(name))

    def has_data(self, name):
        return (header_oid(f"l{name}") in self.b.headers
                and self.b.content(f"rbd_data.l{name}.{0:016x}") == b"data"
                and self.b.content(f"rbd_data.l{name}.{1:016x}") == b"more")


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def sites(request, clock):
    return Sites(clock, request.param)


class TestWhenACopyGoes:
    def test_one_that_the_list_lacks_but_that_is_there_stays(self, sites):
        sites.unlisted = {"ri"}
        before = sites.b.everything()
        sites.look(30 * DAY)
        assert sites.b.everything() == before and not sites.records and not sites.told

    def test_after_it_was_missing_for_a_while(self, sites):
        sites.lose("i")
        sites.look(29)
        assert sites.is_image("i") and "the copy moves to the trash" in sites.told["gi"].reason
        assert sites.worker.kept["gi"].until == sites.clock.now + 1
        sites.look(2)
        assert not sites.b.names and not sites.b.mirrored and sites.has_data("i")
        assert not sites.told and not sites.records and not sites.worker.kept
        entry = sites.b.trash["li"]
        assert entry.name == "i" and entry.deferment_end_ns == sites.clock.time_ns() + 3600 * 10**9
        sites.look(3599)
        assert sites.has_data("i")
        sites.look(2)
        assert not sites.of("i") and not sites.b.trash

    def test_not_before_the_delay_that_the_administrator_set(self, sites):
        sites.b.connection.conf["rbd_mirroring_delete_delay"] = "7200"
        sites.lose("i")
        sites.look(31)
        sites.look(7199)
        assert sites.has_data("i")
        sites.look(2)
        assert not sites.of("i")

    def test_one_that_comes_back_is_missed_anew(self, sites):
        sites.lose("i")
        sites.look(29)
        sites.find("i")
        sites.look()
        assert not sites.records and not sites.told and not sites.worker.kept
        sites.lose("i")
        sites.look(29)
        assert sites.is_image("i")

    def test_not_while_a_later_version_keeps_the_record(self, sites):
        sites.lose("i")
        sites.look()
        [(key, value)] = sites.b.records[rules.OBJECT].items()
        later = {key: value.replace(b'"version": 1', b'"version": 2')}
        sites.b.records[rules.OBJECT] = dict(later)
        sites.look(30 * DAY)
        assert sites.is_image("i") and sites.b.records[rules.OBJECT] == later
        assert "upgrade mirror_mgr" in sites.told["gi"].reason and not sites.worker.kept
        sites.find("i")
        sites.look()
        assert not sites.told and sites.b.records[rules.OBJECT] == later

    def test_by_another_worker_the_time_goes_on(self, sites):
        sites.lose("i")
        sites.look()
        sites.worker = sites.new_worker()
        sites.clock.now += 31
        sites.look()
        assert "li" in sites.b.trash

    def test_what_is_another_workers_is_left_to_it(self, sites):
        sites.lose("i")
        before = sites.b.everything()
        sites.look(DAY, is_ours=lambda global_id: False)
        assert sites.b.everything() == before and not sites.records

    @pytest.mark.parametrize("uuid", ["another", ""])
    def test_nothing_where_the_peer_is_another(self, sites, uuid):
        sites.lose("i")
        sites.a.mirror_uuid = uuid
        before = sites.b.everything()
        sites.look(30 * DAY)
        assert sites.b.everything() == before and not sites.records

    @pytest.mark.parametrize("key, value", [("missing_gi", b"\xff"), ("confirmed", b"{"),
                                            ("else", b"")])
    def test_with_odd_records_it_begins_anew(self, sites, key, value):
        sites.b.records[rules.OBJECT] = {key: value}
        sites.lose("i")
        sites.look(29)
        assert sites.is_image("i")
        sites.look(2)
        assert "li" in sites.b.trash


class TestMany:
    NAMES = [f"i{number}" for number in range(8)]

    @pytest.fixture
    def sites(self, clock):
        return Sites(clock, names=self.NAMES)

    def test_they_are_held_also_when_some_come_back(self, sites):
        sites.lose(*self.NAMES[:6])
        sites.look(HOUR)
        assert len(sites.worker.kept) == 6 and not sites.b.trash
        assert all("confirm-removal p" in told.reason for told in sites.told.values())
        for name in self.NAMES[:5]:
            sites.find(name)
        sites.worker = sites.new_worker()
        sites.look(DAY)
        assert set(sites.records) == {"gi5"} and sites.is_image("i5")

    def test_one_after_another_is_as_many(self, sites):
        for name in self.NAMES[:6]:
            sites.lose(name)
            sites.look(1)
        sites.look(DAY)
        assert all(map(sites.is_image, self.NAMES))

    def test_after_a_week_they_go(self, sites):
        sites.lose(*self.NAMES[:6])
        sites.look(7 * DAY - 1)
        assert not sites.b.trash
        sites.look(2)
        assert len(sites.b.trash) == 6

    def test_once_confirmed_they_go(self, sites):
        sites.lose(*self.NAMES[:6])
        sites.look(HOUR)
        sites.b.records[rules.OBJECT][rules.CONFIRMED] = rules.encode_confirmed(sites.clock.now)
        sites.look()
        assert set(sites.b.trash) == {f"l{name}" for name in self.NAMES[:6]}
        assert sites.is_image("i6") and sites.is_image("i7")

    def test_a_confirmation_is_for_what_was_missing_then(self, sites):
        sites.b.records[rules.OBJECT] = {
            rules.CONFIRMED: rules.encode_confirmed(sites.clock.now - 1)}
        sites.lose(*self.NAMES[:6])
        sites.look(DAY)
        assert all(map(sites.is_image, self.NAMES))

    def test_of_several_workers_each_holds_its_own(self, sites):
        """None of them is missing many by itself."""
        sites.lose(*self.NAMES[:6])
        for half in ("024", "135", "024", "135"):
            sites.worker = sites.new_worker()
            sites.look(is_ours=lambda global_id, half=half: global_id[-1] in half)
            sites.clock.now += 20
        assert all(map(sites.is_image, self.NAMES))


class TestWhatIsNoCopyOfThatPeers:
    def stays(self, sites, standing=None):
        """`standing`: what is told of it."""
        before = sites.b.everything()
        sites.lose("i")
        sites.look(30 * DAY)
        assert sites.b.everything() == before and not sites.records
        assert [found.standing for found in sites.told.values()] == (
            [standing] if standing else [])

    @pytest.mark.parametrize("snapshot, standing", [
        (headers.primary(7), None), (headers.orphan(7), None),
        (headers.demoted(7), states.DEMOTED),
        (headers.copied(7, of=4, demoted=True), states.DEMOTED),
        (headers.copied(7, of=4, primary_uuid="another"), states.ERROR)])
    def test_by_its_newest_mirror_snapshot(self, clock, snapshot, standing):
        sites = Sites(clock)
        sites.add_snapshot("i", snapshot)
        self.stays(sites, standing)

    def test_one_that_can_be_written_to(self, clock):
        sites = Sites(clock)
        sites.b.headers[header_oid("li")].features = Feature.LAYERING
        self.stays(sites)

    @pytest.mark.parametrize("owner, standing", [
        (LOCAL_OWNER, None), (ORPHAN, states.DEMOTED), ("another", states.ERROR)])
    def test_by_its_newest_tag(self, clock, owner, standing):
        sites = Sites(clock, ImageMode.JOURNAL)
        asyncio.run(ImageJournal(sites.b.pool(), "li").allocate(TagData(owner), 0))
        self.stays(sites, standing)

    def test_one_that_its_primary_s_site_lists_again_is_told_of_no_more(self, clock):
        sites = Sites(clock)
        sites.add_snapshot("i", headers.demoted(7))
        sites.lose("i")
        sites.look(1)
        assert sites.told
        sites.find("i")
        sites.look(1)
        assert not sites.told

    def test_one_that_is_there_by_name_counts_as_missing_from_then_on_only(self, clock):
        """A list that lacks it is not missed twice if the image was asked for in between."""
        sites = Sites(clock)
        sites.lose("i")
        sites.look(20)
        assert sites.records
        sites.find("i")
        sites.unlisted = {"ri"}
        sites.look()
        assert not sites.records
        sites.lose("i")
        sites.look(20)
        assert sites.is_image("i")

    def test_without_a_journal(self, clock):
        sites = Sites(clock, ImageMode.JOURNAL)
        del sites.b.journals["journal.li"]
        self.stays(sites)


@pytest.mark.parametrize("mode", MODES)
def test_one_that_is_damaged_stays_and_harms_no_other(clock, mode):
    sites = Sites(clock, mode, ["i", "j"])
    oid = "journal.li" if mode == ImageMode.JOURNAL else header_oid("li")
    pool = type(sites.b.pool())
    honest = pool.omap

    async def omap(self, asked, *most):
        if asked == oid:
            raise MalformedData(oid)
        return await honest(self, asked, *most)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool, "omap", omap)
        sites.lose("i", "j")
        sites.look(31)
        sites.look(2 * HOUR)
    assert sites.is_image("i") and not sites.of("j") and not sites.b.trash


def test_a_damaged_journal_of_one_in_the_trash_harms_no_other(clock):
    """Its removal was cut off."""
    sites = Sites(clock, ImageMode.JOURNAL, ["i", "j"])
    sites.lose("i", "j")
    sites.look(31)
    sites.b.mirrored["li"] = MirrorImage("gi", DISABLING, ImageMode.JOURNAL)
    sites.b.journals["journal.li"].omap = lambda: {"order": b""}
    sites.look(2 * HOUR)
    assert sites.has_data("i") and not sites.of("j")


def test_a_blocklisted_worker_ends(clock):
    sites = Sites(clock)
    sites.lose("i")

    async def call(*ignored):
        raise Fenced("blocklisted")

    worker = sites.worker
    worker._remote.call = call
    with pytest.raises(Fenced):
        sites.look()


def removing(sites):
    """Have a removal begin with the next look; return how many writes there were."""
    sites.lose("i")
    sites.look()
    sites.clock.now += 31
    return sites.b.writes


def test_killed_at_any_write_another_worker_finishes_it(clock):
    """Nothing of it stays then; until its time in the trash is over its data is there."""
    for mode, lives in itertools.product(MODES, range(40)):
        sites = Sites(clock, mode, ["i", "j"])
        removing(sites)
        sites.b.lives = lives
        try:
            sites.look()
        except Killed:
            pass
        sites.b.lives = None
        sites.worker = sites.new_worker()
        sites.look()
        sites.look(60)
        assert set(sites.b.trash) == {"li"} and sites.has_data("i"), lives
        assert sites.b.names == {"j": "lj"} and set(sites.b.mirrored) == {"lj"}, lives
        sites.b.lives = lives
        sites.clock.now += HOUR
        try:
            sites.look()
        except Killed:
            pass
        sites.b.lives = None
        sites.worker = sites.new_worker()
        sites.look(HOUR)
        assert not sites.of("i") and not sites.b.trash and not sites.records, lives
        assert sites.is_image("j")


def detach(sites):
    """`rbd mirror image disable --force`."""
    header = sites.b.headers[header_oid("li")]
    header.features &= ~Feature.NON_PRIMARY
    header.snapshots.clear()
    header.version += 1
    del sites.b.mirrored["li"]
    sites.b.journals.pop("journal.li", None)


def promote(sites):
    """`rbd mirror image promote --force`."""
    if sites.mode == ImageMode.JOURNAL:
        tags = sites.b.journals["journal.li"].tags
        tags[len(tags)] = TagData(LOCAL_OWNER).encode()
        return
    sites.add_snapshot("i", headers.orphan(sites.b.new_snapshot()))
    sites.add_snapshot("i", headers.primary(sites.b.new_snapshot()))
    header = sites.b.headers[header_oid("li")]
    header.features &= ~Feature.NON_PRIMARY


class Taking:
    """Changes the copy right before a write of its removal; `could`: whether it was one still."""

    def __init__(self, sites, change, moment, killed_after):
        self.could = None
        self._sites = sites
        self._change = change
        self._moment = removing(sites) + moment
        self._killed_after = killed_after
        sites.b.before_write = self.before_write

    def before_write(self, writes):
        if writes != self._moment or self.could is not None:
            return
        now = self._sites.b.mirrored.get("li")
        self.could = now is not None and now.state == ENABLED
        if self.could:
            self._change(self._sites)
        if self._killed_after is not None:
            self._sites.b.lives = self._killed_after


@pytest.mark.parametrize("killed_after", [None, 0, 1, 2])
@pytest.mark.parametrize("change", [detach, promote])
@pytest.mark.parametrize("mode", MODES)
def test_whoever_takes_the_copy_for_himself_keeps_it(clock, mode, change, killed_after):
    """At any point up to where its removal shows, as an entry that is being disabled.

    The worker may be killed so many writes later.
    """
    changed = 0
    for moment in itertools.count():
        sites = Sites(clock, mode)
        taking = Taking(sites, change, moment, killed_after)
        try:
            sites.look()
        except Killed:
            pass
        sites.b.lives = None
        if taking.could is None:
            break
        if not taking.could:
            continue
        changed += 1
        for _ in range(3):
            sites.worker = sites.new_worker()
            sites.look(2 * HOUR)
        if change is detach and killed_after is not None:
            # Its entry may stay in the trash, but is never acted on.
            assert sites.b.names == {"i": "li"} and sites.has_data("i"), moment
        else:
            assert sites.is_image("i"), moment
        assert set(sites.b.mirrored) == (set() if change is detach else {"li"}), moment
        if change is promote:
            assert sites.b.mirrored["li"].state == ENABLED
    assert changed > 2


def test_a_record_is_what_an_administrator_reads():
    assert Record.decode(Record(1.5, True, "i").encode()) == Record(1.5, True, "i")
