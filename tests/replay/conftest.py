import pytest

from mirror_mgr.replay import extents, lanes, objects


@pytest.fixture
def small_sizes(monkeypatch):
    """Little data meets every limit."""
    monkeypatch.setattr(extents, "BLOCK", 64)
    monkeypatch.setattr(extents, "SMALL_BLOCK", 16)
    monkeypatch.setattr(objects, "_CHUNK", 256)
    monkeypatch.setattr(objects, "_READS_AN_OBJECT", 4)
    monkeypatch.setattr(lanes, "LANES", 3)
