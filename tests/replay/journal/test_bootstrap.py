"""A copy in journal mode: how it is made, and what is done about one that was half made."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from mirror_mgr.errors import AlreadyExists, NotReady
from mirror_mgr.replay import trash
from mirror_mgr.replay.image import Copy, Image, mirrored_as
from mirror_mgr.replay.journal import bootstrap
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.wire.constants import Feature, MirrorImageState
from mirror_mgr.wire.header import ParentLink, id_oid
from mirror_mgr.wire.journal import (
    LOCAL_OWNER,
    ORPHAN,
    PeerClientData,
    PeerState,
    TagData,
)
from tests.replay.fake_rados import Killed
from tests.replay.headers import GLOBAL_ID, LINK, image, user
from tests.replay.journal.fake_journals import JournaledSite, mirrored

FEATURES = Feature.LAYERING | Feature.EXCLUSIVE_LOCK | Feature.OBJECT_MAP | Feature.JOURNALING
SIZE = 4096


class Sites:
    """`a` has a primary image called "i", `b` is where its copy is to be."""

    def __init__(self):
        self.a, self.b = JournaledSite(), JournaledSite()
        self.a.mirror_uuid, self.b.mirror_uuid = LINK.remote_uuid, LINK.local_uuid
        self.a.add_image("i", "source", FEATURES, SIZE)
        self.a.mirrored["source"] = mirrored(GLOBAL_ID)
        self.remote = ImageJournal(self.a.pool(), "source")
        asyncio.run(self.remote.create(LOCAL_OWNER))

    @property
    def registered(self):
        """The copy as the primary knows it."""
        return self.a.journal("source").peer(LINK.local_uuid)

    async def create(self, changed=lambda: None):
        """Where the primary is changed once all is known of it but what the copy needs last."""
        pool = self.b.pool()
        source = Image(self.a.pool(), "source")
        header = await source.header()
        changed()
        return await bootstrap.create_copy(pool, source, header, self.remote, GLOBAL_ID,
                                           self.name_there, LINK, None)

    async def name_there(self):
        [name] = self.a.names
        return name

    async def discard(self):
        """What whoever comes next does before it makes the copy."""
        image_id = await mirrored_as(self.b.pool(), GLOBAL_ID)
        if image_id is not None:
            await bootstrap.discard(Copy(self.b.pool(), image_id), "i", GLOBAL_ID, LINK)

    async def sweep(self):
        await trash.sweep(self.b.pool(), dict(self.b.mirrored), 1, True, trash.Sweep(),
                          lambda key: True)


def test_what_is_changed_before_the_copy_is_registered_is_not_missed():
    """Of what is changed later the journal tells."""
    sites = Sites()

    def register(*args, register=sites.remote.register):
        sites.a.names = {"renamed": "source"}
        sites.a.headers["rbd_header.source"].metadata["key"] = b"value"
        return register(*args)

    sites.remote.register = register
    copy = asyncio.run(sites.create())
    assert sites.b.names == {"renamed": copy.id}
    assert sites.b.headers[copy.header_oid].metadata == {"key": b"value"}


def test_a_primary_that_was_flattened_meanwhile_is_looked_at_anew():
    sites = Sites()
    parent = ParentLink(1, "", "parent", 4, SIZE)
    unchanged = Image.header

    async def with_parent(image):
        return replace(await unchanged(image), parent=parent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "header", with_parent)
        with pytest.raises(NotReady):
            asyncio.run(sites.create(lambda: patch.setattr(Image, "header", unchanged)))
    assert not sites.b.names and not sites.b.mirrored
    assert asyncio.run(sites.create()).id in sites.b.mirrored


def test_a_copy_is_made():
    sites = Sites()
    copy = asyncio.run(sites.create())
    assert sites.b.names == {"i": copy.id}
    assert sites.b.mirrored == {copy.id: mirrored(GLOBAL_ID)}
    assert sites.registered == PeerClientData(copy.id, PeerState.SYNCING)
    assert sites.b.journal(copy.id).last_tag.owner == LINK.remote_uuid
    assert sites.b.headers[copy.header_oid].features == FEATURES


def left_over(sites, image_id):
    """What there is at the copies' site beside this image."""
    return [oid for oid, what in sites.b.everything().items()
            if what and image_id not in oid and oid not in (
                id_oid("i"), "rbd_directory", "rbd_mirroring")]


@pytest.mark.parametrize("discard_too", [False, True])
def test_one_that_was_cut_short_at_any_write_is_made_anew(discard_too):
    """Of the try nothing stays; also where the clearing away is cut short as well."""
    for lives in itertools.count():
        sites = Sites()
        sites.b.lives = lives
        try:
            asyncio.run(sites.create())
            break
        except Killed:
            pass
        for again in itertools.count() if discard_too else ():
            sites.b.lives = again
            try:
                asyncio.run(sites.discard())
                asyncio.run(sites.sweep())
                break
            except Killed:
                sites.b.lives = None
                asyncio.run(sites.sweep())
        sites.b.lives = None
        asyncio.run(sites.discard())
        copy = asyncio.run(sites.create())
        asyncio.run(sites.sweep())
        assert left_over(sites, copy.id) == [], f"killed after {lives} writes"
        assert sites.b.names == {"i": copy.id} and not sites.b.trash
        assert sites.b.mirrored == {copy.id: mirrored(GLOBAL_ID)}
    assert lives > 8


def test_a_daemon_can_clear_away_whatever_is_marked():
    """It needs the journal for that, and no name may lead to what is not in the directory."""
    for lives in itertools.count():
        sites = Sites()
        sites.b.lives = lives
        try:
            asyncio.run(sites.create())
            break
        except Killed:
            pass
        for image_id in sites.b.mirrored:
            assert sites.b.journal(image_id).last_tag.owner == LINK.remote_uuid
        if sites.b.content(id_oid("i")) is not None:
            assert "i" in sites.b.names


class TestWhatIsNotOurs:
    def detached(self, sites, **more):
        """The copy, taken out of mirroring by an administrator, who writes to it."""
        copy = asyncio.run(sites.create())
        del sites.b.mirrored[copy.id]
        asyncio.run(ImageJournal(sites.b.pool(), copy.id).allocate(TagData(LOCAL_OWNER), 0))
        sites.b.operate(f"rbd_data.{copy.id}.{0:016x}", [("write", 0, b"own")])
        return copy

    def test_an_image_that_the_primary_s_journal_names_is_left_alone(self):
        sites = Sites()
        self.detached(sites)
        before, there = sites.b.everything(), sites.a.everything()
        with pytest.raises(AlreadyExists) as caught:
            asyncio.run(sites.create())
        assert "'i'" in str(caught.value) and "rename or remove" in str(caught.value)
        assert sites.b.everything() == before
        assert sites.registered is None
        assert {**there, "journal.source": 0} == {**sites.a.everything(), "journal.source": 0}

    def test_under_another_name_it_does_not_stand_in_the_way(self):
        sites = Sites()
        copy = self.detached(sites)
        sites.b.names = {"j": copy.id}
        sites.b.operate(id_oid("j"), [("write", 0, sites.b.content(id_oid("i")))])
        sites.b.operate(id_oid("i"), [("remove",)])
        before = {oid: what for oid, what in sites.b.everything().items() if copy.id in oid}
        second = asyncio.run(sites.create())
        assert sites.b.names == {"j": copy.id, "i": second.id}
        assert before == {oid: what for oid, what in sites.b.everything().items()
                          if copy.id in oid}

    @pytest.mark.parametrize("owner", [LOCAL_OWNER, ORPHAN])
    def test_a_journal_of_its_own_is_left_alone(self, owner):
        """Though the image's header is gone: what was written may be in there."""
        sites = Sites()
        copy = self.detached(sites)
        asyncio.run(ImageJournal(sites.b.pool(), copy.id).allocate(TagData(owner), 0))
        del sites.b.headers[copy.header_oid], sites.b.names["i"]
        sites.b.operate(id_oid("i"), [("remove",)])
        asyncio.run(sites.create())
        assert sites.b.journal(copy.id).last_tag.owner == owner

    def test_a_name_that_is_taken_meanwhile(self, monkeypatch):
        """Nothing is left of the try at either site."""
        sites = Sites()
        before, there = sites.b.everything(), sites.a.everything()

        async def nobody_yet(pool, name):
            pass

        monkeypatch.setattr(bootstrap.create, "require_free", nobody_yet)
        sites.b.add_image("i", "another", FEATURES, SIZE)
        before = sites.b.everything()
        with pytest.raises(AlreadyExists):
            asyncio.run(sites.create())
        asyncio.run(sites.sweep())
        assert sites.b.everything() == before
        assert sites.a.everything() == there

    def test_one_that_was_given_data_is_not_discarded(self):
        sites = Sites()
        copy = self.detached(sites)
        sites.b.mirrored[copy.id] = mirrored(GLOBAL_ID, MirrorImageState.CREATING)
        before = sites.b.everything()
        with pytest.raises(AlreadyExists) as caught:
            asyncio.run(sites.discard())
        assert "--force" in str(caught.value)
        assert sites.b.everything() == before


def journal(owner):
    site = JournaledSite()
    asyncio.run(ImageJournal(site.pool(), "x").create(owner))
    return site.journal("x")


@pytest.mark.parametrize("header, owner, half_made", [
    (None, None, True),
    (None, LINK.remote_uuid, True),
    (image(), LINK.remote_uuid, True),
    (image(user(3)), LINK.remote_uuid, False),
    (image(), LOCAL_OWNER, False),
    (image(), ORPHAN, False),
    (None, LOCAL_OWNER, False),
    (image(), None, False),
])
def test_what_is_nothing_but_a_half_made_copy(header, owner, half_made):
    own = None if owner is None else journal(owner)
    assert bootstrap.is_half_made(header, own, LINK) is half_made
