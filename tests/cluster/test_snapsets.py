"""How librados' C++ values are taken apart, with values laid out by hand."""

import ctypes
from ctypes import c_uint64
from typing import Any, Iterator, List

import pytest

from mirror_mgr.cluster import snapsets
from mirror_mgr.cluster.snapsets import _Clone, _SnapSet, _snapset, _Vector
from mirror_mgr.errors import NotReady, NotSupported
from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Clone, Snapset

_alive: List[Any] = []


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    yield
    _alive.clear()


def vector(kind: Any, *items: Any) -> _Vector:
    if not items:
        return _Vector(None, None, None)
    array = (kind * len(items))(*items)
    _alive.append(array)
    start = ctypes.addressof(array)
    return _Vector(start, start + ctypes.sizeof(array), start + ctypes.sizeof(array))


def clone(cloneid: int, snaps: List[int], bounds: List[int], size: int) -> _Clone:
    return _Clone(cloneid, vector(c_uint64, *snaps), vector(c_uint64, *bounds), size)


def test_layouts_are_those_of_the_headers() -> None:
    assert ctypes.sizeof(_Clone) == 64
    assert ctypes.sizeof(_SnapSet) == 32
    assert ctypes.sizeof(snapsets._String) == 32


def test_a_snapset() -> None:
    raw = _SnapSet(vector(_Clone, clone(7, [4, 7], [0, 10, 20, 80], 100),
                          clone(NOSNAP, [], [], 50)), 7)
    assert _snapset(raw) == Snapset(7, (
        Clone(7, (4, 7), ((0, 10), (20, 80)), 100), Clone(NOSNAP, (), (), 50)))


def test_no_clones() -> None:
    assert _snapset(_SnapSet(vector(_Clone), 3)) == Snapset(3, ())


@pytest.mark.parametrize("clones", [
    [(8, [8], [], 1), (7, [7], [], 1)],
    [(7, [7], [], 1), (7, [7], [], 1)],
    [(2**64 - 1, [], [], 1)],
    [(7, [7], [0, 101], 100)],
    [(7, [7], [0], 100)]])
def test_what_is_no_snapset(clones) -> None:
    with pytest.raises(NotSupported):
        _snapset(_SnapSet(vector(_Clone, *(clone(*one) for one in clones)), 7))


@pytest.mark.parametrize("bounds", [(8, 0, 8), (64, 65, 128), (64, 128, 64)])
def test_what_is_no_vector(bounds) -> None:
    with pytest.raises(NotSupported):
        _snapset(_SnapSet(_Vector(*bounds), 7))


@pytest.mark.parametrize("name", ["_LIBRARY", "_LIST_SNAPS"])
def test_a_librados_without_the_call(monkeypatch, name) -> None:
    monkeypatch.setattr(snapsets, name, "libc.so.6" if name == "_LIBRARY" else "no_such_symbol")
    with pytest.raises(NotSupported, match="does not list clones"):
        snapsets._Librados()


def test_a_gate_closes_once() -> None:
    gate = snapsets._Gate()
    with gate.entered():
        pass
    assert gate.close()
    assert not gate.close()
    with pytest.raises(NotReady), gate.entered():
        pass
