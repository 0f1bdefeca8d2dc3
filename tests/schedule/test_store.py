"""What the scheduler leaves alone in RADOS."""

import asyncio
import logging
from typing import Any, Callable, Dict, Optional

import pytest

from mirror_mgr.errors import NotFound, NotSupported
from mirror_mgr.schedule import entries, rbd_support, records
from mirror_mgr.schedule.entries import Entry
from mirror_mgr.schedule.levels import EVERYWHERE, ImageKey, Level
from mirror_mgr.schedule.records import Record
from mirror_mgr.schedule.rules import Rule
from mirror_mgr.schedule.store import KEY, Store

POOL = Level(1)
A, B = ImageKey(1, "", "a"), ImageKey(1, "", "b")
HOURLY = Entry((Rule(3600),))


def later(value: bytes) -> bytes:
    """The same as a later mirror_mgr writes it."""
    return value.replace(b'"version": 1', b'"version": 2').replace(b'"version":1', b'"version":2')


class Cluster:
    """A pool, and the manager's key/value store; stands for the connection and the host too."""

    log = logging.getLogger("test")

    def __init__(self) -> None:
        self.omaps: Dict[str, Dict[str, bytes]] = {}
        self.values: Dict[str, Optional[str]] = {}

    def store(self) -> Store:
        anything: Any = self
        return Store(anything, anything)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    async def mon_command(self, command: Dict[str, str]) -> bytes:
        return b"[]"

    def pool(self, pool_id: int) -> "Cluster":
        return self

    def pool_name(self, pool_id: int) -> str:
        return "data"

    async def omap(self, oid: str) -> Dict[str, bytes]:
        if oid not in self.omaps:
            raise NotFound("no such object")
        return dict(self.omaps[oid])

    async def change_omap(self, oid: str, changes: Dict[str, Optional[bytes]]) -> None:
        omap = self.omaps.setdefault(oid, {})
        for key, value in changes.items():
            omap.pop(key, None)
            if value is not None:
                omap[key] = value

    def get_store(self, key: str) -> Optional[str]:
        return self.values.get(key)

    def set_store(self, key: str, value: Optional[str]) -> None:
        self.values[key] = value


def test_what_is_saved_is_read() -> None:
    cluster = Cluster()
    asyncio.run(cluster.store().save(1, {POOL: HOURLY}))
    asyncio.run(cluster.store().save(None, {EVERYWHERE: HOURLY}))
    assert asyncio.run(cluster.store().read_pool(1)).ours == {POOL: HOURLY}
    assert asyncio.run(cluster.store().read_global()).ours == {EVERYWHERE: HOURLY}
    asyncio.run(cluster.store().save(1, {POOL: Entry()}))
    asyncio.run(cluster.store().save(None, {EVERYWHERE: Entry()}))
    assert cluster.omaps == {entries.OBJECT: {}} and cluster.values == {KEY: None}


@pytest.mark.parametrize("entry", [HOURLY, Entry()])
def test_a_schedule_of_a_later_version_is_told_and_stays(entry: Entry) -> None:
    cluster, value = Cluster(), later(HOURLY.encode())
    cluster.omaps[entries.OBJECT] = {POOL.key: value, Level.of_image(A).key: HOURLY.encode()}
    cluster.values[KEY] = value.decode()
    part = asyncio.run(cluster.store().read_pool(1))
    assert list(part.ours) == [Level.of_image(A)]
    [(where, wrong)] = part.damaged.items()
    assert entries.OBJECT in where and wrong.endswith("upgrade mirror_mgr")
    [wrong] = asyncio.run(cluster.store().read_global()).damaged.values()
    assert wrong.endswith("upgrade mirror_mgr")
    for pool_id, level in (1, POOL), (None, EVERYWHERE):
        with pytest.raises(NotSupported, match="the schedule that is there"):
            asyncio.run(cluster.store().save(pool_id, {Level.of_image(B): entry, level: entry}))
    assert cluster.omaps[entries.OBJECT] == {
        POOL.key: value, Level.of_image(A).key: HOURLY.encode()}
    assert cluster.values == {KEY: value.decode()}


def test_a_damaged_schedule_is_replaced() -> None:
    cluster = Cluster()
    cluster.omaps[entries.OBJECT] = {POOL.key: b"?"}
    cluster.values[KEY] = "?"
    [wrong] = asyncio.run(cluster.store().read_pool(1)).damaged.values()
    assert "rmomapkey" in wrong
    asyncio.run(cluster.store().save(1, {POOL: HOURLY}))
    asyncio.run(cluster.store().save(None, {EVERYWHERE: HOURLY}))
    assert cluster.omaps[entries.OBJECT] == {POOL.key: HOURLY.encode()}
    assert cluster.values == {KEY: HOURLY.encode().decode()}


def test_a_record_of_a_later_version_stays(caplog: pytest.LogCaptureFixture) -> None:
    cluster, value = Cluster(), later(Record(7).encode())
    key = Level.of_image(A).key
    cluster.omaps[records.OBJECT] = {key: value, Level.of_image(B).key: Record(8).encode()}
    store = cluster.store()
    assert asyncio.run(store.read_records(1)) == {B: Record(8)}
    assert "upgrade mirror_mgr" in caplog.text
    asyncio.run(store.save_records(1, {A: Record(9), B: Record(9)}))
    assert cluster.omaps[records.OBJECT] == {
        key: value, Level.of_image(B).key: Record(9).encode()}


def test_what_rbd_support_has_is_of_no_version_of_ours() -> None:
    cluster = Cluster()
    cluster.omaps[rbd_support.OBJECT] = {POOL.key: b'[{"interval": "1h", "start_time": null}]'}
    assert asyncio.run(cluster.store().read_pool(1)).theirs == {POOL: (Rule(3600),)}
