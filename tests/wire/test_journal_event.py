import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import journal_event as events
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.journal_entry import parse
from mirror_mgr.wire.snapshot import UserNamespace
from tests.wire.crc import crc32c

MIB = 1 << 20


@pytest.fixture
def blobs(recorded):
    """The events that were recorded, in their order."""
    found = {}
    for data in recorded("journals")["events"]["objects"].values():
        data, at = bytes.fromhex(data), 0
        while at < len(data):
            entry, at = parse(data, at, crc32c)
            found[entry.tag_tid, entry.entry_tid] = entry.data
    return [found[place] for place in sorted(found)]


def test_one_of_each_kind(blobs) -> None:
    assert [events.decode(blob)[0] for blob in blobs] == [
        events.Write(0, b"first"), events.Flush(), events.Write(5 * MIB, b"second"),
        events.Discard(65536, 131072, 65536), events.Discard(4096, 512, 0),
        events.SnapCreate(1, "one", UserNamespace()), events.OpFinish(1),
        events.SnapCreate(2, "schnappschuß"), events.OpFinish(2),
        events.SnapRename(3, "two", 4, "one"), events.OpFinish(3),
        events.SnapProtect(4, "two"), events.OpFinish(4),
        events.SnapUnprotect(5, "two"), events.OpFinish(5),
        events.SnapLimit(6, 9), events.OpFinish(6),
        events.MetadataSet(7, "key", "value"), events.OpFinish(7),
        events.MetadataRemove(8, "key"), events.OpFinish(8),
        events.Resize(9, 8 * MIB), events.OpFinish(9),
        events.SnapRollback(10, "two"), events.OpFinish(10),
        events.SnapRemove(11, "two"), events.OpFinish(11),
        events.UpdateFeatures(12, 24, False), events.OpFinish(12),
        events.WriteSame(8192, 1024, b"0123456789abcdef" * 32),
        events.CompareAndWrite(4 * MIB, bytes(512), b"y" * 512),
        events.CompareAndWrite(4 * MIB, bytes(512), b"n" * 512),
        events.Rename(1, "renamed"), events.OpFinish(1),
        events.Rename(1, "journaled"), events.OpFinish(1)]


def test_times_ascend(blobs) -> None:
    times = [events.decode(blob)[1] for blob in blobs]
    assert times == sorted(times) and times[0] > 1_600_000_000 * 10**9


def test_a_demotion_is_told(recorded) -> None:
    data = bytes.fromhex(recorded("journals")["demoted"]["objects"]["0"])
    told, at = [], 0
    while at < len(data):
        entry, at = parse(data, at, crc32c)
        told.append((entry.tag_tid, events.decode(entry.data)[0]))
    assert told[-1] == (7, events.DemotePromote())


def test_cut_short(blobs, fails_when_cut) -> None:
    for blob in blobs:
        fails_when_cut(events.decode, blob)


def event(number: int, version: int, body: Encoder) -> bytes:
    whole = Encoder().struct(version, 1, Encoder().u32(number).raw(body.done()))
    if version >= 4:
        whole.struct(1, 1, Encoder().utime(5 * 10**9 + 7))
    return whole.done()


@pytest.mark.parametrize("version, expected", [
    (1, events.Discard(1, 2, 0)), (4, events.Discard(1, 2, 2**32 - 1)),
    (5, events.Discard(1, 2, 512))])
def test_discards_of_older_releases(version: int, expected: events.Discard) -> None:
    body = Encoder().u64(1).u64(2)
    if version >= 4:
        body.boolean(True)
    if version >= 5:
        body.u32(512)
    time = 5 * 10**9 + 7 if version >= 4 else 0
    assert events.decode(event(0, version, body)) == (expected, time)


def test_what_else_older_releases_wrote() -> None:
    assert events.decode(event(4, 2, Encoder().u64(1).string("s"))) == (
        events.SnapCreate(1, "s"), 0)
    assert events.decode(event(9, 3, Encoder().u64(1).string("s"))) == (
        events.SnapRollback(1, "s"), 0)
    assert events.decode(event(1, 3, Encoder().u64(9).u64(40).bytes_(b"x" * 40))) == (
        events.Write(9, b"x" * 40), 0)


def test_flatten_failure_and_news() -> None:
    assert events.decode(event(12, 5, Encoder().u64(4)))[0] == events.Flatten(4)
    failed = Encoder().u64(4).u64(4).u32(2**32 - 16)
    assert events.decode(event(3, 5, failed))[0] == events.OpFinish(4, -16)
    assert events.decode(event(77, 5, Encoder().u64(4)))[0] == events.Unknown(77)


@pytest.mark.parametrize("number, body", [
    (1, Encoder().u64(0).u64(5).bytes_(b"four")),
    (1, Encoder().u64(0).u64(50).bytes_(b"x" * 40)),
    (18, Encoder().u64(0).u64(5).bytes_(b"abc")),
    (18, Encoder().u64(0).u64(5).bytes_(b"")),
    (19, Encoder().u64(0).u64(2).bytes_(b"ab").bytes_(b"a")),
])
def test_lengths_that_contradict_each_other(number: int, body: Encoder) -> None:
    with pytest.raises(MalformedData):
        events.decode(event(number, 5, body))


def test_a_newer_structure_that_says_we_can_not_read_it() -> None:
    newer = Encoder().struct(6, 6, Encoder().u32(1).u64(0).u64(0).bytes_(b"")).done()
    with pytest.raises(MalformedData, match="upgrade"):
        events.decode(newer + Encoder().struct(1, 1, Encoder().utime(0)).done())
