"""Reading the omap of an object: what librados offers of it has pages."""

from typing import Any, Dict, Iterable, Tuple, Union

import rados

PAGE = 1024  # osd_max_omap_entries_per_request

def collect(entries: Iterable[Tuple[str, bytes]]) -> Dict[str, bytes]:
    """Return a page that was read.

    A key that is not UTF-8 is given as by ``surrogateescape``, with an empty value: python-rados
    raises in its place.
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
        found[key] = value


def last_key(page: Iterable[str]) -> Union[str, bytes]:
    """Return the key of a page after which the next one begins."""
    raw = max(key.encode("utf-8", "surrogateescape") for key in page)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def read_omap(ioctx: "rados.Ioctx", oid: str) -> Dict[str, bytes]:
    """Return all omap entries of an object, blocking; raise rados.ObjectNotFound without one.

    The version that was read is the ioctx's last one afterwards.
    """
    found: Dict[str, bytes] = {}
    after: Union[str, bytes] = ""
    while True:
        with rados.ReadOpCtx() as op:
            entries, _ = ioctx.get_omap_vals(op, after, "", PAGE)
            ioctx.operate_read_op(op, oid)
            page = collect(entries)
        found.update(page)
        if len(page) < PAGE:
            return found
        after = last_key(page)
