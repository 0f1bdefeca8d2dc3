import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire.journal_entry import OVERHEAD, Entry, encode, parse
from tests.wire.crc import crc32c

ENTRY = Entry(3, 4, b"event")


@pytest.fixture
def objects(recorded):
    return {int(number): bytes.fromhex(data)
            for number, data in recorded("journals")["events"]["objects"].items()}


def all_in(data: bytes) -> "list[Entry]":
    found, at = [], 0
    while True:
        one = parse(data, at, crc32c)
        if one is None:
            assert at == len(data)
            return found
        found.append(one[0])
        at = one[1]


def test_recorded_entries_are_spread_by_their_numbers(objects) -> None:
    assert set(objects) == {0, 1, 2, 3}
    for number, data in objects.items():
        found = all_in(data)
        assert found and all(entry.entry_tid % 4 == number for entry in found)
        assert [e[:2] for e in found] == sorted(e[:2] for e in found)


def test_recorded_entries_are_encoded_as_they_were(objects) -> None:
    for data in objects.values():
        assert b"".join(encode(entry, crc32c) for entry in all_in(data)) == data


def test_the_fast_checksum_is_the_same(objects) -> None:
    pytest.importorskip("rados", reason="maps the library")
    from mirror_mgr.cluster.crc32c import Crc32c
    from mirror_mgr.errors import NotSupported
    try:
        fast = Crc32c()
    except NotSupported:
        pytest.skip("stand-in for librados")
    for data in (b"", b"1", *objects.values()):
        assert fast(data) == crc32c(data)


def test_an_entry_that_is_not_whole_yet() -> None:
    data = encode(ENTRY, crc32c)
    assert len(data) == OVERHEAD + len(ENTRY.data)
    assert parse(b"before" + data, 6, crc32c) == (ENTRY, 6 + len(data))
    for size in range(len(data)):
        assert parse(data[:size], 0, crc32c) is None


def test_damage_is_found_in_every_byte() -> None:
    data = encode(ENTRY, crc32c)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x40
        try:
            assert parse(bytes(damaged), 0, crc32c) is None, "only a length may ask for more"
        except MalformedData:
            continue
        assert 25 <= place < 29


def test_unknown_version_and_nonsense() -> None:
    data = bytearray(encode(ENTRY, crc32c))
    data[8] = 2
    with pytest.raises(MalformedData, match="version 2"):
        parse(bytes(data), 0, crc32c)
    with pytest.raises(MalformedData, match="no journal entry"):
        parse(bytes(100), 0, crc32c)


def test_an_entry_that_is_longer_than_the_journal_can_have() -> None:
    data = encode(ENTRY, crc32c)
    assert parse(data, 0, crc32c, len(data)) == (ENTRY, len(data))
    with pytest.raises(MalformedData, match="3/4 would be of 5 bytes"):
        parse(data[:-3], 0, crc32c, len(data) - 1)
