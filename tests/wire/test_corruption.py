"""Bytes that rotted: a decoder gives some value or raises MalformedData, nothing else."""

import random

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import (
    cls_lock,
    cls_rbd,
    image_state,
    journal_entry,
    journal_event,
    watch_notify,
)
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.journal import JournalHeader
from mirror_mgr.wire.mirror import MirrorPool
from tests.wire.crc import crc32c


def rotten(data: bytes, dice: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        spoiled[dice.randrange(len(spoiled))] = dice.choice((0, 1, 255, dice.randrange(256)))
    return bytes(spoiled)


def tolerated(decode, data: object) -> None:
    try:
        decode(data)
    except MalformedData:
        pass


def _journal(omap) -> None:
    header = JournalHeader.from_omap(omap)
    tolerated(lambda whole: whole.is_primary, header)
    for client_id in header.clients:
        tolerated(header.peer, client_id)


@pytest.mark.parametrize("name, decode", [
    ("headers", ImageHeader.from_omap), ("mirroring", MirrorPool.from_omap),
    ("journals", _journal)])
def test_omaps(recorded, omap_of, name, decode) -> None:
    dice = random.Random(name)
    for entry in recorded(name).values():
        whole = omap_of(entry)
        for key, value in whole.items():
            for _ in range(20):
                tolerated(decode, {**whole, key: rotten(value, dice)})


@pytest.mark.parametrize("name, key, decode", [
    ("lock", "get_info", cls_lock.decode_get_info),
    ("lock", "notified", watch_notify.decode_image),
    ("leader", "notified", watch_notify.decode_leader),
    ("mirroring_notices", "notified", watch_notify.decode_mirroring),
    ("listings", "dir_list", cls_rbd.decode_dir_list),
    ("listings", "trash_list", cls_rbd.decode_trash_list)])
def test_answers_and_notifications(recorded, name, key, decode) -> None:
    dice = random.Random(name + key)
    found = recorded(name)[key]
    for data in [found] if isinstance(found, str) else found:
        for _ in range(300):
            tolerated(decode, rotten(bytes.fromhex(data), dice))


def test_journal_entries_and_events(recorded) -> None:
    dice = random.Random(5)
    objects = [bytes.fromhex(data) for data in recorded("journals")["events"]["objects"].values()]
    for data in objects:
        at = 0
        while at < len(data):
            entry, end = journal_entry.parse(data, at, crc32c)
            for _ in range(20):
                tolerated(journal_event.decode, rotten(entry.data, dice))
                tolerated(lambda spoiled: journal_entry.parse(spoiled, 0, crc32c),
                          rotten(data[at:end], dice))
            at = end


def test_image_states(recorded) -> None:
    dice = random.Random(3)
    for objects in recorded("image_states").values():
        for _ in range(100):
            tolerated(image_state.decode, [rotten(bytes.fromhex(blob), dice) for blob in objects])


def test_object_maps_and_statuses(recorded) -> None:
    dice = random.Random(4)
    status = recorded("mirroring")["site b"]["images"]["plain"]["mirror_image_status_get"]
    object_map = recorded("headers")["plain"]["object maps"]["head"]
    for _ in range(500):
        tolerated(cls_rbd.decode_mirror_image_status_get, rotten(bytes.fromhex(status), dice))
        tolerated(cls_rbd.decode_object_map_load, rotten(bytes.fromhex(object_map), dice))
