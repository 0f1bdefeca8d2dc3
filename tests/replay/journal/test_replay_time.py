"""What a replay says of itself where nothing comes."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.journal.replay import History, JournalReplay
from mirror_mgr.replay.journal.window import Window
from mirror_mgr.replay.scan import Link
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.journal import Client, ImageClientData, JournalHeader, Tag, TagData
from mirror_mgr.wire.striping import Striping

LINK = Link("local", "remote", "peer")
HEADER = JournalHeader(4, 24, -1, 0, 0, 1, {
    "": Client("", ImageClientData(0).encode()),
    LINK.local_uuid: Client(LINK.local_uuid, b"")}, ())


class SlowPrimary:
    """Answers after a day that it has nothing new."""

    header = HEADER

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def more(self) -> bool:
        self._clock.seconds += 86400
        return False

    async def rest(self, idle: float) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000

    def time_ns(self) -> int:
        return self.seconds * 10**9

    def monotonic(self) -> float:
        return float(self.seconds)


def test_a_copy_is_as_the_primary_was_when_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pool: Any = SimpleNamespace(data_oid=str, data_pool=lambda header: None)
    anything: Any = None
    slow: Any = SlowPrimary(clock)
    image = ImageHeader(1 << 22, 22, Feature(0), "x")
    monkeypatch.setattr(time, "time_ns", clock.time_ns)
    monkeypatch.setattr(time, "monotonic", clock.monotonic)

    async def wait_for_more() -> JournalReplay:
        replay = JournalReplay(anything, "name", pool, pool, HEADER, Tag(0, 0, TagData("remote")),
                               LINK, anything, Budget(1 << 20), lambda data: 0, lambda: None,
                               lambda header: 0, History())
        replay.reader = slow
        replay._window = Window(Striping(image), image.size, None)
        await replay._wait_for_more()
        return replay

    replay = asyncio.run(wait_for_more())
    assert replay.report.current and replay.report.looked_ns == 1000 * 10**9
