"""The version in each record that mirror_mgr keeps for itself; pure.

A record is a JSON object; its key ``version`` grows only where an older mirror_mgr can't read the
record as it is any more: keys that are new to it it passes over.  One without a version is of
version 1, the first.
"""

from typing import Any, Mapping

from .errors import MalformedData, NotSupported

KEY = "version"


def require(fields: Mapping[str, Any], understood: int, what: str) -> None:
    """Raise NotSupported where a record, named by `what`, is of a later version than `understood`.

    Raise MalformedData where its version is none.
    """
    version = fields.get(KEY, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise MalformedData(f"{what} has a version that can't be")
    if version > understood:
        raise NotSupported(f"{what} was written by a later mirror_mgr (it is of version {version}, "
                           f"{understood} is known here); upgrade mirror_mgr")
