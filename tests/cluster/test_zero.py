"""Where a WriteOp keeps its handle, and that librados is given what it is to be given."""

import ctypes

import pytest

from mirror_mgr.cluster import zero as module
from mirror_mgr.errors import NotSupported

FREES = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)


class WriteOp:
    """Holds its handle in the second of three words."""

    __slots__ = ("first", "handle", "third")

    def create(self):
        self.handle = "a handle"

    def release(self):
        pass


class TwoChange(WriteOp):
    __slots__ = ()

    def create(self):
        self.first = self.handle = "a handle"


class NoneChanges(WriteOp):
    __slots__ = ()

    def create(self):
        pass


@pytest.fixture(autouse=True)
def nothing_known():
    module._place.cache_clear()
    yield
    module._place.cache_clear()


def test_librados_is_given_handle_offset_and_length(monkeypatch):
    calls = []
    monkeypatch.setattr(module.rados, "WriteOp", WriteOp, raising=False)
    monkeypatch.setattr(module, "_function", lambda: FREES(lambda *call: calls.append(call)))
    op = WriteOp()
    op.create()
    module.zero(op, 4096, 100)
    assert calls == [(id(op.handle), 4096, 100)]


@pytest.mark.parametrize("kind", [TwoChange, NoneChanges])
def test_a_binding_that_is_not_known_is_not_used(monkeypatch, kind):
    monkeypatch.setattr(module.rados, "WriteOp", kind, raising=False)
    monkeypatch.setattr(module, "_function", lambda: None)
    with pytest.raises(NotSupported, match="python3-rados"):
        module.zero(kind(), 0, 1)


@pytest.mark.skipif(not hasattr(module.rados.WriteOp, "create"), reason="needs python-rados")
def test_the_binding_that_is_installed_is_known():
    op = module.rados.WriteOp()
    op.create()
    module.zero(op, 4096, 100)
    op.release()
