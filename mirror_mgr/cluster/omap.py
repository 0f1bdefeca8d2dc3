"""Reading the omap of objects: what librados offers of it has pages, and one object a call."""

import errno
from contextlib import ExitStack
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import rados

from ..errors import MalformedData

PAGE = 1024  # osd_max_omap_entries_per_request
MOST_BYTES = 256 << 20
"""Of one omap: those of RBD are far below, also with a hundred thousand mirrored images."""

_AT_ONCE = 256
_ENTRY_OVERHEAD = 100


def collect(entries: Iterable[Tuple[str, bytes]]) -> Dict[str, bytes]:
    """Return a page that was read.

    A key that is not UTF-8 is given as by ``surrogateescape``, with an empty value: python-rados
    raises in its place.  For an empty value it gives None.
    """
    found: Dict[str, bytes] = {}
    iterator: Any = iter(entries)
    while True:
        try:
            key, value = next(iterator)
        except StopIteration:
            return found
        except UnicodeDecodeError as error:
            key, value = bytes(error.object).decode("utf-8", "surrogateescape"), b""
        found[key] = value or b""


class Whole:
    """The pages of one omap put together.  Nobody knows before how many there will be."""

    def __init__(self, oid: str, most: int) -> None:
        self.found: Dict[str, bytes] = {}
        self._oid = oid
        self._most = most
        self._size = 0

    def add(self, page: Mapping[str, bytes]) -> None:
        """Raise MalformedData when that is more than can be."""
        self.found.update(page)
        self._size += sum(len(key) + len(value) + _ENTRY_OVERHEAD for key, value in page.items())
        if self._size > self._most:
            raise MalformedData(f"{self._oid} has an omap of more than {self._most} bytes")


def last_key(page: Iterable[str]) -> Union[str, bytes]:
    """Return the key of a page after which the next one begins."""
    raw = max(key.encode("utf-8", "surrogateescape") for key in page)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def read_omap(ioctx: "rados.Ioctx", oid: str, prefix: str = "") -> Dict[str, bytes]:
    """Return all omap entries of an object, or those whose keys begin with `prefix`, blocking.

    Raise rados.ObjectNotFound if it does not exist.

    The version that was read is the ioctx's last one afterwards.
    """
    whole = Whole(oid, MOST_BYTES)
    after: Union[str, bytes] = ""
    while True:
        with rados.ReadOpCtx() as op:
            entries, _ = ioctx.get_omap_vals(op, after, prefix, PAGE)
            ioctx.operate_read_op(op, oid)
            page = collect(entries)
        whole.add(page)
        if len(page) < PAGE:
            return whole.found
        after = last_key(page)


def read_omaps(ioctx: "rados.Ioctx", oids: Sequence[str],
               key: Optional[str] = None) -> List[Optional[Dict[str, bytes]]]:
    """Return the omap entries of each object, or but that with `key`; None without the object.

    Blocking; many are asked for at a time.  Raise rados.Error for what goes wrong.
    """
    found: List[Optional[Dict[str, bytes]]] = []
    for first in range(0, len(oids), _AT_ONCE):
        found += _read_some(ioctx, oids[first:first + _AT_ONCE], key)
    return found


def _read_some(ioctx: "rados.Ioctx", oids: Sequence[str],
               key: Optional[str]) -> List[Optional[Dict[str, bytes]]]:
    begun = []
    with ExitStack() as stack:
        for oid in oids:
            op = stack.enter_context(rados.ReadOpCtx())
            entries, _ = (ioctx.get_omap_vals(op, "", "", PAGE) if key is None
                          else ioctx.get_omap_vals_by_keys(op, (key,)))
            completion = ioctx.operate_aio_read_op(op, oid)
            # Before the operation is released, also where a later one could not be begun.
            stack.callback(completion.wait_for_complete)
            begun.append((oid, completion, entries))
        return [_result(ioctx, *one) for one in begun]


def _result(ioctx: "rados.Ioctx", oid: str, completion: Any,
            entries: Iterable[Tuple[str, bytes]]) -> Optional[Dict[str, bytes]]:
    completion.wait_for_complete()
    code = completion.get_return_value()
    if code == -errno.ENOENT:
        return None
    if code < 0:
        raise rados.OSError(f"omap read of {oid}", errno=-code)
    page = collect(entries)
    return page if len(page) < PAGE else read_omap(ioctx, oid)
