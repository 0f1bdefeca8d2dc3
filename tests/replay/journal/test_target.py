"""The copy's object map when a replay begins: what it does not tell counts as existing."""

import asyncio
from typing import Any, List, Optional

import pytest

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.journal.target import Target
from mirror_mgr.wire.constants import Feature, ObjectState
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.journal_event import Discard
from mirror_mgr.wire.object_map import ObjectMap

N, E, P, C = (int(state) for state in ObjectState)
HEADER = ImageHeader(4 << 12, 12, Feature.EXCLUSIVE_LOCK | Feature.OBJECT_MAP, "rbd_data.1")


class Data:
    def with_snap_context(self, snap_ids: Any) -> "Data":
        return self

    def close(self) -> None:
        pass


class Copy:
    """With this object map, or none; `saved` are those that were written."""

    def __init__(self, stored: Optional[ObjectMap]) -> None:
        self.stored = stored
        self.saved: List[ObjectMap] = []

    async def header(self) -> ImageHeader:
        return HEADER

    def data_pool(self, header: ImageHeader) -> Data:
        return Data()

    async def stored_map(self, header: ImageHeader, size: int) -> Optional[ObjectMap]:
        return self.stored

    async def save_map(self, object_map: ObjectMap) -> None:
        self.saved.append(object_map)


class Hold:
    def check(self) -> None:
        pass


def opened(copy: Any) -> Target:
    hold: Any = Hold()
    target = Target(copy, hold, Budget(1 << 20))
    asyncio.run(target.open())
    return target


@pytest.mark.parametrize(("stored", "cells"), [
    (None, [E, E, E, E]), ([N, C], [N, C, E, E]), ([N, C, N, E], [N, C, N, E]),
    ([N, C, N, E, E], [N, C, N, E])])
def test_what_the_map_does_not_tell_may_exist(stored: Optional[List[int]],
                                              cells: List[int]) -> None:
    copy = Copy(None if stored is None else ObjectMap(bytes(stored)))
    target = opened(copy)
    assert target.object_map == ObjectMap(bytes(cells))
    # Its cells are changed one by one from here on: it has to be there.
    assert copy.saved == ([] if stored and len(stored) >= 4 else [ObjectMap(bytes(cells))])


def test_a_discard_where_the_map_is_missing_is_done() -> None:
    window = opened(Copy(None)).window()
    window.discard(Discard(0, 2 << 12))
    assert set(window.objects) == {0, 1}
