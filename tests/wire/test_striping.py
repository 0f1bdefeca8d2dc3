import random
from typing import Dict, List

import pytest

from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.striping import ObjectExtent, Striping


def striping(order: int = 4, unit: int = 0, count: int = 1) -> Striping:
    return Striping(ImageHeader(1000, order, Feature(0), "rbd_data.x", stripe_unit=unit,
                                stripe_count=count))


def test_without_stripes_objects_follow_each_other() -> None:
    assert striping().extents(10, 30) == [
        ObjectExtent(0, 10, 6, 0), ObjectExtent(1, 0, 16, 6), ObjectExtent(2, 0, 8, 22)]
    assert striping().period == 16
    assert striping().extents(5, 0) == []


def test_stripes_go_round_the_objects() -> None:
    two = striping(4, 4, 2)
    assert two.period == 32
    assert two.extents(0, 12) == [
        ObjectExtent(0, 0, 4, 0), ObjectExtent(1, 0, 4, 4), ObjectExtent(0, 4, 4, 8)]
    assert two.extents(34, 1) == [ObjectExtent(2, 2, 1, 0)]


def test_what_is_contiguous_in_an_object_is_one_run() -> None:
    assert striping(4, 4, 2).runs(0, 32) == [ObjectExtent(0, 0, 16, 0), ObjectExtent(1, 0, 16, 4)]
    assert striping(4, 4, 2).runs(2, 4) == [ObjectExtent(0, 2, 2, 0), ObjectExtent(1, 0, 2, 2)]


@pytest.mark.parametrize("unit, count", [(0, 1), (4, 3), (8, 2), (16, 5)])
def test_every_byte_has_its_own_place(unit: int, count: int) -> None:
    some = striping(4, unit, count)
    places = [(e.number, e.offset) for byte in range(500) for e in some.extents(byte, 1)]
    assert len(places) == len(set(places)) == 500
    start = random.randrange(300)
    assert [(e.number, e.offset + i) for e in some.extents(start, 200)
            for i in range(e.length)] == places[start:start + 200]


def joined(extents: List[ObjectExtent]) -> List[ObjectExtent]:
    """What is contiguous in an object as one, in the order in which the objects are met."""
    whole: Dict[int, ObjectExtent] = {}
    for extent in extents:
        known = whole.get(extent.number)
        if known is None:
            whole[extent.number] = extent
        else:
            assert known.offset + known.length == extent.offset
            whole[extent.number] = known._replace(length=known.length + extent.length)
    return list(whole.values())


@pytest.mark.parametrize("unit, count", [(0, 1), (4, 3), (8, 2), (16, 5), (1, 4)])
def test_runs_are_extents_joined(unit: int, count: int) -> None:
    some = striping(4, unit, count)
    for offset in range(0, 100, 3):
        for length in range(0, 200, 7):
            assert some.runs(offset, length) == joined(some.extents(offset, length))


def test_the_size_of_the_units_costs_no_time() -> None:
    assert len(striping(25, 1, 100).runs(5, 3 << 30)) == 100
