"""Workers and rbd-mirror daemons as the service map has them; pure.

What they report under ``status.json`` is the rbd-mirror daemon's own, the same from Nautilus to
Tentacle.
"""

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from ..errors import MalformedData
from ..model import Daemon, Health

_LEVELS = {"warning": Health.WARNING, "error": Health.ERROR}


@dataclass(frozen=True)
class Services:
    """The daemons and how they are in one pool."""

    daemons: Tuple[Daemon, ...]
    health: Health

    def by_instance(self, instance_id: Optional[str]) -> Optional[Daemon]:
        if not instance_id:
            return None
        return next((d for d in self.daemons if d.instance_id == instance_id), None)


def services(metadata: Mapping[str, Mapping[str, str]],
             reports: Mapping[str, Mapping[str, str]], pool_id: int) -> Services:
    """Given what the daemons of the service map say of themselves, return their state in a pool.

    Both are by service id: `metadata` as they registered, `reports` as they reported since, each
    of those that did.  Raise MalformedData if a report is not what it should be.
    """
    try:
        daemons = tuple(_daemon(service_id, metadata[service_id], reports.get(service_id),
                                str(pool_id)) for service_id in sorted(metadata))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedData(f"service map: a report of rbd-mirror is malformed: {error!r}"
                            ) from None
    return Services(daemons, _health(daemons, reported=bool(reports)))


def _daemon(service_id: str, metadata: Mapping[str, str], report: Optional[Mapping[str, str]],
            pool_id: str) -> Daemon:
    known: Dict[str, Any] = {"service_id": service_id, "client_id": metadata.get("id", ""),
             "entity": metadata.get("entity", ""),
             "hostname": metadata.get("hostname", ""),
             "ceph_version": metadata.get("ceph_version_short", "")}
    if report is None:
        return Daemon(**known)
    pools = report.get("json")
    if pools is None:
        return Daemon(**known, health=Health.WARNING, callouts=("not reporting status",))
    pool: Optional[Dict[str, Any]] = json.loads(pools).get(pool_id)
    if pool is None:
        return Daemon(**known, health=Health.WARNING,
                      callouts=("not reporting status for pool",))
    callouts = list((pool.get("callouts") or {}).values())
    return Daemon(
        **known, instance_id=pool.get("instance_id", ""), leader=bool(pool.get("leader")),
        health=max([_LEVELS.get(c.get("level"), Health.OK) for c in callouts],
                   default=Health.OK),
        callouts=tuple(c["text"] for c in callouts if c.get("text")))


def _health(daemons: Tuple[Daemon, ...], reported: bool) -> Health:
    if not daemons or not reported:
        return Health.UNKNOWN
    if not any(d.instance_id for d in daemons):
        own = Health.ERROR
    elif not any(d.leader for d in daemons):
        own = Health.WARNING
    else:
        own = Health.OK
    return max(own, *(d.health for d in daemons))
