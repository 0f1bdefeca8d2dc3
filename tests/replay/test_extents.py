"""Which bytes are written, against doing it byte by byte."""

import random

import pytest

from mirror_mgr.replay import extents
from mirror_mgr.replay.extents import (
    BLOCK,
    SMALL_BLOCK,
    Extent,
    Piece,
    changed_pieces,
    chunks,
    is_zero,
    merge,
    pieces,
    to_read,
)

SEEDS = range(200)


@pytest.fixture
def small_blocks(monkeypatch):
    """A property that holds for any size of blocks is tried with those that random data meets."""
    monkeypatch.setattr(extents, "BLOCK", 32)
    monkeypatch.setattr(extents, "SMALL_BLOCK", 8)


def patchy(rng, most):
    """Random content with runs of zeros."""
    data = bytearray()
    while len(data) < most and rng.randrange(12):
        length = rng.randrange(1, 40)
        data += bytes(length) if rng.randrange(2) else rng.randbytes(length)
    return bytes(data[:most])


def applied(old, found):
    """The content that writing these pieces over `old` gives."""
    data = bytearray(old)
    for offset, length, piece in found:
        assert length > 0 and (piece is None or len(piece) == length)
        data[offset:offset + length] = bytes(length) if piece is None else piece
    return bytes(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_put_together_are_the_content(seed, small_blocks):
    rng = random.Random(seed)
    offset, data = rng.randrange(100), patchy(rng, 300)
    found = pieces(offset, data)
    assert applied(b"?" * (offset + len(data)), found) == b"?" * offset + data
    assert [p.offset for p in found] == [offset + sum(p.length for p in found[:i])
                                         for i in range(len(found))]
    for piece, after in zip(found, found[1:]):
        assert (piece.data is None) != (after.data is None)
        assert after.offset % 32 == 0, "cut elsewhere than at a multiple of the block"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_block_of_zeros_is_written(seed, small_blocks):
    rng = random.Random(seed)
    data = patchy(rng, 300)
    written = bytearray(len(data))
    for offset, length, piece in pieces(0, data):
        written[offset:offset + length] = bytes([piece is not None]) * length
    for start in range(0, len(data), 32):
        block = slice(start, start + 32)
        assert any(written[block]) == any(data[block])


def test_the_real_size_of_blocks():
    assert pieces(0, b"") == []
    assert pieces(0, bytes(3 * BLOCK)) == [Piece(0, 3 * BLOCK, None)]
    one = b"x" + bytes(BLOCK - 1)
    assert pieces(0, bytes(BLOCK) + one) == [Piece(0, BLOCK, None), Piece(BLOCK, BLOCK, one)]
    assert pieces(BLOCK - 1, bytes(1) + one) == [
        Piece(BLOCK - 1, 1, None), Piece(BLOCK, BLOCK, one)]


def test_content_without_zeros_is_not_copied():
    data = b"x" * 3 * BLOCK
    assert pieces(5, data)[0].data is data


@pytest.mark.parametrize("length", [1, 2, 100, BLOCK])
def test_zeros_are_told_from_one_byte_that_is_none(length):
    assert is_zero(bytes(length + 7), 3, 3 + length)
    for place in {0, length // 2, length - 1}:
        data = bytearray(length + 7)
        data[3 + place] = 1
        assert not is_zero(bytes(data), 3, 3 + length)


def changed_content(rng):
    old = patchy(rng, 300)
    new = bytearray(old[:rng.randrange(1 + len(old))] + patchy(rng, 200))
    for _ in range(rng.randrange(4)):
        place = rng.randrange(1 + len(new))
        new[place:place + 3] = rng.randbytes(len(new[place:place + 3]))
    return old, bytes(new)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_changed_turns_the_old_into_the_new(seed, small_blocks):
    rng = random.Random(seed)
    old, new = changed_content(rng)
    offset = rng.randrange(50)
    before = bytes(offset) + old[:len(new)].ljust(len(new), b"\0")
    assert applied(before, changed_pieces(offset, old, new)) == bytes(offset) + new


@pytest.mark.parametrize("seed", SEEDS)
def test_small_blocks_that_did_not_change_are_left_alone(seed, small_blocks):
    old, new = changed_content(random.Random(seed))
    for offset, length, _ in changed_pieces(0, old, new):
        for start in range(offset, offset + length, 8):
            end = min(start + 8, offset + length)
            assert old[start:end].ljust(end - start, b"\0") != new[start:end]


def test_equal_content_needs_nothing():
    data = random.Random(1).randbytes(3 * BLOCK + 5)
    assert changed_pieces(0, data, data) == []
    assert changed_pieces(0, data, data[:-10]) == []
    assert changed_pieces(0, b"", bytes(3 * BLOCK)) == []


def test_the_real_size_of_small_blocks():
    old = b"x" * 2 * BLOCK
    new = old[:5000] + b"y" + old[5001:]
    assert changed_pieces(0, old, new) == [
        Piece(SMALL_BLOCK, SMALL_BLOCK, new[SMALL_BLOCK:2 * SMALL_BLOCK])]


def random_extents(rng, overlapping):
    """Ascending, and disjoint unless told otherwise."""
    found, offset = [], 0
    for _ in range(rng.randrange(30)):
        offset += rng.randrange(1, 30)
        length = rng.randrange(1, 20)
        found.append((offset, length))
        offset += 0 if overlapping else length
    return found


def covered(found):
    return {byte for offset, length in found for byte in range(offset, offset + length)}


@pytest.mark.parametrize("seed", SEEDS)
def test_merging(seed):
    rng = random.Random(seed)
    given, gap = random_extents(rng, seed % 2), rng.randrange(15)
    found = merge(given, gap)
    bytes_given, bytes_found = covered(given), covered(found)
    assert bytes_given <= bytes_found
    for before, after in zip(found, found[1:]):
        assert after.offset - before.end > gap
    for byte in bytes_found - bytes_given:
        below = max(b for b in bytes_given if b < byte)
        above = min(b for b in bytes_given if b > byte)
        assert above - below - 1 <= gap, "a gap that should have been left out"


@pytest.mark.parametrize("seed", SEEDS)
def test_reads_are_exact_unless_there_are_too_many(seed, small_blocks):
    rng = random.Random(seed)
    given, most = random_extents(rng, False), rng.randrange(1, 12)
    found = to_read(given, most)
    assert len(found) <= most
    assert covered(given) <= covered(found)
    if len(merge(given, 0)) <= most:
        assert covered(found) == covered(given)


def test_reading_nothing():
    assert to_read([], 4) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_chunks(seed):
    rng = random.Random(seed)
    extent, size = Extent(rng.randrange(50), rng.randrange(100)), rng.randrange(1, 30)
    found = list(chunks(extent, size))
    assert covered(found) == covered([extent])
    assert sum(c.length for c in found) == extent.length
    assert all(0 < c.length <= size for c in found)
