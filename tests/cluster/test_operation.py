import pytest

from mirror_mgr.cluster import operation
from mirror_mgr.cluster.operation import Operation
from mirror_mgr.errors import InvalidArgument
from tests.replay.fake_rados import WriteOp


@pytest.fixture(autouse=True)
def write_op(monkeypatch):
    monkeypatch.setattr(operation.rados, "WriteOp", WriteOp, raising=False)


def test_a_zero_reaches_librados_the_right_way_round():
    assert Operation().zero(4096, 100).op.steps == [("zero", 4096, 100)]


@pytest.mark.parametrize("length", [0, -1])
def test_a_zero_of_no_bytes_never_reaches_an_osd(length):
    with pytest.raises(InvalidArgument):
        Operation().zero(0, length)


def test_steps_keep_their_order():
    assert Operation().create().truncate(5).write(1, b"x").remove().op.steps == [
        ("create", False), ("truncate", 5), ("write", 1, b"x"), ("remove",)]
    assert Operation().create(exclusive=True).op.steps == [("create", True)]
