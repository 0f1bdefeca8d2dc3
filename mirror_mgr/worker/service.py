"""The worker's entry in the service map, as the C++ daemon's: `ceph -s`, `rbd mirror pool status`
and the dashboard read it."""

import json
from typing import Any, Dict, Iterable

from ..cluster.connection import Connection
from ..replay.mirroring import called
from .pool import PoolReplayer

SERVICE = "rbd-mirror"


class ServiceEntry:
    """Registered for the life of one connection."""

    def __init__(self, local: Connection, entity: str) -> None:
        self._local = local
        self._last = ""
        instance = str(local.instance_id)
        local.cluster.service_daemon_register(SERVICE, instance, {
            "id": client_id(entity), "entity": entity, "instance_id": instance})

    async def update(self, pools: Iterable[PoolReplayer]) -> None:
        """Tell what the pools look like now, if that is news."""
        text = json.dumps({str(pool.pool_id): describe(pool, self._local.instance_id)
                           for pool in pools}, sort_keys=True)
        if text != self._last:
            self._last = text
            await self._local.run(self._local.cluster.service_daemon_update, {"json": text})


def client_id(entity: str) -> str:
    """Given "client.rbd-mirror.b", return "b", as the daemon shows itself."""
    name = entity.partition(".")[2]
    return name[len("rbd-mirror."):] if name.startswith("rbd-mirror.") else name


def describe(pool: PoolReplayer, instance_id: int) -> Dict[str, Any]:
    """What the daemon tells of a pool (tools/rbd_mirror/ServiceDaemon, release 16)."""
    entry: Dict[str, Any] = {
        "name": pool.name,
        "callouts": {str(number): {"level": level, "text": text}
                     for number, (level, text) in enumerate(callouts(pool), 1)},
        "instance_id": str(instance_id),
        "leader": pool.leader.leading,
    }
    entry.update(pool.counts(""))
    namespaces = {name: pool.counts(name) for name in pool.namespaces if name}
    if namespaces:
        entry["namespaces"] = namespaces
    return entry


def callouts(pool: PoolReplayer) -> Iterable[Any]:
    """What is wrong with a pool, as (level, text)."""
    if pool.peer_error:
        yield "error", pool.peer_error
    for namespace, trouble in pool.troubles().items():
        yield "warning", f"{called(namespace)}: {trouble}"
    if pool.leader.foreign:
        yield "warning", f"an rbd-mirror daemon replays this pool: {pool.leader.foreign}"


