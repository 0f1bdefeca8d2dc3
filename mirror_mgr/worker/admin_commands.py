"""What the worker answers on its admin socket, in the words of the C++ daemon.

As there, each pool and image that is being replayed has commands of its own, by its name:
`rbd mirror stop POOL PEER`, `rbd mirror flush POOL/IMAGE`.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, List, Optional

from .. import __version__
from ..replay.trash import Sweep
from ..wire.constants import StatusState
from . import perf, settings
from .admin_socket import Command
from .image import ImageReplayer
from .journal_image import JournalImageReplayer
from .pool import PoolReplayer, image_name, image_spec

if TYPE_CHECKING:
    from .worker import Worker

_VERBS = ("start", "stop", "restart", "flush")
# tools/rbd_mirror/ImageReplayer.cc, release 16: what has an error counts as stopped.
_STATES = {StatusState.STARTING_REPLAY: "Starting", StatusState.REPLAYING: "Replaying",
           StatusState.SYNCING: "Replaying", StatusState.STOPPING_REPLAY: "Stopping"}


def commands(worker: "Worker") -> Dict[str, Command]:
    """Return the commands of the moment by their prefixes."""
    pools = worker.pools
    found = {
        "version": Command("get ceph version", lambda: {"mirror_mgr": __version__}, merge=True),
        "perf dump": Command("dump perfcounters value", lambda: perf.dump(
            worker.counters(), _histories(pools)), merge=True),
        "perf schema": Command(
            "dump perfcounters schema", partial(_described, perf.schema, worker, pools),
            merge=True),
        "counter dump": Command(
            "dump all counters, with labels, and their values", lambda: perf.labelled_dump(
                worker.counters(), _histories(pools)), merge=True),
        "counter schema": Command(
            "dump the schema of all counters, with labels",
            partial(_described, perf.labelled_schema, worker, pools), merge=True),
        "rbd mirror leader release": Command(
            "release rbd mirror leader", lambda: _release(pools)),
        **_verbs("", lambda: {"pool_replayers": [pool_status(pool) for pool in pools]},
                 lambda verb: asyncio.gather(*(_act(pool, None, verb) for pool in pools))),
    }
    for pool in pools:
        if pool.peer is not None:
            found.update(_of_pool(pool, pool.peer.site_name))
    return found


def _of_pool(pool: PoolReplayer, peer: str) -> Dict[str, Command]:
    found = _verbs(f" {pool.name} {peer}", lambda: pool_status(pool), partial(_act, pool, None))
    found[f"rbd mirror leader release {pool.name} {peer}"] = Command(
        f"release rbd mirror leader {pool.name} {peer}", lambda: _release([pool]))
    deletions = pool.deletions("")
    found[f"rbd mirror deletion status {pool.name}"] = Command(
        "get status for image deleter", lambda: _deletion_status(deletions))
    for namespace, replayer in pool.replayers():
        spec = image_spec(pool.name, namespace, replayer)
        found.update(_verbs(f" {spec}", partial(image_status, spec, replayer),
                            partial(_act, pool, replayer.mirrored.global_id)))
    return found


def _verbs(what: str, status: Callable[[], Any],
           act: Callable[[str], Awaitable[Any]]) -> Dict[str, Command]:
    async def acted(verb: str) -> None:
        await act(verb)

    found = {f"rbd mirror status{what}": Command(f"get status for rbd mirror{what}", status)}
    found.update((f"rbd mirror {verb}{what}", Command(f"{verb} rbd mirror{what}",
                                                      partial(acted, verb))) for verb in _VERBS)
    return found


async def _act(pool: PoolReplayer, global_id: Optional[str], verb: str) -> None:
    acts = {"start": pool.start, "stop": pool.stop, "restart": pool.restart, "flush": pool.flush}
    await acts[verb](global_id)


def _release(pools: List[PoolReplayer]) -> None:
    for pool in pools:
        pool.release_leader()


def image_status(spec: str, replayer: ImageReplayer) -> Dict[str, Any]:
    """As the daemon has it, and why the image is in its state."""
    found = {"name": spec, "state": _STATES.get(replayer.status.state, "Stopped"),
             "global_id": replayer.mirrored.global_id, "standing": replayer.status.standing}
    if replayer.status.reason:
        found["reason"] = replayer.status.reason
    return found


def pool_status(pool: PoolReplayer) -> Dict[str, Any]:
    """As the daemon has it (tools/rbd_mirror/PoolReplayer.cc), and the peer's error.

    Release 20 has all namespaces in one list, those before have the default one outside of theirs.
    """
    found: Dict[str, Any] = {"pool": pool.name, "instance_id": pool.instance_id}
    if pool.peer is not None:
        found["peer"] = (f"uuid: {pool.peer.uuid} cluster: {pool.peer.site_name} "
                         f"client: {pool.peer.client_name}")
    found["state"] = "stopped (manual)" if pool.stops.all else "running"
    found["leader"] = pool.leader.leading
    if pool.leader.leading:
        found["leader_instance_id"] = pool.instance_id
        found["instances"] = [pool.instance_id]
    if pool.peer_error:
        found["peer_error"] = pool.peer_error
    found["local_cluster_admin_socket"] = pool.admin_socket
    found["remote_cluster_admin_socket"] = ""
    found["sync_throttler"] = _throttler(
        pool.syncing.size, pool.syncing.running, pool.syncing.waiting)
    sweeps = [pool.deletions(namespace) for namespace in pool.namespaces]
    found["deletion_throttler"] = _throttler(
        pool.concurrent_deletions, sum(sweep.removing for sweep in sweeps),
        sum(len(sweep.waiting) for sweep in sweeps))
    found.update(_of_namespace(pool, ""))
    found["namespaces"] = [{"name": name, **_of_namespace(pool, name)}
                           for name in sorted(pool.namespaces) if name]
    found["namespace_replayers"] = [
        {"local_namespace": name, "remote_namespace": pool.namespaces[name].source,
         **_of_namespace(pool, name)} for name in sorted(pool.namespaces)]
    return found


def _throttler(most: int, running: int, waiting: int) -> Dict[str, int]:
    return {"max_parallel_requests": most, "running_requests": running,
            "waiting_requests": waiting}


def _of_namespace(pool: PoolReplayer, namespace: str) -> Dict[str, Any]:
    return {
        "image_replayers": [image_status(image_spec(pool.name, namespace, replayer), replayer)
                            for name, replayer in pool.replayers() if name == namespace],
        "image_deleter": {"image_deleter_status": _deletion_status(pool.deletions(namespace))},
    }


def _deletion_status(deletions: Sweep) -> Dict[str, Any]:
    """As the daemon has it (tools/rbd_mirror/ImageDeleter.cc, release 16)."""
    return {
        "delete_images_queue": [{"image_id": image_id} for image_id in deletions.waiting],
        "failed_deletes_queue": [{"image_id": image_id, "error_code": reason}
                                 for image_id, reason in deletions.failed.items()],
    }


def _histories(pools: List[PoolReplayer]) -> perf.Images:
    found = perf.Images()
    for pool in pools:
        for namespace, replayer in pool.replayers():
            name = perf.Name(pool.name, namespace, image_name(replayer))
            if isinstance(replayer, JournalImageReplayer):
                found.journal_mode.append((name, replayer.replayed))
            else:
                found.snapshot_mode.append((name, perf.Synced(
                    replayer.history, replayer.newest_ns, replayer.copied_ns or 0)))
    return found


def _described(schema: Callable[..., Any], worker: "Worker", pools: List[PoolReplayer]) -> Any:
    return schema(worker.counters(), _histories(pools),
                  settings.counter_priority(worker.conf_get),
                  settings.image_counter_priority(worker.conf_get))
