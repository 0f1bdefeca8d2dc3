"""What the supervisor tells commands, health and panel."""

import dataclasses
from typing import Optional, Tuple

from ..model import HealthItem as HealthItem
from ..worker.protocol import PoolReport

WAITING = 'waiting'      # for the next start, or for its first
STARTING = 'starting'    # its process runs and has not connected yet
RUNNING = 'running'
STOPPING = 'stopping'

WORKER_FAILING = 'worker-failing'
PEER_UNREACHABLE = 'peer-unreachable'
SPLIT_BRAIN = 'split-brain'
IMAGE_ERROR = 'image-error'
FOREIGN_DAEMON = 'foreign-daemon'
COPIES_HELD = 'copies-held'
COPIES_REMOVED = 'copies-removed'


@dataclasses.dataclass(frozen=True)
class WorkerView:
    """One worker.

    :ivar id: ``mirror-mgr.<n>``; its cephx user is ``client.rbd-mirror.<id>``
    :ivar pid: None while no process runs
    :ivar state: `WAITING`, `STARTING`, `RUNNING` or `STOPPING`
    :ivar since: when it came into that state, seconds since the epoch, UTC
    :ivar restarts: how often it was started again, by whomever, since the module started
    :ivar pools: what it reported last
    :ivar images: how many it looks after
    :ivar failing: it failed 3 times in 5 minutes
    :ivar last_error: why the last process ended, or could not be started; empty if none did
    :ivar address: RADOS address of its connection to the local cluster
    :ivar instance_id: of that connection, as the service map and the locks name it
    """

    id: str
    entity: str
    pid: Optional[int]
    state: str
    since: float
    restarts: int
    pools: Tuple[PoolReport, ...]
    images: int
    rss_bytes: int
    bytes_in_flight: int
    failing: bool
    last_error: str
    address: str
    instance_id: str
