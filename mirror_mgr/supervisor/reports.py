"""What the workers have reported, put together.  Pure."""

from typing import Dict, Iterable, List, Tuple

from .. import states
from ..worker.protocol import Heartbeat, ImageReport, PoolReport
from .model import FOREIGN_DAEMON, IMAGE_ERROR, PEER_UNREACHABLE, SPLIT_BRAIN, HealthItem

ERROR_SECONDS = 30.0  # an attempt that fails once is no news


class Reports:
    """The latest of each counter, pool and image of one worker process."""

    def __init__(self) -> None:
        self.counters: Dict[str, int] = {}
        self.pools: Tuple[PoolReport, ...] = ()
        self.images: Dict[str, ImageReport] = {}

    def heartbeat(self, beat: Heartbeat) -> None:
        self.counters.update(beat.counters)
        self.pools = beat.pools
        for image in beat.images:
            self.images[image.global_id] = image
        for global_id in beat.removed:
            self.images.pop(global_id, None)


def health_items(pools: Iterable[PoolReport], images: Iterable[ImageReport],
                 now: float) -> List[HealthItem]:
    """Given what all workers reported, and the time, return what is wrong, in order.

    What several workers say of one pool is told once.
    """
    items = []
    for pool in _whole(pools):
        if pool.foreign_leader:
            items.append(HealthItem(FOREIGN_DAEMON, pool.name, (
                "pool '%s': the rbd-mirror daemon %s holds its leader lock, so the workers stand "
                'by; stop one of the two: the daemon on its host, or the workers by '
                'ceph config set mgr mgr/mirror_mgr/workers 0' % (pool.name, pool.foreign_leader))))
        if pool.peer_error:
            items.append(HealthItem(PEER_UNREACHABLE, pool.name, (
                "pool '%s': nothing is replayed: %s; how the peer is reached is in: "
                'ceph rbd-mirror pool info %s --all'
                % (pool.name, pool.peer_error, pool.name))))
    for image in images:
        if image.state == states.SPLIT_BRAIN:
            items.append(HealthItem(SPLIT_BRAIN, image.spec, (
                "image '%s' is in split-brain: each site has changes that the other lacks; see "
                'what they are and how to get out: ceph rbd-mirror image status %s'
                % (image.spec, image.spec))))
        elif image.state == states.ERROR and now - image.since > ERROR_SECONDS:
            items.append(HealthItem(IMAGE_ERROR, image.spec, (
                "image '%s' is in error: %s; it is tried again, how that goes is in: "
                'ceph rbd-mirror image status %s' % (image.spec, image.reason, image.spec))))
    by_subject = {(item.code, item.subject): item for item in items}
    return [by_subject[key] for key in sorted(by_subject)]


def trouble(pools: Iterable[PoolReport]) -> Dict[str, str]:
    """Given what all workers reported, return why pools are not replayed, by their names."""
    found = {}
    for pool in _whole(pools):
        if pool.foreign_leader:
            found[pool.name] = 'the rbd-mirror daemon %s has the pool' % pool.foreign_leader
        elif pool.peer_error:
            found[pool.name] = pool.peer_error
    return found


def _whole(pools: Iterable[PoolReport]) -> List[PoolReport]:
    """Peers and leaders are those of a whole pool, whatever namespaces it has."""
    return [pool for pool in pools if '/' not in pool.name]
