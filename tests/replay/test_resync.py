"""When the flag for a resync no longer counts."""

import asyncio
from dataclasses import replace

import pytest

from mirror_mgr.replay import resync
from mirror_mgr.replay.journal.store import ImageJournal
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import header_oid
from mirror_mgr.wire.journal import (
    IMAGE_CLIENT,
    LOCAL_OWNER,
    ORPHAN,
    ImageClientData,
    journal_oid,
)
from tests.replay.headers import LINK
from tests.replay.journal.fake_journals import JournaledPool, JournaledSite

HEADER, JOURNAL = header_oid("id"), journal_oid("id")
ASKED = {f".rbd_mirror.{LINK.local_uuid}": b'{"resync_requested": true}'}
OTHERS = {"theirs": b"value"}


def site(features=Feature.LAYERING, owner=LOCAL_OWNER):
    """One with an image for which a resync was asked for, in either mode."""
    made = JournaledSite()
    made.add_image("i", "id", features, 4096)
    made.headers[HEADER].metadata = {**ASKED, **OTHERS}
    asyncio.run(ImageJournal(made.pool(), "id").create(owner))
    ask_in_journal(made)
    return made


def ask_in_journal(made):
    clients = made.journals[JOURNAL].clients
    clients[IMAGE_CLIENT] = replace(clients[IMAGE_CLIENT], data=ImageClientData(0, True).encode())
    made.journals[JOURNAL].version += 1


def forget(made):
    asyncio.run(resync.forget(made.pool(), "id", LINK.local_uuid))
    asyncio.run(resync.forget_in_journal(made.pool(), "id"))


def test_what_was_asked_of_a_copy_is_off_once_that_is_primary():
    made = site()
    forget(made)
    assert made.headers[HEADER].metadata == OTHERS
    assert made.journal("id").image == ImageClientData(0, False)
    before = made.everything()
    forget(made)
    assert made.everything() == before


@pytest.mark.parametrize("owner", [ORPHAN, LINK.remote_uuid])
def test_what_is_asked_of_a_copy_stays(owner):
    made = site(Feature.LAYERING | Feature.NON_PRIMARY, owner)
    before = made.everything()
    forget(made)
    assert made.everything() == before


def test_what_is_asked_anew_meanwhile_stays(monkeypatch):
    """After a demotion, say."""
    made = site()

    async def read(pool, oid, read=JournaledPool.omap_versioned):
        found = await read(pool, oid)
        made.headers[HEADER].version += 1
        ask_in_journal(made)
        return found

    monkeypatch.setattr(JournaledPool, "omap_versioned", read)
    before = made.everything()
    forget(made)
    assert made.everything() == before
