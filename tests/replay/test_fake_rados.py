"""The fake keeps the rules that the tests of the copier rely on."""

import random

import pytest

from mirror_mgr.errors import AlreadyExists, InvalidArgument, NotFound
from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Clone, Snapset
from tests.replay.fake_rados import FakeRados

OID = "o"


def written(rados, offset, data, context=()):
    rados.operate(OID, [("write", offset, data)], context)


def test_a_write_keeps_what_snapshots_showed():
    rados = FakeRados()
    written(rados, 0, b"aaaa")
    written(rados, 1, b"bb", [1, 2])
    assert rados.content(OID) == b"abba"
    assert rados.content(OID, 1) == rados.content(OID, 2) == b"aaaa"
    assert rados.content(OID, 3) == b"abba"
    assert rados.snapset(OID) == Snapset(2, (
        Clone(2, (1, 2), ((0, 1), (3, 1)), 4), Clone(NOSNAP, (), (), 4)))


def test_an_older_context_makes_no_clone():
    rados = FakeRados()
    written(rados, 0, b"a", [5])
    written(rados, 0, b"b", [3])
    assert rados.content(OID) == b"b" == rados.content(OID, 6)
    assert rados.content(OID, 3) is rados.content(OID, 5) is None


def test_what_is_removed_stays_in_snapshots():
    rados = FakeRados()
    written(rados, 0, b"aa")
    rados.operate(OID, [("remove",)], [1])
    assert (rados.content(OID), rados.content(OID, 1)) == (None, b"aa")
    assert rados.snapset(OID) == Snapset(1, (Clone(1, (1,), (), 2),))
    written(rados, 0, b"b", [1, 2])
    assert [rados.content(OID, i) for i in (1, 2, 3)] == [b"aa", None, b"b"]


def test_what_is_removed_without_snapshots_is_forgotten():
    rados = FakeRados()
    written(rados, 0, b"a", [1])
    rados.operate(OID, [("remove",)], [1])
    assert rados.snapset(OID) is None
    with pytest.raises(NotFound):
        rados.operate(OID, [("remove",)])


def test_steps_that_create_no_object():
    rados = FakeRados()
    rados.operate(OID, [("zero", 0, 5), ("truncate", 7)])
    assert rados.content(OID) is None
    rados.operate(OID, [("create", True)])
    assert rados.content(OID) == b""
    rados.operate(OID, [("zero", 0, 5)])
    assert rados.content(OID) == b""
    rados.operate(OID, [("truncate", 3)])
    assert rados.content(OID) == bytes(3)


def test_all_or_nothing():
    rados = FakeRados()
    written(rados, 0, b"a")
    with pytest.raises(AlreadyExists):
        rados.operate(OID, [("write", 0, b"b"), ("create", True)])
    assert rados.content(OID) == b"a"
    with pytest.raises(InvalidArgument):
        rados.operate(OID, [])


@pytest.mark.parametrize("seed", range(20))
def test_against_a_history_of_copies(seed):
    """Whatever is done, each snapshot shows what was there, and its clones tell what differs."""
    rng = random.Random(seed)
    rados = FakeRados()
    history = {}
    for _ in range(60):
        live = list(history)
        roll = rng.randrange(8)
        if roll == 0:
            history[rados.new_snapshot()] = rados.content(OID)
        elif roll == 1 and live:
            gone = rng.choice(live)
            del history[gone]
            rados.remove_snapshot(gone)
        elif roll == 2 and rados.content(OID) is not None:
            rados.operate(OID, [("remove",)], live)
        elif roll == 3:
            rados.operate(OID, [("truncate", rng.randrange(40))], live)
        elif roll == 4:
            rados.operate(OID, [("zero", rng.randrange(40), rng.randrange(1, 9))], live)
        elif roll == 5 and live and rados.content(OID) is not None:
            rados.operate(OID, [("rollback", rng.choice(live))], live)
        else:
            written(rados, rng.randrange(30), rng.randbytes(rng.randrange(1, 9)), live)
        for snap_id, data in history.items():
            assert rados.content(OID, snap_id) == data, f"seed {seed}, snapshot {snap_id}"
        assert_overlaps_hold(rados)


def assert_overlaps_hold(rados):
    snapset = rados.snapset(OID)
    if snapset is None:
        return
    contents = [c.data for c in rados.objects[OID].clones] + [rados.content(OID)]
    for clone, older, newer in zip(snapset.clones, contents, contents[1:]):
        for offset, length in clone.overlap:
            assert older[offset:offset + length] == newer[offset:offset + length]
            assert offset + length <= min(len(older), len(newer))
