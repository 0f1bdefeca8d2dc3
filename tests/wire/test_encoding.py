import random
from enum import IntEnum

import pytest

from mirror_mgr.errors import InvalidArgument, MalformedData
from mirror_mgr.wire.encoding import Decoder, Encoder


def test_numbers_are_little_endian() -> None:
    data = Encoder().u8(1).u16(2).u32(3).u64(4).s64(-1).boolean(True).done()
    assert data.hex() == "01" "0200" "03000000" "0400000000000000" "ffffffffffffffff" "01"
    source = Decoder(data)
    assert (source.u8(), source.u16(), source.u32(), source.u64(), source.s64(),
            source.boolean()) == (1, 2, 3, 4, -1, True)
    assert source.at_end


def test_strings_and_buffers() -> None:
    data = Encoder().string("снимок").bytes_(b"\0\xff").raw(b"tail").done()
    source = Decoder(data)
    assert source.string() == "снимок"
    assert source.bytes_() == b"\0\xff"
    assert not source.at_end
    assert source.remaining() == b"tail"
    assert source.at_end


def test_a_name_that_is_not_utf8_keeps_its_bytes() -> None:
    data = Encoder().bytes_(b"\xff\xfeold").done()
    assert Encoder().string(Decoder(data).string()).done() == data


def test_time_is_nanoseconds() -> None:
    data = Encoder().utime(1795438521_000000007).done()
    assert data == Encoder().u32(1795438521).u32(7).done()
    assert Decoder(data).utime() == 1795438521_000000007


def test_containers() -> None:
    data = (Encoder().list_([3, 1], Encoder.u8).map_({"b": 1, "a": 2}, Encoder.string, Encoder.u8)
            .optional(None, Encoder.u8).optional(5, Encoder.u8).done())
    source = Decoder(data)
    assert source.list_(Decoder.u8) == [3, 1]
    assert source.map_(Decoder.string, Decoder.u8) == {"a": 2, "b": 1}
    assert source.optional(Decoder.u8) is None
    assert source.optional(Decoder.u8) == 5


def test_maps_ascend_by_the_bytes_of_their_keys() -> None:
    keys = ["z", "aa", "a", "é", "𝄞", "\uffff", ""]
    data = Encoder().map_(dict.fromkeys(keys, 0), Encoder.string, Encoder.u8).done()
    assert list(Decoder(data).map_(Decoder.string, Decoder.u8)) == sorted(
        keys, key=lambda key: key.encode())
    numbers = Encoder().map_({300: 0, 2: 0}, Encoder.u64, Encoder.u8).done()
    assert list(Decoder(numbers).map_(Decoder.u64, Decoder.u8)) == [2, 300]


def test_struct_skips_what_a_newer_release_added() -> None:
    data = Encoder().struct(9, 1, Encoder().u8(7).raw(b"new fields")).u8(8).done()
    source = Decoder(data)
    version, body = source.struct(2)
    assert (version, body.u8(), source.u8()) == (9, 7, 8)


def test_struct_that_only_a_newer_reader_understands() -> None:
    data = Encoder().struct(3, 3, Encoder()).done()
    assert Decoder(data).struct(3)[0] == 3
    with pytest.raises(MalformedData, match="needs a reader of version 3"):
        Decoder(data).struct(2)


def test_a_body_does_not_read_beyond_its_frame() -> None:
    source = Decoder(Encoder().struct(1, 1, Encoder().u8(1)).u64(2).done())
    _, body = source.struct(1)
    with pytest.raises(MalformedData):
        body.u64()


def test_unknown_number_of_an_enum() -> None:
    class Kind(IntEnum):
        ONE = 1

    source = Decoder(b"")
    assert source.enum(Kind, 1) is Kind.ONE
    with pytest.raises(MalformedData, match="2 is no Kind"):
        source.enum(Kind, 2)


@pytest.mark.parametrize("read", [
    Decoder.u8, Decoder.u16, Decoder.u32, Decoder.u64, Decoder.s64, Decoder.boolean,
    Decoder.bytes_, Decoder.string, Decoder.utime,
    lambda source: source.list_(Decoder.u8),
    lambda source: source.map_(Decoder.u8, Decoder.u8),
    lambda source: source.optional(Decoder.u8),
    lambda source: source.struct(255)])
def test_random_bytes_give_a_value_or_malformed_data(read) -> None:
    dice = random.Random(7)
    for _ in range(500):
        try:
            read(Decoder(dice.randbytes(dice.randrange(24))))
        except MalformedData:
            pass
    with pytest.raises(MalformedData):
        read(Decoder(b""))


def test_a_huge_length_is_no_reason_to_allocate() -> None:
    for data in (b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x01\x02"):
        for read in (Decoder.bytes_, Decoder.string,
                     lambda source: source.list_(Decoder.u8)):
            with pytest.raises(MalformedData):
                read(Decoder(data))


@pytest.mark.parametrize("decode", [
    lambda source: source.list_(Decoder.u8),
    lambda source: source.map_(Decoder.u8, Decoder.u8)])
def test_more_items_than_there_are_bytes(decode) -> None:
    with pytest.raises(MalformedData, match="4294967295 items expected at offset 4, 3 bytes"):
        decode(Decoder(b"\xff" * 4 + b"abc"))


def test_what_is_no_text() -> None:
    with pytest.raises(InvalidArgument, match="ud800"):
        Encoder().string("\ud800")
