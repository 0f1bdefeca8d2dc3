"""The unit tests' model of an OSD against a real one: contents, errors and what clones tell."""

import itertools
import os
import random
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest
import rados

from mirror_mgr.cluster.operation import Operation
from mirror_mgr.cluster.snapsets import SnapsetReader
from mirror_mgr.errors import MirrorError
from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Snapset, delta
from qa.sites import Site
from tests.replay.fake_rados import FakeRados

OBJECTS, CHANGES = 25, 700


@pytest.fixture
def ioctx(site_a: Site) -> Iterator[rados.Ioctx]:
    """In a pool of nobody's."""
    name = f"model-{os.getpid()}"
    site_a.create_pool(name)
    cluster = site_a.rados()
    try:
        with cluster.open_ioctx(name) as opened:
            yield opened
    finally:
        cluster.shutdown()
        site_a.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def operation(steps: List[Tuple[Any, ...]]) -> Operation:
    """Have the steps carried out as the product does."""
    found = Operation()
    for name, *arguments in steps:
        getattr(found, name)(*arguments)
    return found


class Both:
    """The model and the OSD, of which the same is asked."""

    def __init__(self, ioctx: rados.Ioctx, reader: SnapsetReader,
                 erasure_coded: bool = False) -> None:
        self.model = FakeRados(erasure_coded=erasure_coded)
        self.snaps: List[int] = []
        self._ioctx = ioctx
        self._clones = reader.open(ioctx.get_pool_id())

    def snapshot(self) -> None:
        self.snaps.append(self._ioctx.create_self_managed_snap())

    def remove_snapshot(self, snap_id: int) -> None:
        self.snaps.remove(snap_id)
        self.model.remove_snapshot(snap_id)
        self._ioctx.remove_self_managed_snap(snap_id)

    def operate(self, oid: str, steps: List[Tuple[Any, ...]], context: List[int]) -> None:
        self._ioctx.set_self_managed_snap_write(sorted(context, reverse=True))
        expected: Optional[int] = None
        try:
            self.model.operate(oid, steps, context)
        except MirrorError as error:
            expected = error.errno
        found: Optional[int] = None
        try:
            self._operate(oid, steps)
        except rados.Error as error:
            found = error.errno
        assert found == expected, (oid, steps, context)

    def _operate(self, oid: str, steps: List[Tuple[Any, ...]]) -> None:
        if steps[0][0] == "rollback":
            self._ioctx.rollback_self_managed_snap(oid, steps[0][1])
            return
        op = operation(steps).write_op()
        try:
            self._ioctx.operate_write_op(op, oid)
        finally:
            op.release()

    def contents(self, oid: str, snap_id: Optional[int]) -> Optional[bytes]:
        self._ioctx.set_read(rados.LIBRADOS_SNAP_HEAD if snap_id is None else snap_id)
        try:
            return bytes(self._ioctx.read(oid, 1 << 20))
        except rados.ObjectNotFound:
            return None
        finally:
            self._ioctx.set_read(rados.LIBRADOS_SNAP_HEAD)

    def assert_same(self, oids: List[str]) -> None:
        for oid in oids:
            for snap_id in (None, *self.snaps):
                assert self.contents(oid, snap_id) == self.model.content(oid, snap_id), (
                    oid, snap_id)
            self._assert_same_clones(oid)

    def _assert_same_clones(self, oid: str) -> None:
        """By what they tell of each other: those of removed snapshots go when the OSD has time."""
        real, model = (found or Snapset(0, ()) for found in (
            self._clones.list_snaps(oid), self.model.snapset(oid)))
        for older, newer in itertools.combinations((0, *self.snaps, NOSNAP), 2):
            assert delta(real, older, newer) == delta(model, older, newer), (oid, real, model)


def change(dice: random.Random, both: Both, oids: List[str], size: int) -> None:
    oid = dice.choice(oids)
    # An object whose clones are all of removed snapshots keeps its seq until the OSD trims it, and
    # a client with an older context would show when that was.
    older = oid in both.model.objects and not dice.randrange(4)
    context = both.snaps[:dice.randrange(9)] if older else both.snaps[:]
    if both.snaps and not dice.randrange(8):
        both.operate(oid, [("rollback", dice.choice(both.snaps))], both.snaps[:])
    else:
        steps = [step(dice, size) for _ in range(dice.choice((1, 1, 2, 3)))]
        removal = next((s for s in steps if s[0] == "remove"), None)
        whole = operation([removal] if removal else steps)
        for one in whole.parts() if both.model.erasure_coded else [whole]:
            both.operate(oid, one.steps, context)


def step(dice: random.Random, size: int) -> Tuple[Any, ...]:
    offset, length = dice.randrange(size), 1 + dice.randrange(size // 3)
    makers: Dict[str, Any] = {
        "create": lambda: ("create", not dice.randrange(3)),
        "write": lambda: ("write", offset, dice.randbytes(length)),
        "zero": lambda: ("zero", offset, length),
        "truncate": lambda: ("truncate", offset),
        "remove": lambda: ("remove",),
    }
    return makers[dice.choice([*makers, "write", "write"])]()


def play(ioctx: rados.Ioctx, site: Site, erasure_coded: bool, size: int) -> None:
    """Change objects of about `size` bytes at random in both; raise AssertionError if they differ.
    """
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    reader = SnapsetReader.connect("client.admin", site.conf)
    try:
        both = Both(ioctx, reader, erasure_coded)
        oids = [f"o{number}" for number in range(OBJECTS)]
        for number in range(CHANGES):
            change(dice, both, oids, size)
            if number % 60 == 30:
                both.snapshot()
            if number % 170 == 169:
                both.remove_snapshot(dice.choice(both.snaps))
        both.assert_same(oids)
    finally:
        reader.close()


def test_the_model_is_true(ioctx: rados.Ioctx, site_a: Site) -> None:
    play(ioctx, site_a, erasure_coded=False, size=64)
