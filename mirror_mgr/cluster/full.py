"""Pools that have no more room.

librados lets a write to such a pool wait until there is room, for ever if need be.  Ours are sent
so that the OSD refuses them instead; but a watch can't be, and waits.  The monitors tell which
pools are full (OSDMap, releases 15 to 20); they are asked only once something hints at it.
"""

import errno
import json
import time
from typing import TYPE_CHECKING, Any, FrozenSet, Mapping, Optional, Set

from ..errors import OutOfSpace

if TYPE_CHECKING:
    from .connection import Connection

# How long an answer of the monitors counts; and for what is not urgent.
_FRESH_SECONDS = 2.0
_CALM_SECONDS = 30.0

_NEAR = frozenset(("nearfull", "backfillfull", "full", "full_quota"))

_QUOTA = "its quota is used up; raise it (ceph osd pool set-quota) or remove data"
_OSDS = "its OSDs are full; add some or remove data"


def reason(osdmap: Mapping[str, Any], pool_id: int) -> Optional[str]:
    """Given `osd dump` as JSON, return why the pool takes nothing more; None where it does."""
    flags = next((pool["flags_names"].split(",") for pool in osdmap["pools"]
                  if pool["pool"] == pool_id), ())
    if "full_quota" in flags:
        return _QUOTA
    return _OSDS if "full" in flags or "full" in osdmap["flags_set"] else None


def nearly_full(osdmap: Mapping[str, Any]) -> FrozenSet[int]:
    """Given `osd dump` as JSON, return the ids of pools that have little room left, or none."""
    return frozenset(pool["pool"] for pool in osdmap["pools"]
                     if _NEAR & set(pool["flags_names"].split(",")))


def refused(code: int, site: str, pool: str) -> OutOfSpace:
    """Given the errno by which an OSD refused a write, return the error to raise.

    `site` is "local", or the peer's name.
    """
    why = _QUOTA if abs(code) == errno.EDQUOT else _OSDS
    where = "" if site == "local" else f" of site {site!r}"
    return OutOfSpace(f"pool {pool!r}{where} is full: {why}; then it goes on by itself", code)


class FullPools:
    """Of one site."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._suspected: Set[int] = set()
        self._osdmap: Mapping[str, Any] = {}
        self._asked = float("-inf")

    def suspect(self, pool_id: int) -> None:
        """Have the next check look whether this pool is full."""
        self._suspected.add(pool_id)

    async def near(self) -> FrozenSet[int]:
        """Pools that have little room left, by their ids."""
        await self._ask(_CALM_SECONDS)
        return nearly_full(self._osdmap)

    async def _ask(self, seconds: float) -> None:
        """Have an answer of the monitors that is no older than that."""
        if time.monotonic() - self._asked > seconds:
            self._osdmap = json.loads(await self._connection.mon_command(
                {"prefix": "osd dump", "format": "json"}))
            self._asked = time.monotonic()

    async def check(self, pool_id: int) -> None:
        """Raise OutOfSpace when the pool was suspected and is full."""
        if pool_id not in self._suspected:
            return
        await self._ask(_FRESH_SECONDS)
        why = reason(self._osdmap, pool_id)
        if why is None:
            self._suspected.discard(pool_id)
            return
        code = errno.EDQUOT if why == _QUOTA else errno.ENOSPC
        raise refused(code, self._connection.name, self._connection.pool_name(pool_id) or "")
