"""Which images of a pool are replayed, and how a pool lives through its peer's troubles."""

import asyncio
from types import SimpleNamespace

import pytest

from mirror_mgr.errors import DeadlineExceeded, Fenced, NotReady
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.scan import Link
from mirror_mgr.wire.constants import (
    ImageMode,
    MirrorImageState,
    MirrorMode,
    PeerDirection,
    StatusState,
)
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.mirror import MirrorPeer, MirrorPool
from mirror_mgr.worker import pool as pool_module
from mirror_mgr.worker import status
from mirror_mgr.worker.image import Mirrored
from mirror_mgr.worker.pool import PoolReplayer, Replaying, orphaned, pair_up
from mirror_mgr.worker.removal_rules import Delays
from mirror_mgr.worker.roster import SLOTS, slot_of
from mirror_mgr.worker.stops import ManualStops
from tests.virtual_time import run, settle
from tests.worker.sites import PEER, FakeConnection, FakePool, mirrored, mirroring

CREATING, DISABLING, DISABLED = (
    MirrorImageState.CREATING, MirrorImageState.DISABLING, MirrorImageState.DISABLED)
US = MirrorPeer("us", "site-a", "", direction=PeerDirection.RX_TX, mirror_uuid="uuid-of-a")


def pool_of(**images):
    return MirrorPool(images=images)


class TestPairs:
    def test_an_image_with_no_copy_yet(self):
        assert pair_up(pool_of(), pool_of(r=mirrored("g"))) == [Mirrored("g", "r", None, None)]

    def test_an_image_with_its_copy(self):
        local = pool_of(x=mirrored("other"), l=mirrored("g"))
        assert pair_up(local, pool_of(r=mirrored("g"))) == [
            Mirrored("g", "r", "l", MirrorImageState.ENABLED)]

    def test_a_copy_that_was_begun(self):
        assert pair_up(pool_of(l=mirrored("g", CREATING)), pool_of(r=mirrored("g"))) == [
            Mirrored("g", "r", "l", CREATING)]

    def test_an_image_that_is_mirrored_by_its_journal(self):
        journaled = mirrored("g", mode=ImageMode.JOURNAL)
        assert pair_up(pool_of(l=journaled), pool_of(r=journaled)) == [
            Mirrored("g", "r", "l", MirrorImageState.ENABLED, ImageMode.JOURNAL)]

    @pytest.mark.parametrize("image", [
        mirrored("g", DISABLING), mirrored("g", DISABLED), mirrored("g", CREATING)])
    def test_what_the_other_site_does_not_mirror(self, image):
        assert pair_up(pool_of(), pool_of(r=image)) == []

    @pytest.mark.parametrize("image", [
        mirrored("g", mode=ImageMode.JOURNAL), mirrored("g", DISABLING), mirrored("g", DISABLED)])
    def test_what_is_something_else_here(self, image):
        assert pair_up(pool_of(l=image), pool_of(r=mirrored("g"))) == []

    def test_what_is_only_here_is_no_business_of_the_replay(self):
        assert pair_up(pool_of(l=mirrored("g")), pool_of()) == []

    @pytest.mark.parametrize("running, wanted, same", [
        (("g", "r", "l"), ("g", "r", "l"), True),
        (("g", "r", None), ("g", "r", None), True),
        (("g", "r", None), ("g", "r", "made meanwhile"), True),
        (("g", "r", "l"), ("g", "r", None), False),
        (("g", "r", "l"), ("g", "r", "l2"), False),
        (("g", "r", "l"), ("g", "r2", "l"), False),
    ])
    def test_which_replayer_goes_on(self, running, wanted, same):
        replayer = SimpleNamespace(mirrored=Mirrored(*running, None), copy_id=running[2])
        assert pool_module._same(replayer, Mirrored(*wanted, None)) is same


class TestOrphans:
    def test_a_copy_whose_primary_is_mirrored_no_more(self):
        remote = MirrorPool(mode=MirrorMode.IMAGE, images={"r": mirrored("other")})
        assert orphaned(pool_of(l=mirrored("g")), remote) == {"l": mirrored("g")}

    def test_a_copy_in_journal_mode(self):
        image = mirrored("g", mode=ImageMode.JOURNAL)
        assert orphaned(pool_of(l=image), MirrorPool(mode=MirrorMode.IMAGE)) == {"l": image}

    @pytest.mark.parametrize("mode", [MirrorMode.DISABLED, MirrorMode.INIT_ONLY])
    def test_not_where_the_other_pool_is_not_mirrored_at_all(self, mode):
        assert orphaned(pool_of(l=mirrored("g")), MirrorPool(mode=mode)) == {}

    @pytest.mark.parametrize("image", [mirrored("g", DISABLING), mirrored("g", DISABLED)])
    def test_not_what_is_something_else_here(self, image):
        assert orphaned(pool_of(l=image), MirrorPool(mode=MirrorMode.IMAGE)) == {}

    def test_not_while_an_entry_of_the_other_pool_can_t_be_read(self):
        remote = MirrorPool(mode=MirrorMode.IMAGE, unreadable=frozenset({"r"}))
        assert orphaned(pool_of(l=mirrored("g")), remote) == {}

    @pytest.mark.parametrize("mode", list(ImageMode))
    def test_what_was_being_created(self, mode):
        remote = MirrorPool(mode=MirrorMode.IMAGE)
        begun = mirrored("g", CREATING, mode)
        assert orphaned(pool_of(l=begun), remote) == {"l": begun}

    def test_not_while_the_primary_is_being_disabled(self):
        remote = MirrorPool(mode=MirrorMode.IMAGE, images={"r": mirrored("g", DISABLING)})
        assert orphaned(pool_of(l=mirrored("g")), remote) == {}


class Leading:
    """A leader that needs no lock."""

    def __init__(self, *ignored):
        self.led = self.leading = True
        self.foreign = None

    async def run(self):
        await asyncio.Event().wait()

    until_led_no_more = run


EVERY_SLOT = frozenset(range(SLOTS))


class Alone:
    """A team of one, which has every image."""

    def __init__(self, *ignored):
        self.lost = asyncio.Event()

    async def join(self):
        pass

    async def share(self, alone=None):
        return EVERY_SLOT

    async def free(self, kept):
        assert kept == EVERY_SLOT

    async def leave(self):
        pass

    async def close(self):
        pass


@pytest.fixture
def led(monkeypatch):
    monkeypatch.setattr(pool_module, "Leader", Leading)
    monkeypatch.setattr(pool_module, "Team", Alone)


def replayer(local):
    return PoolReplayer(local, 2, "p", Budget(0), None, frozenset(), ManualStops(),
                        Delays())


def with_replayer(local, call):
    """Make a replayer on a loop and return what `call`, a coroutine function, does with it."""
    async def body():
        return await call(replayer(local))
    return asyncio.run(body())


def local_site(peers=(PEER,), **more):
    local = FakeConnection("local")
    local.pool(2).omap_of[MIRRORING] = mirroring(uuid="uuid-of-a", peers=peers, **more)
    return local


@pytest.mark.usefixtures("led")
class TestThePeer:
    def hello(self, remote_omap, known=None):
        local, remote = local_site(), FakeConnection("b")
        remote.pool(2).omap_of[MIRRORING] = remote_omap
        link = with_replayer(local, lambda one: one._say_hello(remote, 2, "uuid-of-a", known))
        assert remote.pool(2).pings == [("fsid-of-local", "uuid-of-a")]
        return link

    def test_who_is_who(self):
        assert self.hello(mirroring(uuid="uuid-of-b", peers=[PEER, US])) == Link(
            "uuid-of-a", "uuid-of-b", "us")

    @pytest.mark.parametrize("omap", [
        mirroring(MirrorMode.DISABLED, peers=[US]), mirroring(peers=[]), mirroring(peers=[PEER])])
    def test_a_site_that_does_not_mirror_to_us(self, omap):
        with pytest.raises(NotReady) as caught:
            self.hello(omap)
        assert "'b'" in str(caught.value) and "'p'" in str(caught.value)

    def test_a_site_that_became_another(self):
        omap = mirroring(uuid="uuid-of-b", peers=[US])
        assert self.hello(omap, self.hello(omap))
        with pytest.raises(NotReady):
            self.hello(mirroring(uuid="uuid-of-c", peers=[US]), self.hello(omap))

    def attempts(self, monkeypatch, seconds, error):
        """When the peer was tried, in a pool that lives for so many seconds."""
        tried = []

        async def connect(known, pool_name, peer, local_uuid):
            tried.append(round(asyncio.get_running_loop().time()))
            raise error

        monkeypatch.setattr(pool_module.peers.PeerSite, "connect", connect)

        async def body():
            one = replayer(local_site())
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(one.run(), seconds)
            return one.peer_error

        return tried, run(body())

    def test_a_dead_one_is_tried_less_and_less_often(self, monkeypatch):
        tried, told = self.attempts(monkeypatch, 100, DeadlineExceeded("site 'b': no answer"))
        assert tried == [0, 1, 3, 8, 18, 48, 78]
        assert told == "site 'b': no answer"

    def test_one_that_blocklisted_us_is_a_dead_one(self, monkeypatch):
        tried, told = self.attempts(monkeypatch, 10, Fenced("site 'b': blocklisted"))
        assert len(tried) > 1 and told == "site 'b': blocklisted"

    def test_a_fault_of_ours_is_told_and_tried_again(self, monkeypatch):
        tried, told = self.attempts(monkeypatch, 10, ZeroDivisionError("oops"))
        assert len(tried) > 1 and "internal error: oops" in told

    def test_without_a_peer_there_is_nothing_to_complain_of(self, monkeypatch):
        monkeypatch.setattr(pool_module.peers.PeerSite, "connect", None)

        async def body():
            one = replayer(local_site(peers=()))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(one.run(), 60)
            return one.peer_error

        assert run(body()) is None


def test_blocklisted_at_the_own_site_the_pool_ends(led):
    async def body():
        local = local_site()
        local.pool(2).error = Fenced("site 'local': blocklisted")
        with pytest.raises(Fenced):
            await replayer(local).run()
    run(body())


class FakeReplayer:
    def __init__(self, found):
        self.status = found


class FakeNamespace:
    local_count, remote_count = 4, 5

    def __init__(self, *statuses):
        self.images = {str(n): Replaying(FakeReplayer(s), None) for n, s in enumerate(statuses)}


def test_counts(led):
    with_replayer(local_site(), check_counts)


async def check_counts(one):
    one.namespaces = {"": FakeNamespace(
        status.failed("x"), status.demoted("remote image demoted"), status.starting()),
        "ns": FakeNamespace(status.starting())}
    assert one.counts("") == {
        "image_assigned_count": 3, "image_local_count": 4, "image_remote_count": 5,
        "image_error_count": 1, "image_warning_count": 1}
    assert set(one.counts("elsewhere").values()) == {0}
    one.leader.leading = False
    assert set(one.counts("")) == {
        "image_assigned_count", "image_error_count", "image_warning_count"}
    assert [(name, r.status.state) for name, r in one.replayers()] == [
        ("", StatusState.ERROR), ("", StatusState.UNKNOWN), ("", StatusState.STARTING_REPLAY),
        ("ns", StatusState.STARTING_REPLAY)]


class FakeImageReplayer:
    """Replays nothing; `ending` is waited for before it ends."""

    ending = None

    def __init__(self, local, remote, link, means, mirrored, gates, publish):
        self.mirrored = self.as_found = mirrored
        self.copy_id = mirrored.local_id

    def wake_if_stopped(self):
        pass

    async def run(self):
        try:
            await asyncio.Event().wait()
        finally:
            if self.ending is not None:
                await asyncio.shield(self.ending.wait())


class Board:
    def __init__(self, *ignored):
        pass

    async def run(self):
        await asyncio.Event().wait()

    def set(self, global_id, found):
        pass

    def remove(self, global_id):
        pass


class TestAShareOfTheImages:
    """Which images one of several workers replays in a namespace."""

    IDS = [f"g{number}" for number in range(20)]

    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch):
        self.swept = []

        async def sweep(pool, mirrored, at_once, retry, told, is_ours):
            self.swept.append([key for key in self.IDS if is_ours(key)])
            await asyncio.Event().wait()

        monkeypatch.setitem(pool_module._REPLAYERS, ImageMode.SNAPSHOT, FakeImageReplayer)
        monkeypatch.setattr(pool_module, "StatusBoard", Board)
        monkeypatch.setattr(pool_module.trash, "sweep", sweep)

    def namespace(self, here=(), source=""):
        local, remote = local_site().pool(2), FakePool(namespace=source)
        local.connection, remote.connection = FakeConnection("local"), FakeConnection("b")
        local.omap_of[MIRRORING] = mirroring(
            images={f"l{g}": mirrored(g) for g in here}, source=source or None)
        remote.omap_of[MIRRORING] = mirroring(images={f"r{g}": mirrored(g) for g in self.IDS})
        return pool_module.NamespaceReplayer(
            "", local, remote, Link("a", "b", "us"), None, None, ManualStops(),
            Delays(), lambda: None, lambda task: None)

    def slots(self, *ids):
        return frozenset(slot_of(one) for one in ids)

    def test_only_what_is_ours_is_replayed_and_swept(self):
        async def body():
            one = self.namespace()
            slots = self.slots(*self.IDS[:5])
            await one.refresh(slots)
            await settle()
            ours = [key for key in self.IDS if slot_of(key) in slots]
            assert sorted(one.images) == sorted(ours) and self.swept == [ours]
            assert one.remote_count == 20
            await one.close()
        run(body())

    def test_what_is_given_up_has_ended_on_return(self):
        async def body():
            one = self.namespace()
            await one.refresh(EVERY_SLOT)
            await settle()
            tasks = {key: running.task for key, running in one.images.items()}
            slots = self.slots(*self.IDS[:5])
            await one.refresh(slots)
            await settle()
            assert all(task.done() is (slot_of(key) not in slots) for key, task in tasks.items())
            assert len(self.swept) == 2, "the sweep of what is others' now goes on"
            await one.close()
        run(body())

    def test_a_sweep_goes_on_when_only_more_is_ours(self):
        async def body():
            one = self.namespace()
            await one.refresh(self.slots(*self.IDS[:5]))
            await settle()
            await one.refresh(EVERY_SLOT)
            await settle()
            assert len(self.swept) == 1 and len(one.images) == 20
            await one.close()
        run(body())

    def test_others_copies_without_a_primary_are_theirs_to_remove(self, monkeypatch):
        async def body():
            one = self.namespace(here=["gone1", "gone2"])
            removed = []

            async def look(missing, copies, is_ours):
                assert copies == 2
                removed.extend(filter(is_ours, (i.global_id for i in missing.values())))

            monkeypatch.setattr(one.missing, "look", look)
            await one.refresh(self.slots("gone2"))
            assert removed == ["gone2"]
            await one.close()
        run(body())

    def test_images_of_another_namespace_are_no_business_of_a_replayer(self, monkeypatch):
        """It was paired with another one since its pair was looked at."""
        async def body():
            one = self.namespace(here=["gone"])
            one._local.omap_of[MIRRORING] = mirroring(
                source="other", images={"l": mirrored("gone")})

            async def look(missing, copies, is_ours):
                raise AssertionError("no copy of another namespace may be looked at")

            monkeypatch.setattr(one.missing, "look", look)
            await one.refresh(EVERY_SLOT)
            assert (one.images, self.swept) == ({}, [])
            await one.close()
        run(body())

    @pytest.mark.parametrize("mode", [MirrorMode.DISABLED, MirrorMode.INIT_ONLY])
    def test_one_of_another_name_that_the_peer_does_not_mirror_is_told_of(self, mode):
        async def body():
            one = self.namespace(source="other")
            await one.refresh(EVERY_SLOT)
            assert one.trouble is None
            one._remote.omap_of[MIRRORING] = mirroring(mode)
            await one.refresh(EVERY_SLOT)
            assert "'other'" in one.trouble and "'b'" in one.trouble
            await one.close()
        run(body())

    def test_one_of_the_same_name_need_not_be(self):
        async def body():
            one = self.namespace()
            one._remote.omap_of[MIRRORING] = mirroring(MirrorMode.DISABLED)
            await one.refresh(EVERY_SLOT)
            assert one.trouble is None
            await one.close()
        run(body())

    def test_an_image_started_anew_while_it_is_given_up_stays_given_up(self, monkeypatch):
        async def body():
            one = self.namespace()
            await one.refresh(EVERY_SLOT)
            monkeypatch.setattr(FakeImageReplayer, "ending", asyncio.Event())
            renewing = asyncio.ensure_future(one.renew(["g0"]))
            await settle()
            giving_up = asyncio.ensure_future(one.refresh(frozenset()))
            await settle()
            FakeImageReplayer.ending.set()
            await asyncio.gather(renewing, giving_up)
            assert one.images == {}
            await one.close()
        run(body())


class TestPairsOfNamespaces:
    """Which of them is replayed from which one of the peer's."""

    class Replayer:
        """Of one namespace."""

        def __init__(self, name, local, remote, *ignored):
            self.name, self.local, self.remote = name, local, remote
            self.source = remote.namespace
            self.trouble = None
            self.refreshed = 0
            self.closed = False

        async def refresh(self, slots):
            self.refreshed += 1

        async def close(self):
            self.closed = True

    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch):
        monkeypatch.setattr(pool_module, "NamespaceReplayer", self.Replayer)

    def mirror(self, site, name, source=None, mode=MirrorMode.IMAGE):
        site.pool(2).namespaces = sorted({*site.pool(2).namespaces, name} - {""})
        site.pool(2, name).omap_of[MIRRORING] = mirroring(mode, source=source)

    async def refresh(self, one):
        site = SimpleNamespace(connection=self.remote)
        await one._refresh_namespaces(site, 5, Link("a", "b", "us"), EVERY_SLOT)

    def test_each_from_its_own(self, led):
        async def body():
            local, self.remote = local_site(mode=MirrorMode.POOL, source="old"), FakeConnection("b")
            self.mirror(local, "new", source="")
            self.mirror(local, "same")
            self.mirror(local, "off", mode=MirrorMode.DISABLED)
            one = replayer(local)
            await self.refresh(one)
            assert {name: (r.local, r.remote) for name, r in one.namespaces.items()} == {
                "": (local.pool(2), self.remote.pool(5, "old")),
                "new": (local.pool(2, "new"), self.remote.pool(5)),
                "same": (local.pool(2, "same"), self.remote.pool(5, "same"))}
            assert all(r.refreshed == 1 for r in one.namespaces.values())
        run(body())

    def test_one_that_is_paired_anew_begins_anew(self, led):
        async def body():
            local, self.remote = local_site(), FakeConnection("b")
            self.mirror(local, "ns")
            one = replayer(local)
            await self.refresh(one)
            before = dict(one.namespaces)
            self.mirror(local, "ns", source="other")
            await self.refresh(one)
            assert before["ns"].closed and before["ns"].refreshed == 1
            assert one.namespaces["ns"].remote is self.remote.pool(5, "other")
            assert one.namespaces[""] is before[""] and not before[""].closed
        run(body())

    def test_what_can_not_be_replayed_is_told_with_its_reason(self, led):
        async def body():
            local, self.remote = local_site(), FakeConnection("b")
            self.mirror(local, "ns", source="")
            self.mirror(local, "other")
            one = replayer(local)
            await self.refresh(one)
            one.namespaces["other"].trouble = "not mirrored there"
            assert set(one.namespaces) == {"", "other"}
            troubles = one.troubles()
            assert set(troubles) == {"ns", "other"}
            assert "one copy at a site" in troubles["ns"]
            await one._close_namespaces()
            assert one.troubles() == {}
        run(body())


def test_without_its_watch_on_the_roster_a_worker_replays_nothing(led, monkeypatch):
    ended = []

    async def replay(self):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    monkeypatch.setattr(PoolReplayer, "_replay", replay)

    async def body():
        one = replayer(local_site())
        running = asyncio.ensure_future(one.run())
        await settle()
        assert not ended
        one.team.lost.set()
        await settle()
        assert ended == [True]
        running.cancel()
    run(body())
