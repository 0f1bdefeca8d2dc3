"""Reading the omap of an object, blocking: what librados offers of it has pages."""

from typing import Dict

import rados

PAGE = 1024  # osd_max_omap_entries_per_request


def read_omap(ioctx: "rados.Ioctx", oid: str) -> Dict[str, bytes]:
    """Return all omap entries of an object; raise rados.ObjectNotFound if it does not exist.

    The version that was read is the ioctx's last one afterwards.
    """
    found: Dict[str, bytes] = {}
    page = None
    while page is None or len(page) == PAGE:
        with rados.ReadOpCtx() as op:
            entries, _ = ioctx.get_omap_vals(op, max(page or [""]), "", PAGE)
            ioctx.operate_read_op(op, oid)
            page = dict(entries)
        found.update(page)
    return found
