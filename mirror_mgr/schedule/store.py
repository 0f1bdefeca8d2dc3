"""Schedules and records in RADOS, and those of all pools in the manager's key/value store."""

import json
from typing import Callable, Dict, Iterable, Mapping, NamedTuple, Tuple, TypeVar

from ..cluster.connection import Connection
from ..cluster.pool import Pool
from ..errors import MalformedData, NotFound
from . import entries, rbd_support, records
from .entries import Entry
from .host import Host
from .levels import EVERYWHERE, ImageKey, Level, parse_key
from .records import Record
from .rules import Rule

KEY = "snapshot_schedule"

T = TypeVar("T")


class Part(NamedTuple):
    """What one pool holds, or what holds for all of them.

    :ivar damaged: what is wrong with the entries that can't be read, by where they are
    """

    ours: Dict[Level, Entry]
    theirs: Dict[Level, Tuple[Rule, ...]]
    damaged: Dict[str, str]


class Store:
    """Reads and writes through one connection."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host

    async def read_pool(self, pool_id: int) -> Part:
        damaged: Dict[str, str] = {}
        return Part(
            await self._read(pool_id, entries.OBJECT, entries.decode_entry, damaged),
            await self._read(pool_id, rbd_support.OBJECT, rbd_support.decode, damaged), damaged)

    async def read_global(self) -> Part:
        part = Part({}, {}, {})
        value = await self._connection.run(self._host.get_store, KEY)
        if value:
            _decode(part.ours, EVERYWHERE, value.encode(), entries.decode_entry, part.damaged,
                    f"key {KEY} of the module")
        dump = json.loads(await self._connection.mon_command(
            {"prefix": "config dump", "format": "json"}))
        for option in dump:
            if rbd_support.is_option(option["name"]) and option["value"]:
                _decode(part.theirs, EVERYWHERE, option["value"].encode(), rbd_support.decode,
                        part.damaged, f"option {option['name']}")
        return part

    async def read_records(self, pool_id: int) -> Dict[ImageKey, Record]:
        """One that is damaged is left out: its image starts afresh."""
        found = await self._read(pool_id, records.OBJECT, records.decode_record, {})
        return {_image(level): record for level, record in found.items() if level.image_id}

    async def save_entry(self, level: Level, entry: Entry) -> None:
        """Write an entry, or remove it where it is empty."""
        value = None if entry.is_empty else entry.encode()
        if level.pool_id is None:
            await self._connection.run(
                self._host.set_store, KEY, None if value is None else value.decode())
        elif value is None:
            await self._pool(level.pool_id).remove_omap(entries.OBJECT, [level.key])
        else:
            await self._pool(level.pool_id).set_omap(entries.OBJECT, {level.key: value})

    async def save_records(self, pool_id: int, found: Mapping[ImageKey, Record]) -> None:
        await self._pool(pool_id).set_omap(records.OBJECT, {
            Level.of_image(image).key: record.encode() for image, record in found.items()})

    async def forget(self, pool_id: int, images: Iterable[ImageKey]) -> None:
        """Remove what there is of images that are gone."""
        keys = [Level.of_image(image).key for image in images]
        for oid in (entries.OBJECT, records.OBJECT):
            await self._pool(pool_id).remove_omap(oid, keys)

    async def remove_theirs(self, level: Level) -> None:
        """Remove an entry of rbd_support, which notices within a minute."""
        if level.pool_id is not None:
            await self._pool(level.pool_id).remove_omap(rbd_support.OBJECT, [level.key])
            return
        dump = json.loads(await self._connection.mon_command(
            {"prefix": "config dump", "format": "json"}))
        for option in dump:
            if rbd_support.is_option(option["name"]):
                # A manager that runs does not notice that an option was removed.
                await self._connection.mon_command({
                    "prefix": "config set", "who": option["section"], "name": option["name"],
                    "value": ""})

    def _pool(self, pool_id: int) -> Pool:
        return self._connection.pool(pool_id)

    async def _read(self, pool_id: int, oid: str, decode: Callable[[bytes], T],
                    damaged: Dict[str, str]) -> Dict[Level, T]:
        found: Dict[Level, T] = {}
        try:
            omap = await self._pool(pool_id).omap(oid)
        except NotFound:
            return found
        for key, value in omap.items():
            where = f"key {key!r} of object {oid} in the pool"
            try:
                level = parse_key(key)
            except MalformedData as error:
                damaged[where] = error.message
                continue
            _decode(found, level, value, decode, damaged, where)
        return found


def _decode(found: Dict[Level, T], level: Level, value: bytes, decode: Callable[[bytes], T],
            damaged: Dict[str, str], where: str) -> None:
    try:
        found[level] = decode(value)
    except MalformedData as error:
        damaged[where] = error.message


def _image(level: Level) -> ImageKey:
    return ImageKey(int(level.pool_id or 0), level.namespace or "", str(level.image_id))
