import errno
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import pytest

from mirror_mgr.cluster import omap
from mirror_mgr.cluster.omap import collect, last_key
from mirror_mgr.errors import MalformedData


class Entries:
    """Raises for a key that is not UTF-8 and goes on, as the iterator of python-rados."""

    def __init__(self, entries: List[Tuple[bytes, bytes]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Tuple[str, bytes]]:
        return self

    def __next__(self) -> Tuple[str, bytes]:
        key, value = next(self._entries)
        return key.decode(), value


def test_a_key_that_is_not_utf_8_hides_no_other() -> None:
    page = collect(Entries([(b"1", b"a"), (b"2\xff", b"b"), ("é".encode(), b"c"), (b"\xfe", b"")]))
    assert page == {"1": b"a", "2\udcff": b"", "é": b"c", "\udcfe": b""}
    assert last_key(page) == b"\xfe"
    assert last_key(["1", "é"]) == "é"
    assert last_key(["\udc80", "\U0001f600"]) == "\U0001f600"  # as bytes are sorted


def test_an_empty_value_is_one() -> None:
    """python-rados gives None for it."""
    assert collect([("key", None)]) == {"key": b""}  # type: ignore[list-item]


def test_all_pages_are_read(monkeypatch: Any) -> None:
    stored: Dict[bytes, bytes] = {bytes([number]): b"v" for number in range(1, 250)}
    asked: List[Union[str, bytes]] = []

    class Op:
        def __enter__(self) -> "Op":
            return self

        def __exit__(self, *error: Any) -> None:
            pass

    class Ioctx:
        def get_omap_vals(self, op: Op, after: Union[str, bytes], prefix: str,
                          count: int) -> Tuple[Entries, int]:
            asked.append(after)
            raw = after if isinstance(after, bytes) else after.encode()
            return Entries([item for item in sorted(stored.items()) if item[0] > raw][:count]), 0

        def operate_read_op(self, op: Op, oid: str) -> None:
            pass

    monkeypatch.setattr(omap.rados, "ReadOpCtx", Op, raising=False)
    monkeypatch.setattr(omap, "PAGE", 100)
    assert len(omap.read_omap(Ioctx(), "object")) == 249
    assert asked == ["", "d", bytes([200])]
    monkeypatch.setattr(omap, "MOST_BYTES", 20_000)
    with pytest.raises(MalformedData, match="object has an omap of more than 20000 bytes"):
        omap.read_omap(Ioctx(), "object")


class Completion:
    def __init__(self, op: "Read", code: int) -> None:
        self._op = op
        self._code = code

    def wait_for_complete(self) -> None:
        assert not self._op.released, "what it fills in is gone"
        self._op.entries.ready = True

    def get_return_value(self) -> int:
        return self._code


class Late(Entries):
    """Entries that are there when the operation is complete."""

    ready = False

    def __next__(self) -> Tuple[str, bytes]:
        assert self.ready
        return super().__next__()


class Read:
    entries: Late
    released = False

    def __enter__(self) -> "Read":
        return self

    def __exit__(self, *error: Any) -> None:
        self.released = True


class Site:
    """Objects by name; an errno stands for what can't be read."""

    def __init__(self, objects: Dict[str, Union[Dict[bytes, bytes], int]]) -> None:
        self.objects = objects
        self.wanted: Optional[Tuple[str, ...]] = None
        self.begun: List[str] = []

    def get_omap_vals_by_keys(self, op: Read, keys: Tuple[str, ...]) -> Tuple[Late, int]:
        self.wanted = keys
        op.entries = Late([])
        return op.entries, 0

    def get_omap_vals(self, op: Read, after: str, prefix: str, count: int) -> Tuple[Late, int]:
        self.wanted = None
        op.entries = Late([])
        return op.entries, 0

    def operate_aio_read_op(self, op: Read, oid: str) -> Completion:
        self.begun.append(oid)
        stored = self.objects.get(oid, errno.ENOENT)
        if isinstance(stored, int):
            return Completion(op, -stored)
        keys = sorted(stored) if self.wanted is None else [key.encode() for key in self.wanted]
        op.entries._entries = iter([(key, stored[key]) for key in keys if key in stored])
        return Completion(op, 0)


def test_many_objects_at_a_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(omap.rados, "ReadOpCtx", Read, raising=False)
    monkeypatch.setattr(omap, "_AT_ONCE", 2)
    site = Site({"a": {b"k": b"1", b"l": b"2"}, "c": {b"l": b"3"}, "d": {}})
    oids = ["a", "b", "c", "d", "a"]
    whole = [{"k": b"1", "l": b"2"}, None, {"l": b"3"}, {}, {"k": b"1", "l": b"2"}]
    assert omap.read_omaps(site, oids) == whole
    assert omap.read_omaps(site, oids, "k") == [{"k": b"1"}, None, {}, {}, {"k": b"1"}]
    assert site.begun == oids * 2


def test_an_error_is_none_of_an_object_that_is_not_there(monkeypatch: Any) -> None:
    class Failure(Exception):
        def __init__(self, message: str, errno: int) -> None:
            super().__init__(message)
            self.errno = errno

    monkeypatch.setattr(omap.rados, "ReadOpCtx", Read, raising=False)
    monkeypatch.setattr(omap.rados, "OSError", Failure, raising=False)
    with pytest.raises(Failure, match="omap read of b") as caught:
        omap.read_omaps(Site({"a": {}, "b": errno.EIO}), ["a", "b"])
    assert caught.value.errno == errno.EIO
