"""The trash between a sweep's listing and its removals, and what it leaves unfinished."""

import asyncio
import time
from dataclasses import replace

import pytest

from mirror_mgr.replay import trash
from mirror_mgr.wire.constants import (
    Feature,
    ImageMode,
    MirrorImageState,
    TrashSource,
    TrashState,
)
from mirror_mgr.wire.header import header_oid, id_oid
from mirror_mgr.wire.mirror import MirrorImage
from mirror_mgr.wire.trash import TrashEntry
from tests.replay.fake_rados import Killed
from tests.replay.journal.fake_journals import JournaledSite

COPY = Feature.LAYERING | Feature.NON_PRIMARY
SECOND = 10**9
HOUR = 3600  # longer than the tests take


def entry(seconds=-1, age=0, source=TrashSource.MIRRORING, state=TrashState.NORMAL):
    """`seconds` until its time is over; `age` since it was put there."""
    now = time.time_ns()
    return TrashEntry(source, "i", now - age * SECOND, now + seconds * SECOND, state)


def site_of(found=None, image_id="1f"):
    """A copy in the trash."""
    site = JournaledSite()
    site.add_image("i", image_id, COPY, 2048)
    del site.names["i"], site.objects[id_oid("i")]
    site.trash[image_id] = found or entry()
    return site


def sweep(site, told=None):
    asyncio.run(trash.sweep(site.pool(), dict(site.mirrored), 1, True, told or trash.Sweep(),
                            lambda key: True))


def has_data(site, image_id="1f"):
    return (header_oid(image_id) in site.headers
            and site.content(f"rbd_data.{image_id}.{0:016x}") == b"data")


def test_one_whose_time_is_over_goes():
    site = site_of()
    sweep(site)
    assert not any(site.everything().values())


@pytest.mark.parametrize("moment", range(3))
@pytest.mark.parametrize("change", [
    "restored", "restoring", "given longer", "a user's", "in the directory again"])
def test_changed_after_it_was_listed(monkeypatch, change, moment):
    """By a client, right before one of the calls by which a sweep makes sure."""
    site = site_of()
    calls = []
    honest = type(site).call

    def call(self, oid, method, data):
        if not calls and method == ("trash_get", "trash_state_set", "dir_get_name")[moment]:
            calls.append(method)
            make(site, change)
        return honest(self, oid, method, data)

    monkeypatch.setattr(type(site), "call", call)
    now = site.trash["1f"]
    try:
        sweep(site)
    except Exception as error:
        assert moment and change == "restored", error
    known = site.trash.get("1f", now)
    if moment == 0 or change in ("restored", "in the directory again") or (
            change == "restoring" and moment == 1):
        assert has_data(site), known
        assert change != "restored" or site.names == {"i": "1f"}


def make(site, change):
    if change == "restored":
        site.names["i"] = "1f"
        site.trash.pop("1f")
    elif change == "restoring":
        site.trash["1f"] = entry(state=TrashState.RESTORING)
    elif change == "given longer":
        site.trash["1f"] = entry(seconds=HOUR)
    elif change == "a user's":
        site.trash["1f"] = entry(source=TrashSource.USER)
    else:
        site.names["i"] = "1f"


@pytest.mark.parametrize("found", [
    entry(seconds=HOUR), entry(source=TrashSource.USER), entry(state=TrashState.RESTORING),
    entry(state=TrashState.MOVING)])
def test_what_stays(found):
    site = site_of(found)
    before = site.everything()
    sweep(site)
    assert site.everything() == before


@pytest.mark.parametrize("lives", range(12))
def test_killed_at_any_write_the_next_sweep_finishes_it(lives):
    site = site_of()
    site.lives = lives
    try:
        sweep(site)
    except Killed:
        pass
    site.lives = None
    sweep(site)
    assert not any(site.everything().values())


def test_more_entries_than_a_page_holds():
    site = site_of(image_id="zzzz")
    for number in range(2500):
        site.trash[f"{number:04}"] = entry(source=TrashSource.USER)
    site.trash["1500x"] = entry(seconds=HOUR)
    told = trash.Sweep()
    sweep(site, told)
    assert set(told.kept) == {"1500x"} and "zzzz" not in site.trash and len(site.trash) == 2501


@pytest.mark.parametrize("asked, age, goes", [(0, 10, True), (60, 70, True), (60, 50, False)])
def test_from_a_pool_that_is_nearly_full(asked, age, goes):
    site = site_of(entry(seconds=3000, age=age))
    site.connection.conf["rbd_mirroring_delete_delay"] = str(asked)
    site.connection.nearly_full = frozenset([site.pool().pool_id + 1])
    sweep(site)
    assert has_data(site)
    site.connection.nearly_full = frozenset([site.pool().pool_id])
    sweep(site)
    assert has_data(site) is not goes


@pytest.mark.parametrize("age, stays", [(50, True), (70, False)])
def test_the_entry_of_an_image_that_is_mirrored_is_taken_back(age, stays):
    site = site_of()
    site.add_image("i", "2e", COPY, 2048)
    site.mirrored["2e"] = MirrorImage("g", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
    site.trash["2e"] = entry(age=age)
    sweep(site)
    assert ("2e" in site.trash) is stays and site.names == {"i": "2e"} and has_data(site, "2e")


def test_a_move_that_was_cut_off_is_finished_before_its_time_is_over():
    site = site_of()
    site.add_image("i", "2e", COPY, 2048)
    site.mirrored["2e"] = MirrorImage("g", MirrorImageState.DISABLING, ImageMode.SNAPSHOT)
    site.trash = {"2e": entry(seconds=3000)}
    sweep(site)
    assert not site.names and not site.mirrored and site.content(id_oid("i")) is None
    assert site.trash and has_data(site, "2e")


def test_an_entry_that_was_promised_to_the_remover_is_nobody_elses():
    """Nobody restores what is being removed."""
    site = site_of(replace(entry(), state=TrashState.REMOVING))
    sweep(site)
    assert not any(site.everything().values())
