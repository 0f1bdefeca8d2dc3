"""The names of copies: renamed, cut off anywhere and begun again, swapped, and not to be had."""

import asyncio
import itertools
import random

import pytest

from mirror_mgr.errors import AlreadyExists, MirrorError, NotReady
from mirror_mgr.replay.image import Copy
from mirror_mgr.replay.naming import rename, waits_for, why_not
from mirror_mgr.wire.constants import Feature, ImageMode, MirrorImageState
from mirror_mgr.wire.encoding import Decoder
from mirror_mgr.wire.header import id_oid
from mirror_mgr.wire.mirror import MirrorImage
from tests.replay.fake_rados import Killed
from tests.replay.journal.fake_journals import JournaledSite

PLAIN = Feature.LAYERING
COPY = Feature.LAYERING | Feature.NON_PRIMARY


def site_of(order=None, copies=(), others=()):
    """`copies` and `others` are (name, id) of copies and of images that a user made."""
    site = JournaledSite(order)
    for name, image_id in others:
        site.add_image(name, image_id, PLAIN, 4096)
    for name, image_id in copies:
        site.add_image(name, image_id, COPY, 4096)
        site.mirrored[image_id] = MirrorImage(
            f"g{image_id}", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
    return site


def names(site):
    """Ids by name, as the directory and as the id objects have them."""
    return dict(site.names), {
        oid[len("rbd_id."):]: Decoder(found.content()).string()
        for oid, found in site.objects.items() if oid.startswith("rbd_id.")}


def name_of(site, image_id):
    [name] = [name for name, known in site.names.items() if known == image_id]
    return name


def renamed(site, image_id, new):
    return asyncio.run(rename(Copy(site.pool(), image_id), name_of(site, image_id), new))


def test_a_rename_that_was_cut_off_is_finished():
    for lives in itertools.count():
        site = site_of(copies=[("old", "1f")])
        site.lives = lives
        try:
            renamed(site, "1f", "new")
            break
        except Killed:
            site.lives = None
            assert renamed(site, "1f", "new") == "new"
        assert names(site) == ({"new": "1f"}, {"new": "1f"})
    assert lives == 3


@pytest.mark.parametrize("how", ["ordinary", "promoted", "gone from the directory"])
def test_another_image_keeps_its_name(how):
    site = site_of(copies=[("old", "1f")], others=[("new", "2e")])
    if how == "promoted":
        site.mirrored["2e"] = MirrorImage("g", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
    if how == "gone from the directory":
        del site.names["new"]
    before = site.everything()
    assert renamed(site, "1f", "new") == "old"
    assert site.everything() == before
    told = asyncio.run(why_not(site.pool(), "new"))
    assert "'new'" in told and "2e" in told and "rename or remove that image" in told


def test_a_copy_that_may_leave_its_name_is_waited_for():
    site = site_of(copies=[("old", "1f"), ("new", "2e")])
    parked = renamed(site, "1f", "new")
    assert waits_for(parked, "1f") == "new" and waits_for(parked, "2e") is None
    assert names(site) == ({parked: "1f", "new": "2e"},) * 2
    assert renamed(site, "1f", "new") == parked, "it stays so for as long as need be"
    told = asyncio.run(why_not(site.pool(), "new"))
    assert "'new'" in told and "2e" in told and "copy of another image" in told
    assert renamed(site, "2e", "elsewhere") == "elsewhere"
    assert renamed(site, "1f", "new") == "new"
    assert names(site) == ({"new": "1f", "elsewhere": "2e"},) * 2


def test_a_name_of_ours_is_no_other_names():
    assert waits_for("a", "1f") is None
    assert waits_for("a.waits-1f", "1f") == "a"
    assert waits_for("a.waits-1f", "1") is None


def test_a_name_that_only_its_id_object_gave_up():
    """The other one's worker was cut off, and may wait for the name that ours has."""
    site = site_of(copies=[("old", "1f"), ("new", "2e")])
    del site.objects[id_oid("new")]
    assert waits_for(renamed(site, "1f", "new"), "1f") == "new"
    assert renamed(site, "2e", "old") == "old"
    assert renamed(site, "1f", "new") == "new"
    assert names(site) == ({"new": "1f", "old": "2e"},) * 2


def test_the_directory_still_gives_the_name_to_a_users_image():
    site = site_of(copies=[("old", "1f")], others=[("new", "2e")])
    del site.objects[id_oid("new")]
    with pytest.raises(NotReady, match="'new' is just being given up"):
        renamed(site, "1f", "new")
    assert site.names == {"old": "1f", "new": "2e"}


def test_nobody_has_the_name_any_more():
    assert "given up" in asyncio.run(why_not(JournaledSite().pool(), "new"))


@pytest.mark.parametrize("seed", range(40))
def test_names_that_are_swapped(seed):
    """By a worker for each of two or three images, in any order of their steps, and with kills."""
    rng = random.Random(seed)
    ids = ["1f", "2e", "3d"][:rng.choice((2, 3))]
    olds = [f"name{number}" for number in range(len(ids))]
    site = site_of(rng, copies=list(zip(olds, ids)))
    wanted = dict(zip(ids, olds[1:] + olds[:1]))

    async def worker(image_id):
        while name_of(site, image_id) != wanted[image_id]:
            try:
                await rename(Copy(site.pool(), image_id), name_of(site, image_id),
                             wanted[image_id])
            except (AlreadyExists, NotReady):
                pass
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)

    async def work():
        await asyncio.wait_for(asyncio.gather(*map(worker, ids)), 10)

    for _ in range(rng.randrange(4)):
        site.lives = rng.randrange(8)
        try:
            asyncio.run(work())
        except Killed:
            pass
    site.lives = None
    asyncio.run(work())
    found = {name: image_id for image_id, name in wanted.items()}
    assert names(site) == (found, found)


@pytest.mark.parametrize("seed", range(40))
def test_a_strangers_image_that_comes_in_between(seed):
    """It is made, step by step as librbd does, while a copy is on its way to that name."""
    rng = random.Random(seed)
    site = site_of(rng, copies=[("old", "1f")])

    async def stranger():
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        other = Copy(site.pool(), "user")
        try:
            await other.claim_name("new")
        except AlreadyExists:
            return False
        site.headers["rbd_header.user"] = site.headers["rbd_header.1f"]
        return site.names.setdefault("new", "user") == "user"

    async def both():
        made, renaming = await asyncio.gather(
            stranger(), rename(Copy(site.pool(), "1f"), "old", "new"), return_exceptions=True)
        assert isinstance(renaming, (str, MirrorError)), renaming
        return made, renaming

    made, renaming = asyncio.run(both())
    owner = "user" if made else "1f"
    assert Decoder(site.content(id_oid("new"))).string() == owner
    assert site.names["new"] == owner
    assert renaming == ("old" if made else "new")
