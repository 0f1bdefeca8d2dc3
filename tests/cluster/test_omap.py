from typing import Any, Dict, Iterator, List, Tuple, Union

from mirror_mgr.cluster import omap
from mirror_mgr.cluster.omap import collect, last_key


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
