"""Damaged journals: said so, nothing applied past the damage, and on again once it is mended."""

import random
from dataclasses import dataclass
from typing import Callable, ContextManager, Dict, Iterator, List, NamedTuple

import pytest
import rados

from mirror_mgr.cluster.crc32c import Crc32c
from mirror_mgr.wire import journal_event
from mirror_mgr.wire.journal import journal_data_oid, journal_oid
from mirror_mgr.wire.journal_entry import Entry, encode, parse
from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

SMALL = Layout("small", features=JOURNAL_LAYOUTS[0].features, order=20, size=4 * MIB)
BLOCK, WRITES = 4096, 20

pytestmark = pytest.mark.usefixtures("no_workers")


class Found(NamedTuple):
    """An entry, and its bytes' place in the journal."""

    oid: str
    start: int
    end: int
    entry: Entry


def is_write(found: Found) -> bool:
    return isinstance(journal_event.decode(found.entry.data)[0], journal_event.Write)


def first_block(found: Found) -> int:
    event, _ = journal_event.decode(found.entry.data)
    assert isinstance(event, journal_event.Write)
    return event.offset // BLOCK


class Journal:
    """The data of an image's journal, to be read and damaged; `undo` puts it right again."""

    def __init__(self, ioctx: rados.Ioctx, image_id: str) -> None:
        self.header_oid = journal_oid(image_id)
        self.ioctx = ioctx
        self._id = image_id
        self._before: Dict[str, bytes] = {}
        self._omap: Dict[str, bytes] = {}

    def entries(self) -> List[Found]:
        """All entries of the first set, in the order of their numbers."""
        found = []
        for number in range(4):
            oid = journal_data_oid(self.ioctx.get_pool_id(), self._id, number)
            data, at = self._read(oid), 0
            while at < len(data):
                entry, end = parse(data, at, Crc32c())
                found.append(Found(oid, at, end, entry))
                at = end
        return sorted(found, key=lambda one: one.entry[:2])

    def _read(self, oid: str) -> bytes:
        try:
            return bytes(self.ioctx.read(oid, 16 * MIB))
        except rados.ObjectNotFound:
            return b""

    def replace(self, found: Found, data: bytes, cut: bool = False) -> None:
        """Have these bytes in an entry's place; `cut`: and nothing behind them."""
        before = self._before.setdefault(found.oid, self._read(found.oid))
        self.ioctx.write_full(found.oid, before[:found.start] + data
                              + (b"" if cut else before[found.end:]))

    def bytes_of(self, found: Found) -> bytes:
        return self._read(found.oid)[found.start:found.end]

    def spoil_header(self, key: str) -> None:
        with rados.ReadOpCtx() as reading:
            entries, _ = self.ioctx.get_omap_vals_by_keys(reading, (key,))
            self.ioctx.operate_read_op(reading, self.header_oid)
            self._omap.update(entries)
        self._set_omap({key: b"\xff"})

    def _set_omap(self, omap: Dict[str, bytes]) -> None:
        with rados.WriteOpCtx() as writing:
            self.ioctx.set_omap(writing, tuple(omap), tuple(omap.values()))
            self.ioctx.operate_write_op(writing, self.header_oid)

    def undo(self) -> None:
        for oid, data in self._before.items():
            self.ioctx.write_full(oid, data)
        if self._omap:
            self._set_omap(self._omap)
        self.ioctx.notify(self.header_oid, "")


def wrong_checksum(journal: Journal, found: Found) -> None:
    data = bytearray(journal.bytes_of(found))
    data[100] ^= 1
    journal.replace(found, bytes(data))


def hole(journal: Journal, found: Found) -> None:
    journal.replace(found, b"")


def unknown_version(journal: Journal, found: Found) -> None:
    data = bytearray(journal.bytes_of(found))
    data[8] = 2
    journal.replace(found, bytes(data))


def truncated(journal: Journal, found: Found) -> None:
    """Nothing comes behind it in its object."""
    journal.replace(found, journal.bytes_of(found)[:-100], cut=True)


def undecodable(journal: Journal, found: Found) -> None:
    event = bytearray(found.entry.data)
    event[18] ^= 1  # the length that a write announces
    journal.replace(found, encode(found.entry._replace(data=bytes(event)), Crc32c()))


def unknown_event(journal: Journal, found: Found) -> None:
    event = bytearray(found.entry.data)
    event[6] = 99
    assert isinstance(journal_event.decode(bytes(event))[0], journal_event.Unknown)
    journal.replace(found, encode(found.entry._replace(data=bytes(event)), Crc32c()))


def lost_object(journal: Journal, found: Found) -> None:
    """Its end is where a tag ends: only the next tag says that there was more."""
    journal.replace(found, b"", cut=True)


@dataclass
class Case:
    """`says` is in the description of the image's status."""

    damage: Callable[[Journal, Found], None]
    says: str


CASES = (
    Case(wrong_checksum, "has a wrong checksum"),
    Case(hole, "is missing in journal_data."),
    Case(unknown_version, "is of unknown version 2"),
    Case(truncated, "an entry is cut off"),
    Case(undecodable, "bytes announced"),
    Case(lost_object, "are missing in the data of journal."),
)


class Blocks(JournalRounds):
    """Written to block by block, each as an entry of its own."""

    def write(self, first: int, count: int) -> None:
        with self.image(self.primary) as image:
            for number in range(first, first + count):
                image.write(bytes([number + 1]) * BLOCK, number * BLOCK)

    def change(self, count: object = None) -> None:
        """Nothing: what is written is for the tests to say."""

    def at_copy(self) -> List[bool]:
        """Which blocks came over."""
        with self.image(self.copy) as image:
            content = image.read(0, 2 * WRITES * BLOCK)
        return [content[at] != 0 for at in range(0, len(content), BLOCK)]

    def journal(self, ioctx: rados.Ioctx) -> Journal:
        return Journal(ioctx, self.image_id(self.primary))

    def ioctx(self) -> ContextManager[rados.Ioctx]:
        return self._ioctx(self.primary)

    def status(self) -> Dict[str, str]:
        found = self.copy.rbd_json("mirror", "image", "status", self.spec)
        return {"state": found["state"], "description": found["description"]}


@pytest.fixture
def images(site_a: Site, site_b: Site, pool: str) -> Iterator[Dict[str, Blocks]]:
    names = [case.damage.__name__ for case in CASES] + ["unknown_event", "header", "whole"]
    images = {name: Blocks(site_a, site_b, pool, name, SMALL, random.Random()) for name in names}
    yield images
    for one in images.values():
        one.close()


def test_damage_is_told_passed_by_nothing_and_mended(
        site_a: Site, site_b: Site, pool: str, images: Dict[str, Blocks]) -> None:
    with Workers(site_b, site_a, pool) as workers, images["whole"].ioctx() as ioctx:
        workers.start()
        for one in images.values():
            one.create()
            one.write(0, 1)
        for one in images.values():
            one.wait_current()
        workers.stop()
        journals, at = {}, {}
        for name, one in images.items():
            one.write(1, WRITES)
            one.write(1 + WRITES, WRITES - 1)
            journals[name] = one.journal(ioctx)
        for case in CASES:
            name = case.damage.__name__
            writes = [one for one in journals[name].entries() if is_write(one)]
            # Of what the second client wrote; the third goes on.
            last = case.damage in (truncated, lost_object)
            at[name] = writes[WRITES if last else 10]
            case.damage(journals[name], at[name])
        unknown = journals["unknown_event"]
        unknown_event(unknown, [one for one in unknown.entries() if is_write(one)][-3])
        journals["header"].spoil_header("active_set")
        workers.start()
        for case in CASES:
            name = case.damage.__name__
            one = images[name]
            wait_for(lambda one=one: one.status()["state"] == "up+error", one.describe)
            told = one.status()["description"]
            assert case.says in told, (name, told)
            assert f"image resync {one.spec}" in told and one.image_id(site_a) in told
            first = first_block(at[name])
            assert one.at_copy() == [number < first for number in range(2 * WRITES)], name
        told = wait_for(lambda: images["header"].status()["state"] == "up+error" and
                        images["header"].status()["description"])
        assert journals["header"].header_oid in told and "active_set" in told, told
        images["unknown_event"].wait_current()
        assert images["unknown_event"].at_copy().count(False) == 1
        images["whole"].write(5, 1)
        images["whole"].wait_current()
        images["whole"].compare()
        copy = images["hole"].image_id(site_b)
        site_b.ceph("rbd-mirror", "image", "resync", images["hole"].spec)
        for name, journal in journals.items():
            if name not in ("hole", "unknown_event", "whole"):
                journal.undo()
        for name, one in images.items():
            if name not in ("unknown_event", "header"):
                one.wait_current()
                one.compare()
        images["header"].wait_current()
        assert images["hole"].image_id(site_b) != copy
