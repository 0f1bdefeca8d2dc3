"""Schedules and records in RADOS, and those of all pools in the manager's key/value store."""

import json
from contextlib import contextmanager
from functools import partial
from shlex import quote
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Set,
    Tuple,
    TypeVar,
)

from ..cluster.connection import Connection
from ..cluster.pool import Pool
from ..errors import MalformedData, NotFound, NotSupported
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

    :ivar theirs: what rbd_support runs
    :ivar readable: what can be read of entries of rbd_support that are damaged
    :ivar damaged: what is wrong with the entries that can't be read, by where they are
    """

    ours: Dict[Level, Entry]
    theirs: Dict[Level, Tuple[Rule, ...]]
    readable: Dict[Level, Tuple[Rule, ...]]
    damaged: Dict[str, str]

    @classmethod
    def empty(cls) -> "Part":
        return cls({}, {}, {}, {})


class Store:
    """Reads and writes through one connection."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._later: Set[Tuple[int, str]] = set()  # whose records a later mirror_mgr wrote

    async def read_pool(self, pool_id: int) -> Part:
        part = Part.empty()
        await self._read(pool_id, entries.OBJECT, part.damaged,
                         partial(_decode, part.ours, entries.decode_entry))
        await self._read(pool_id, rbd_support.OBJECT, part.damaged, partial(_decode_theirs, part))
        return part

    async def read_global(self) -> Part:
        part = Part.empty()
        value = await self._connection.run(self._host.get_store, KEY)
        if value:
            with _noting(part.damaged, f"key {KEY} of the module",
                         "ceph rbd-mirror snapshot schedule add, which replaces it"):
                _decode(part.ours, entries.decode_entry, EVERYWHERE, value.encode())
        for option in await self._their_options():
            with _noting(part.damaged, f"option {option['name']}",
                         f"ceph config set {option['section']} {option['name']} ''"):
                _decode_theirs(part, EVERYWHERE, option["value"].encode())
        return part

    async def _their_options(self) -> List[Dict[str, str]]:
        """The option, and those that earlier releases kept under the name of a manager."""
        dump = json.loads(await self._connection.mon_command(
            {"prefix": "config dump", "format": "json"}))
        return [option for option in dump
                if rbd_support.is_option(option["name"]) and option["value"]]

    async def read_records(self, pool_id: int) -> Dict[ImageKey, Record]:
        """One that is damaged is left out: its image starts afresh.

        So is one of a later mirror_mgr, which stays as it is.
        """
        found: Dict[Level, Record] = {}

        def take(level: Level, value: bytes) -> None:
            try:
                found[level] = records.decode_record(value)
            except NotSupported:
                self._later.add((pool_id, level.key))
                raise

        damaged: Dict[str, str] = {}
        await self._read(pool_id, records.OBJECT, damaged, take)
        for where, wrong in damaged.items():
            self._host.log.warning("%s: %s", where, wrong)
        return {_image(level): record for level, record in found.items() if level.image_id}

    async def save(self, pool_id: Optional[int], changes: Mapping[Level, Entry]) -> None:
        """Write entries of a pool, all or none; remove those that are empty.

        Raise NotSupported where one would replace that of a later mirror_mgr.
        """
        values = {level.key: None if entry.is_empty else entry.encode()
                  for level, entry in changes.items()}
        await self._require_none_later(pool_id, values)
        if pool_id is not None:
            await self._pool(pool_id).change_omap(entries.OBJECT, values)
            return
        for value in values.values():
            await self._connection.run(
                self._host.set_store, KEY, None if value is None else value.decode())

    async def _require_none_later(self, pool_id: Optional[int], keys: Iterable[str]) -> None:
        if pool_id is None:
            value = await self._connection.run(self._host.get_store, KEY)
            stored = {} if not value else dict.fromkeys(keys, value.encode())
        else:
            stored = await self._omap(pool_id, entries.OBJECT)
        for key in keys:
            try:
                entries.decode_entry(stored.get(key, b""))
            except MalformedData:
                pass  # it is damaged, or not there
            except NotSupported as error:
                raise NotSupported(f"the schedule that is there: {error.message}") from None

    async def save_records(self, pool_id: int, found: Mapping[ImageKey, Record]) -> None:
        changes = {Level.of_image(image).key: record.encode() for image, record in found.items()}
        await self._pool(pool_id).change_omap(records.OBJECT, {
            key: value for key, value in changes.items() if (pool_id, key) not in self._later})

    async def forget(self, pool_id: int, images: Iterable[ImageKey]) -> None:
        """Remove what there is of images that are gone."""
        removal = dict.fromkeys(Level.of_image(image).key for image in images)
        for oid in (entries.OBJECT, records.OBJECT):
            await self._pool(pool_id).change_omap(oid, removal)

    async def remove_theirs(self, pool_id: Optional[int],
                            rules: Mapping[Level, Tuple[Rule, ...]]) -> None:
        """Remove rules from a pool's entries of rbd_support, which notices within a minute.

        What else is in the entries by now stays there.
        """
        if pool_id is None:
            for removed in rules.values():
                await self._remove_their_options(removed)
            return
        pool = self._pool(pool_id)
        omap = await pool.omap(rbd_support.OBJECT)
        await pool.change_omap(rbd_support.OBJECT, {
            level.key: _left_of(omap.get(level.key, b"[]"), removed)
            for level, removed in rules.items()})

    async def _remove_their_options(self, rules: Tuple[Rule, ...]) -> None:
        for option in await self._their_options():
            left = _left_of(option["value"].encode(), rules)
            # A manager that runs does not notice that an option was removed.
            await self._connection.mon_command({
                "prefix": "config set", "who": option["section"], "name": option["name"],
                "value": (left or b"").decode()})

    async def _omap(self, pool_id: int, oid: str) -> Dict[str, bytes]:
        try:
            return await self._pool(pool_id).omap(oid)
        except NotFound:
            return {}

    def _pool(self, pool_id: int) -> Pool:
        return self._connection.pool(pool_id)

    async def _read(self, pool_id: int, oid: str, damaged: Dict[str, str],
                    take: Callable[[Level, bytes], None]) -> None:
        for key, value in (await self._omap(pool_id, oid)).items():
            named = quote(key) if key.isprintable() else "--omap-key-file FILE"
            with _noting(damaged, f"key {key!a} of object {oid}",
                         f"rados -p {self._connection.pool_name(pool_id)} rmomapkey {oid} {named}"):
                take(parse_key(key), value)


@contextmanager
def _noting(damaged: Dict[str, str], where: str, removal: str) -> Iterator[None]:
    try:
        yield
    except MalformedData as error:
        damaged[where] = f"{error.message}; to be rid of it: {removal}"
    except NotSupported as error:
        damaged[where] = error.message


def _decode(found: Dict[Level, T], decode: Callable[[bytes], T], level: Level,
            value: bytes) -> None:
    found[level] = decode(value)


def _decode_theirs(part: Part, level: Level, value: bytes) -> None:
    """Several options may be for one level: that of all pools."""
    try:
        rules = rbd_support.decode(value)
    except MalformedData:
        part.readable[level] = part.readable.get(level, ()) + rbd_support.readable(value)
        raise
    part.theirs[level] = part.theirs.get(level, ()) + tuple(
        rule for rule in rules if rule not in part.theirs.get(level, ()))


def _left_of(value: bytes, rules: Tuple[Rule, ...]) -> Optional[bytes]:
    try:
        return rbd_support.without(value, rules)
    except MalformedData:
        return value


def _image(level: Level) -> ImageKey:
    return ImageKey(int(level.pool_id or 0), level.namespace or "", str(level.image_id))
