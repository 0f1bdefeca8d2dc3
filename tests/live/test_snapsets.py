"""Clones and checksums of objects on a real OSD, against the bytes that it returns."""

import ctypes
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List, Optional

import pytest
import rados

from mirror_mgr.cluster.connection import blocklist_address
from mirror_mgr.cluster.operation import Operation
from mirror_mgr.cluster.snapsets import SnapsetPool, SnapsetReader
from mirror_mgr.errors import Fenced, InvalidArgument, MirrorError, NotFound, NotReady
from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Delta, DeltaKind, delta
from qa.sites import Site
from qa.waiting import wait_for

OBJECTS, ROUNDS, CHANGES = 60, 9, 4
SIZE = 256 << 10
PAGE = 4096


@pytest.fixture(scope="module")
def site(lab) -> Site:
    return lab.sites["site-a"]


@pytest.fixture(scope="module")
def scratch(site: Site) -> Iterator[str]:
    """A pool of nobody's."""
    name = f"snapsets-{os.getpid()}"
    site.create_pool(name)
    yield name
    site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


@pytest.fixture(scope="module")
def cluster(site: Site) -> Iterator[rados.Rados]:
    opened = site.rados()
    yield opened
    opened.shutdown()


@pytest.fixture
def ioctx(cluster: rados.Rados, scratch: str) -> Iterator[rados.Ioctx]:
    with cluster.open_ioctx(scratch) as opened:
        yield opened


@pytest.fixture(scope="module")
def reader(site: Site) -> Iterator[SnapsetReader]:
    opened = SnapsetReader.connect("client.admin", site.conf)
    yield opened
    opened.close()


@pytest.fixture
def clones(reader: SnapsetReader, ioctx: rados.Ioctx) -> SnapsetPool:
    return reader.open(ioctx.get_pool_id())


def zero(ioctx: rados.Ioctx, oid: str, offset: int, length: int) -> None:
    op = Operation().zero(offset, length).write_op()
    ioctx.operate_write_op(op, oid)
    op.release()


class Writer:
    """Changes objects at random, with snapshots in between."""

    def __init__(self, ioctx: rados.Ioctx, dice: random.Random) -> None:
        self._ioctx = ioctx
        self._dice = dice
        self.snaps: List[int] = []

    def snapshot(self, snap_id: int) -> None:
        self.snaps.append(snap_id)
        self._ioctx.set_self_managed_snap_write(sorted(self.snaps, reverse=True))

    def forget(self) -> None:
        """Remove one of the older snapshots; the OSD trims it whenever it likes."""
        gone = self.snaps.pop(self._dice.randrange(len(self.snaps) - 1))
        self._ioctx.set_self_managed_snap_write(sorted(self.snaps, reverse=True))
        self._ioctx.remove_self_managed_snap(gone)

    def change(self, oid: str) -> None:
        offset = self._dice.choice((0, PAGE, self._dice.randrange(SIZE)))
        length = self._dice.choice((1, 100, PAGE, self._dice.randrange(1, SIZE)))
        length = min(length, SIZE - offset)
        data = self._dice.randbytes(length)
        try:
            self._dice.choice((
                lambda: self._ioctx.write(oid, data, offset),
                lambda: self._ioctx.write(oid, data, offset),
                lambda: self._ioctx.write_full(oid, data),
                lambda: zero(self._ioctx, oid, offset, length),
                lambda: self._ioctx.trunc(oid, offset),
                lambda: self._ioctx.remove_object(oid),
                lambda: self._roll_back(oid)))()
        except rados.ObjectNotFound:
            pass

    def _roll_back(self, oid: str) -> None:
        if self.snaps:
            self._ioctx.rollback_self_managed_snap(oid, self._dice.choice(self.snaps))


def read(ioctx: rados.Ioctx, oid: str, snap_id: int) -> Optional[bytes]:
    ioctx.set_read(snap_id)
    try:
        return bytes(ioctx.read(oid, SIZE))
    except rados.ObjectNotFound:
        return None


def applied(found: Delta, old: Optional[bytes], new: Optional[bytes]) -> Optional[bytes]:
    """What a copy in state `old` is after the delta, with the bytes of `new`."""
    if found.kind == DeltaKind.UNCHANGED:
        return old
    if found.kind == DeltaKind.REMOVED:
        return None
    copy = bytearray((old or b"")[:found.size].ljust(found.size, b"?"))
    for offset, length in found.extents:
        copy[offset:offset + length] = (new or b"")[offset:offset + length]
    return bytes(copy)


def test_deltas_turn_every_snapshot_into_every_later_one(ioctx, clones) -> None:
    seed = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(1 << 32)))
    print(f"MIRROR_MGR_SEED={seed}")
    dice = random.Random(seed)
    writer = Writer(ioctx, dice)
    ids = [ioctx.create_self_managed_snap() for _ in range(ROUNDS)]
    oids = [f"object.{number}" for number in range(OBJECTS)]
    for snap_id in ids:
        for oid in oids:
            if dice.random() < 0.6:
                for _ in range(dice.randrange(1, CHANGES)):
                    writer.change(oid)
        writer.snapshot(snap_id)
        if dice.random() < 0.3 and len(writer.snaps) > 2:
            writer.forget()
    for oid in oids:
        writer.change(oid)
    moved = whole = 0
    for oid in oids:
        shown: Dict[int, Optional[bytes]] = {0: None}
        shown.update((snap_id, read(ioctx, oid, snap_id)) for snap_id in writer.snaps)
        snapset = clones.list_snaps(oid)
        if snapset is None:
            assert set(shown.values()) == {None}, f"seed {seed}: {oid}"
            continue
        for older in shown:
            for newer in writer.snaps:
                if older < newer:
                    found = delta(snapset, older, newer)
                    assert applied(found, shown[older], shown[newer]) == shown[newer], (
                        f"seed {seed}: {oid} from {older} to {newer}: {found}, {snapset}")
                    assert found.exists == (shown[newer] is not None)
                    moved += sum(length for _, length in found.extents)
                    whole += len(shown[newer] or b"")
    print(f"{moved} bytes instead of {whole}")
    assert moved < whole


def test_a_small_write_is_a_small_delta(ioctx, clones) -> None:
    ioctx.write_full("small", bytes(SIZE))
    first = ioctx.create_self_managed_snap()
    ioctx.set_self_managed_snap_write([first])
    ioctx.write("small", b"x" * PAGE, 5 * PAGE)
    second = ioctx.create_self_managed_snap()
    assert delta(clones.list_snaps("small"), first, second) == Delta(
        DeltaKind.EXTENTS, ((5 * PAGE, PAGE),), SIZE)
    assert delta(clones.list_snaps("small"), 0, first) == Delta(
        DeltaKind.WHOLE, ((0, SIZE),), SIZE)


def test_no_such_object(clones) -> None:
    assert clones.list_snaps("nothing") is None
    assert clones.checksums("nothing", NOSNAP, PAGE, PAGE) is None


def test_namespaces_and_names_are_kept_apart(ioctx, reader) -> None:
    ioctx.set_namespace("tenant")
    ioctx.write_full("a long name " + "ü" * 50, b"x")
    ioctx.set_namespace("")
    pool_id = ioctx.get_pool_id()
    assert reader.open(pool_id, "tenant").list_snaps("a long name " + "ü" * 50) is not None
    assert reader.open(pool_id).list_snaps("a long name " + "ü" * 50) is None


def test_checksums_at_snapshots(ioctx, clones) -> None:
    ioctx.write_full("sums", random.randbytes(4 * PAGE))
    snap_id = ioctx.create_self_managed_snap()
    ioctx.set_self_managed_snap_write([snap_id])
    ioctx.write("sums", b"changed", 2 * PAGE)
    old = clones.checksums("sums", snap_id, 4 * PAGE, PAGE)
    new = clones.checksums("sums", NOSNAP, 4 * PAGE, PAGE)
    assert old is not None and new is not None and len(old) == len(new) == 4
    assert [a == b for a, b in zip(old, new)] == [True, True, False, True]
    assert clones.checksums("sums", NOSNAP, 8 * PAGE, PAGE) == new
    ioctx.trunc("sums", 3 * PAGE + 1)
    with pytest.raises(InvalidArgument):
        clones.checksums("sums", NOSNAP, 4 * PAGE, PAGE)
    assert clones.checksums("sums", NOSNAP, 3 * PAGE, PAGE) == new[:3]


def test_self_test_leaves_nothing_behind(ioctx, reader) -> None:
    reader.self_test(ioctx.get_pool_id())
    # A removed object is listed until the OSD has trimmed its snapshot, but is not there any more.
    for found in ioctx.list_objects():
        if "self_test" in found.key:
            with pytest.raises(rados.ObjectNotFound):
                found.stat()


def test_many_threads_at_once(clones) -> None:
    oids = [f"object.{number}" for number in range(OBJECTS)]
    with ThreadPoolExecutor(16) as pool:
        once = list(pool.map(clones.list_snaps, oids))
        for _ in range(5):
            assert list(pool.map(clones.list_snaps, oids)) == once


def test_close_waits_for_calls_and_refuses_later_ones(site, ioctx) -> None:
    opened = SnapsetReader.connect("client.admin", site.conf)
    pool = opened.open(ioctx.get_pool_id())
    started, failures = threading.Event(), []

    def work() -> None:
        try:
            while True:
                pool.list_snaps("small")
                started.set()
        except MirrorError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    opened.close()
    opened.close()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in failures] == [NotReady] * 4


def test_no_such_pool(reader) -> None:
    with pytest.raises(NotFound, match="12345"):
        reader.open(12345)


def test_no_such_user(site) -> None:
    with pytest.raises(MirrorError, match="client.nobody"):
        SnapsetReader.connect("client.nobody", site.conf, {"client_mount_timeout": "5"})


def test_a_fenced_reader_says_so_and_closes(site, ioctx) -> None:
    opened = SnapsetReader.connect("client.admin", site.conf)
    pool = opened.open(ioctx.get_pool_id())
    ioctx.write_full("fenced", b"x")
    assert pool.list_snaps("fenced") is not None
    address = blocklist_address(addresses(opened))
    site.ceph("osd", "blocklist", "add", address, "60")
    try:
        with pytest.raises(Fenced):
            wait_for(lambda: pool.list_snaps("fenced") is None)
        opened.close()
    finally:
        site.ceph("osd", "blocklist", "rm", address)


def addresses(reader: SnapsetReader) -> str:
    text = ctypes.c_char_p()
    ctypes.CDLL("librados.so.2").rados_getaddrs(reader._cluster, ctypes.byref(text))
    return (text.value or b"").decode()
