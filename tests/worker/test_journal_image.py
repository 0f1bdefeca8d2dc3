"""One journal-mode image's replayer: which copy it takes for its own, and what it clears away."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from mirror_mgr import states
from mirror_mgr.errors import AlreadyExists
from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.image import Copy
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.replay.snapshot import Means
from mirror_mgr.wire.constants import ImageMode, MirrorImageState, MirrorMode
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import id_oid
from mirror_mgr.wire.journal import LOCAL_OWNER, ORPHAN, ImageClientData, Predecessor, TagData
from mirror_mgr.wire.mirror import MirrorPool
from mirror_mgr.worker import pool as pool_module
from mirror_mgr.worker.image import Gate, Gates, Mirrored
from mirror_mgr.worker.journal_image import JournalImageReplayer
from mirror_mgr.worker.missing import MissingPrimaries
from mirror_mgr.worker.removal_rules import Delays
from tests.replay.fake_rados import Killed
from tests.replay.headers import GLOBAL_ID, LINK
from tests.replay.journal.fake_journals import mirrored
from tests.replay.journal.test_bootstrap import FEATURES, SIZE, Sites
from tests.virtual_time import run, settle

CREATING = MirrorImageState.CREATING


def replayer(sites, local_id=None):
    """One of the image "i"; `local_id` is what the list of mirrored images had for it."""
    state = sites.b.mirrored[local_id].state if local_id else None
    return JournalImageReplayer(
        sites.b.pool(), sites.a.pool(), LINK, lambda: Means(Budget(1 << 20), None),
        Mirrored(GLOBAL_ID, "source", local_id, state, ImageMode.JOURNAL),
        Gates(asyncio.Semaphore(1), Gate(1)), lambda replayer: None)


def new_replayer(sites, local_id=None):
    """The same, where no event loop runs: Python 3.9 makes no semaphore there."""
    async def make():
        return replayer(sites, local_id)

    return run(make())


def begin(sites, lives=8):
    """Have the creation of a copy cut short; return its id."""
    sites.b.lives = lives
    with pytest.raises(Killed):
        asyncio.run(sites.create())
    sites.b.lives = None
    [image_id] = sites.b.mirrored
    assert sites.b.mirrored[image_id].state == CREATING
    return image_id


def test_a_primary_that_was_renamed_since_its_name_was_taken_here():
    sites = Sites()
    sites.b.add_image("i", "another", FEATURES, SIZE)
    one = new_replayer(sites)
    with pytest.raises(AlreadyExists):
        run(one._look_and_act())
    sites.a.names = {"renamed": "source"}
    assert run(one._look_and_act()) is True
    assert sites.b.names == {"i": "another", "renamed": one.copy_id} and one.name == "renamed"


def test_the_name_that_a_copy_waits_for_outlives_the_end_of_its_replay():
    """The replay ends for that: the copy had another name as long as this one was taken."""
    sites = Sites()
    copy = asyncio.run(sites.create())
    one = new_replayer(sites)
    run(one._settle_copy())
    one._awaited_name, one._is_name_known = "free now", False
    run(one._settle_copy())
    run(one._take_awaited_name())
    assert sites.b.names == {"free now": copy.id} and one.name == "free now"
    one._is_name_known = False
    run(one._settle_copy())
    assert one._awaited_name is None


@pytest.mark.parametrize("listed", [True, False])
def test_a_copy_that_was_half_made_is_made_anew(listed):
    """Be it that the list of mirrored images had it, or that the try was cut short since."""
    sites = Sites()
    begun = begin(sites)
    one = new_replayer(sites, begun if listed else None)
    assert run(one._look_and_act()) is True
    [made] = sites.b.mirrored
    assert made != begun and one.copy_id == made
    assert one.as_found.local_state == MirrorImageState.ENABLED
    assert sites.b.names == {"i": made}
    run(sites.sweep())
    assert not [oid for oid, what in sites.b.everything().items() if begun in oid]


def test_a_copy_that_was_made_after_the_list_is_found():
    sites = Sites()
    copy = asyncio.run(sites.create())
    one = new_replayer(sites)
    run(one._settle_copy())
    assert one.copy_id == copy.id and not one._fresh


def test_a_name_that_is_taken_is_told_with_what_to_do():
    sites = Sites()
    sites.b.add_image("i", "another", FEATURES, SIZE)
    before = sites.b.everything()
    for _ in range(2):
        with pytest.raises(AlreadyExists) as caught:
            run(new_replayer(sites)._look_and_act())
        assert "rename or remove" in str(caught.value)
    assert sites.b.everything() == before and sites.registered is None


class TestOrphans:
    """The primary is mirrored no more."""

    def refresh(self, sites):
        del sites.a.mirrored["source"]

        run(MissingPrimaries(
            sites.b.pool(), sites.a.pool(), LINK, Delays(0, 0), lambda *told: None,
            lambda global_id: None).look(dict(sites.b.mirrored), 1, lambda global_id: True))

    def test_a_copy_goes(self):
        sites = Sites()
        asyncio.run(sites.create())
        self.refresh(sites)
        assert not sites.b.names and not sites.b.mirrored and sites.b.trash

    @pytest.mark.parametrize("owner", [ORPHAN, LOCAL_OWNER])
    def test_one_that_has_the_demotion_or_was_promoted_stays(self, owner):
        """It may be the last that has all of it."""
        sites = Sites()
        copy = asyncio.run(sites.create())
        asyncio.run(ImageJournal(sites.b.pool(), copy.id).allocate(TagData(owner), 0))
        before = sites.b.everything()
        self.refresh(sites)
        assert sites.b.everything() == before

    @pytest.mark.parametrize("lives", [4, 5, 6, 7, 8])
    def test_a_half_made_copy_goes(self, lives):
        sites = Sites()
        begin(sites, lives)
        self.refresh(sites)
        run(sites.sweep())
        assert not any(sites.b.everything().values())

    def test_an_image_that_is_being_enabled_here_stays(self):
        sites = Sites()
        sites.b.add_image("mine", "own", FEATURES, SIZE)
        asyncio.run(ImageJournal(sites.b.pool(), "own").create(LOCAL_OWNER))
        sites.b.mirrored["own"] = mirrored("another global id", CREATING)
        before = sites.b.everything()
        self.refresh(sites)
        assert sites.b.everything() == before


def test_a_site_that_was_promoted_and_demoted_again_is_followed_to_its_end():
    """Its changes are not here: who promoted this one then would lose them."""
    sites = Sites()
    copy = asyncio.run(sites.create())
    ours = ImageJournal(sites.b.pool(), copy.id)
    tags = [(ours, TagData(LOCAL_OWNER)), (ours, TagData(ORPHAN, Predecessor("", True, 1, 4))),
            (sites.remote, TagData(ORPHAN, Predecessor(LINK.local_uuid, True, 1, 4))),
            (sites.remote, TagData(LOCAL_OWNER, Predecessor(ORPHAN, True, 1, 1))),
            (sites.remote, TagData(ORPHAN, Predecessor("", True, 2, 7)))]
    followed = []
    for journal, data in tags:
        asyncio.run(journal.allocate(data, 0))
        one = new_replayer(sites, copy.id)

        async def follow(local, remote, one=one):
            followed.append(one)
            return False

        one._follow = follow
        run(one._look_and_act())
    assert followed[-1] is one and one.status.standing != states.DEMOTED


def test_watches_are_those_of_the_copy_that_there_is():
    sites = Sites()

    async def body():
        one = replayer(sites)
        await one._ensure_watches()
        assert len(one._watches) == 1
        copy = await sites.create()
        await one._settle_copy()
        await one._ensure_watches()
        assert one.copy_id == copy.id and len(one._watches) == 2
        await settle()

    run(body())


def test_copies_are_known_by_the_mark_here_alone():
    """What the primary's journal names is no reason to take an image for the copy."""
    sites = Sites()
    copy = asyncio.run(sites.create())
    del sites.b.mirrored[copy.id]
    one = new_replayer(sites)
    run(one._settle_copy())
    assert one.copy_id is None and sites.registered.image_id == copy.id
    assert asyncio.run(Copy(sites.b.pool(), copy.id).header()) is not None


class Secondary:
    """What a worker does at the copies' site, look by look, until it is killed."""

    def __init__(self, sites):
        self.sites = sites

    async def look(self):
        local = MirrorPool(images=dict(self.sites.b.mirrored), mode=MirrorMode.IMAGE)
        remote = MirrorPool(images=dict(self.sites.a.mirrored), mode=MirrorMode.IMAGE)
        for found in pool_module.pair_up(local, remote):
            await replayer(self.sites, found.local_id)._look_and_act()
        missing = MissingPrimaries(self.sites.b.pool(), self.sites.a.pool(), LINK, Delays(0, 0),
                                   lambda global_id, told: None, lambda global_id: None)
        await missing.look(pool_module.orphaned(local, remote), len(local.images),
                           lambda global_id: True)
        await self.sites.sweep()


def copied(sites):
    """Make a copy with data; return its id."""
    copy = asyncio.run(sites.create())
    for number in range(3):
        sites.b.operate(f"rbd_data.{copy.id}.{number:016x}", [("write", 0, b"data")])
    return copy.id


def of_image(sites, image_id):
    return [oid for oid, what in sites.b.everything().items() if image_id in oid]


def request_resync(sites, image_id):
    journal = sites.b.journals[f"journal.{image_id}"]
    journal.clients[""] = replace(journal.clients[""], data=ImageClientData(0, True).encode())


class TestKilledAtAnyWrite:
    """Nothing of what was to go stays, nothing else goes."""

    def test_of_a_resync(self):
        for lives in itertools.count():
            sites = Sites()
            old = copied(sites)
            request_resync(sites, old)
            worker = Secondary(sites)
            sites.b.lives = lives
            killed = False
            try:
                run(worker.look())
            except Killed:
                killed = True
            sites.b.lives = None
            for _ in range(3):
                if set(sites.b.mirrored) - {old}:
                    break
                run(worker.look())
            [made] = sites.b.mirrored
            assert made != old and sites.b.names == {"i": made}
            run(sites.sweep())
            assert of_image(sites, old) == [], lives
            assert not sites.b.trash and sites.registered.image_id == made
            if not killed:
                break
        assert lives > 10

    def test_of_a_removal(self):
        for lives in itertools.count():
            sites = Sites()
            old = copied(sites)
            del sites.a.mirrored["source"]
            sites.b.add_image("other", "another", FEATURES, SIZE)
            before = {oid: what for oid, what in sites.b.everything().items()
                      if "another" in oid or "other" in oid}
            worker = Secondary(sites)
            sites.b.lives = lives
            killed = False
            try:
                run(worker.look())
            except Killed:
                killed = True
            sites.b.lives = None
            for _ in range(2):
                run(worker.look())
            assert of_image(sites, old) == [], lives
            assert not sites.b.mirrored and not sites.b.trash
            assert before == {oid: what for oid, what in sites.b.everything().items()
                              if "another" in oid or "other" in oid}
            if not killed:
                break
        assert lives > 10

    def test_of_a_creation(self):
        for lives in itertools.count():
            sites = Sites()
            worker = Secondary(sites)
            sites.b.lives = lives
            killed = False
            try:
                run(worker.look())
            except Killed:
                killed = True
            sites.b.lives = None
            for _ in range(3):
                if any(image.state == MirrorImageState.ENABLED
                       for image in sites.b.mirrored.values()):
                    break
                run(worker.look())
            run(sites.sweep())
            [made] = sites.b.mirrored
            assert sites.b.names == {"i": made}
            assert not [oid for oid in sites.b.everything() if oid.startswith(
                ("rbd_header", "rbd_object_map", "journal", "rbd_data")) and made not in oid], lives
            if not killed:
                break
        assert lives > 8


def test_a_name_that_was_given_to_another_image_meanwhile_stays_with_it():
    """A removal was cut short when its name was free, and goes on after a user took that."""
    for lives in itertools.count():
        sites = Sites()
        old = copied(sites)
        del sites.a.mirrored["source"]
        sites.b.lives = lives
        killed = False
        try:
            run(Secondary(sites).look())
        except Killed:
            killed = True
        sites.b.lives = None
        if sites.b.content(id_oid("i")) is None and "i" not in sites.b.names:
            sites.b.add_image("i", "new", FEATURES, SIZE)
            run(Secondary(sites).look())
            assert sites.b.names == {"i": "new"}
            assert sites.b.content(id_oid("i")) == Encoder().string("new").done()
            assert of_image(sites, old) == [] and not sites.b.mirrored
        if not killed:
            break
