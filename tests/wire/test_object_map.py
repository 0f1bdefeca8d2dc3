import random
import time

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import ObjectState
from mirror_mgr.wire.object_map import (
    AllFrom,
    ObjectMap,
    as_bytes,
    changed,
    from_first,
    how_many,
    merged,
    numbers,
)

N, E, P, C = ObjectState


def map_of(entry, name) -> ObjectMap:
    return cls_rbd.decode_object_map_load(bytes.fromhex(entry["object maps"][name]))


def test_recorded_maps(recorded) -> None:
    plain = recorded("headers")["plain"]
    # Objects 0, 2 and 9 were written, then "kept" was made; then 2 and 3, then it grew.
    kept = [E, N, E, N, N, N, N, N, N, E]
    assert list(map_of(plain, "4").cells) == kept
    assert list(map_of(plain, "5").cells) == [C, N, E, E, N, N, N, N, N, C, N, N, N]
    assert list(numbers(changed(ObjectMap(), map_of(plain, "4")))) == [0, 2, 9]
    assert list(numbers(changed(map_of(plain, "4"), map_of(plain, "5")))) == [2, 3]


def test_recorded_maps_are_encoded_as_they_were(recorded) -> None:
    for entry in recorded("headers").values():
        for data in entry["object maps"].values():
            blob = bytes.fromhex(data)
            assert ObjectMap.decode(blob).encode() == blob


def test_first_object_is_in_the_top_bits() -> None:
    assert ObjectMap(bytes([E, P, C, N, C])).encode()[-6:-4].hex() == "6cc0"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000])
def test_round_trip(count, fails_when_cut) -> None:
    cells = random.Random(count).choices(range(4), k=count)
    object_map = ObjectMap(bytes(cells))
    data = object_map.encode()
    assert ObjectMap.decode(data) == object_map
    assert len(object_map) == count
    assert [object_map[n] for n in range(count)] == cells


def test_cut_short(recorded) -> None:
    blob = bytes.fromhex(recorded("headers")["plain"]["object maps"]["head"])
    for end in range(len(blob) - 4):  # less the empty buffer at its end
        with pytest.raises(MalformedData):
            ObjectMap.decode(blob[:end])


def test_a_count_that_the_bytes_do_not_bear_out() -> None:
    data = bytearray(ObjectMap(bytes(8)).encode())
    data[10:18] = (1 << 62).to_bytes(8, "little")
    with pytest.raises(MalformedData):
        ObjectMap.decode(bytes(data))


def test_resized() -> None:
    object_map = ObjectMap(bytes([E, C, C]))
    assert list(object_map.resized(2).cells) == [E, C]
    assert list(object_map.resized(5).cells) == [E, C, C, N, N]
    assert list(object_map.resized(4, E).cells) == [E, C, C, E]
    assert object_map.resized(3) == object_map


def test_changed_for_every_pair_of_states() -> None:
    pairs = [(before, after) for before in range(4) for after in range(4)]
    mask = changed(ObjectMap(bytes(b for b, _ in pairs)), ObjectMap(bytes(a for _, a in pairs)))
    unchanged = [pair for pair, flag in zip(pairs, mask) if not flag]
    assert unchanged == [(N, N), (E, C), (P, P), (C, C)]


def test_changed_beyond_the_end_of_the_shorter_map() -> None:
    short, long = ObjectMap(bytes([C])), ObjectMap(bytes([C, N, C, E]))
    assert list(numbers(changed(short, long))) == [2, 3]
    assert list(numbers(changed(long, short))) == [2, 3]


def test_marked() -> None:
    object_map = ObjectMap(bytes([N, E, P, C, N, E, P, C]))
    assert list(object_map.marked(b"\0\0\0\0\1\1\1\1").cells) == [N, C, C, C, N, E, E, E]
    assert list(object_map.marked(b"\1\1").cells) == [N, E, C, C, N, C, C, C]
    assert list(ObjectMap(bytes([C])).marked(b"\1" * 9).cells) == [E]


def test_merged() -> None:
    assert merged([b"\1\0\0", b"\0\1"]) == b"\1\1\0"
    assert merged([]) == b""


def test_all_from_is_a_mask_like_any_other() -> None:
    for first in range(5):
        for count in range(5):
            every, plain = AllFrom(first, count), as_bytes(AllFrom(first, count))
            assert plain == bytes(count)[:first] + b"\1" * (count - first)
            assert len(every) == len(plain) and how_many(every) == how_many(plain)
            assert list(numbers(every)) == list(numbers(plain))
            for end in range(5):
                assert as_bytes(every[:end]) == plain[:end]
                assert as_bytes(from_first(every, end)) == from_first(plain, end)
                other = bytes(end - 1) + b"\1" if end else b""
                assert as_bytes(merged([every, other])) == merged([plain, other])
            cells = ObjectMap(bytes([N, E, P, C]))
            assert cells.marked(every) == cells.marked(plain)


def test_cells_are_a_value() -> None:
    cells = bytearray(4)
    object_map = ObjectMap(cells)
    cells[0] = 3
    assert object_map == ObjectMap.filled(4)
    assert hash(object_map) == hash(ObjectMap.filled(4))
    assert "4 objects: nonexistent=4" in repr(object_map)


def test_a_million_objects_take_no_time() -> None:
    cells = random.Random(1).randbytes(1 << 20).translate(bytes(n & 3 for n in range(256)))
    start = time.process_time()
    object_map = ObjectMap.decode(ObjectMap(cells).encode())
    mask = changed(ObjectMap(cells[::-1]), object_map)
    object_map.marked(merged([mask, mask]))
    assert time.process_time() - start < 0.1


def test_a_map_of_more_objects_than_ceph_allows() -> None:
    for make in (lambda: ObjectMap.filled(256_000_001), lambda: ObjectMap().resized(1 << 50)):
        with pytest.raises(MalformedData, match="256000000"):
            make()
