import pytest

from mirror_mgr.cluster import operation
from mirror_mgr.replay import extents, lanes, objects
from tests.replay.fake_rados import WriteOp


@pytest.fixture
def small_sizes(monkeypatch):
    """Writes go to memory, and little data meets every limit."""
    monkeypatch.setattr(operation.rados, "WriteOp", WriteOp, raising=False)
    monkeypatch.setattr(extents, "BLOCK", 64)
    monkeypatch.setattr(extents, "SMALL_BLOCK", 16)
    monkeypatch.setattr(objects, "_CHUNK", 256)
    monkeypatch.setattr(objects, "_READS_AN_OBJECT", 4)
    monkeypatch.setattr(lanes, "LANES", 3)
