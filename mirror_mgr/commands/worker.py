"""``ceph rbd-mirror worker ...``: the processes that replay."""

from typing import List, Optional

from .. import output
from ..errors import NotFound
from ..supervisor.model import WorkerView
from .registry import Host, Text, command


@command("worker ls", "r", output.workers_plain, output.workers_json)
def ls(mgr: Host) -> List[WorkerView]:
    """List the workers that this manager runs"""
    return mgr.supervisor.workers()


@command("worker status", "r", output.worker_status_plain, output.workers_json)
def worker_status(mgr: Host, id: Optional[Text] = None) -> List[WorkerView]:
    """Show a worker, or all of them, with their pools"""
    found = [view for view in mgr.supervisor.workers() if id in (None, view.id)]
    if id is not None and not found:
        raise NotFound(f"worker {id!r}: there is none; see: ceph rbd-mirror worker ls")
    return found


@command("worker restart", "w")
def restart(mgr: Host, id: Optional[Text] = None) -> str:
    """Start a worker, or all of them, afresh"""
    return "\n".join(f"restarting {worker}" for worker in mgr.supervisor.restart(id))
