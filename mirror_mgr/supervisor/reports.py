"""What the workers have reported, put together.  Pure."""

import time
from typing import Dict, Iterable, List, Sequence, Tuple

from .. import states
from ..worker.protocol import COUNTERS, Heartbeat, ImageReport, PoolReport, RemovedReport
from .model import (
    COPIES_HELD,
    COPIES_REMOVED,
    FOREIGN_DAEMON,
    IMAGE_ERROR,
    PEER_UNREACHABLE,
    SPLIT_BRAIN,
    HealthItem,
)

_SHOWN = 5
MOST_IMAGES = 100_000   # of one worker
ERROR_SECONDS = 30.0  # an attempt that fails once is no news


class Reports:
    """The latest of each counter, pool and image of one worker process.

    :ivar dropped: how many images could not be kept, beyond `MOST_IMAGES`
    """

    def __init__(self) -> None:
        self.counters: Dict[str, int] = {}
        self.pools: Tuple[PoolReport, ...] = ()
        self.images: Dict[str, ImageReport] = {}
        self.dropped = 0

    def heartbeat(self, beat: Heartbeat) -> None:
        for name, value in beat.counters.items():
            if name in self.counters or len(self.counters) < COUNTERS:
                self.counters[name] = value
        self.pools = beat.pools
        for image in beat.images:
            if image.global_id in self.images or len(self.images) < MOST_IMAGES:
                self.images[image.global_id] = image
            else:
                self.dropped += 1
        for global_id in beat.removed:
            self.images.pop(global_id, None)


def health_items(pools: Sequence[PoolReport], images: Iterable[ImageReport],
                 now: float) -> List[HealthItem]:
    """Given what all workers reported, and the time, return what is wrong, in order.

    What several workers say of one pool is told once.
    """
    items = []
    of_whole = {(pool.id, pool.peer_error) for pool in pools if _is_whole(pool)}
    for pool in pools:
        if pool.foreign_leader and _is_whole(pool):
            items.append(HealthItem(FOREIGN_DAEMON, pool.name, (
                "pool '%s': the rbd-mirror daemon %s holds its leader lock, so the workers stand "
                'by; stop one of the two: the daemon on its host, or the workers by '
                'ceph config set mgr mgr/mirror_mgr/workers 0' % (pool.name, pool.foreign_leader))))
        if pool.peer_error and (
                _is_whole(pool) or (pool.id, pool.peer_error) not in of_whole):
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
    items += removals(pools)
    by_subject = {(item.code, item.subject): item for item in items}
    return [by_subject[key] for key in sorted(by_subject)]


def removals(pools: Sequence[PoolReport]) -> List[HealthItem]:
    """What is said of copies whose primary is gone, for all workers' reports of a pool."""
    by_name: Dict[str, List[PoolReport]] = {}
    for pool in pools:
        by_name.setdefault(pool.name, []).append(pool)
    items = []
    for name, reports in by_name.items():
        held = sum(report.held_total for report in reports)
        removed = sum(report.removed_total for report in reports) - held
        named = [one for report in reports for one in report.removed]
        if held:
            items.append(HealthItem(COPIES_HELD, name, (
                "pool '%s': the primaries of %d copies disappeared at once, so the copies are "
                'kept: %s; if that was meant, run: ceph rbd-mirror pool confirm-removal %s; to use '
                'one here, run: ceph rbd-mirror image disable %s/IMAGE --force, and then: '
                'ceph rbd-mirror image restore %s/IMAGE'
                % (name, held, _named(named, True, held), name, name, name))))
        if removed:
            items.append(HealthItem(COPIES_REMOVED, name, (
                "pool '%s': the trash has %d copies whose primary was removed or is no longer "
                'mirrored: %s; to bring one back to use, run: ceph rbd-mirror image restore %s/ID'
                % (name, removed, _named(named, False, removed), name))))
    return items


def _named(removed: Iterable[RemovedReport], held: bool, total: int) -> str:
    chosen = sorted((one for one in removed if one.held == held), key=lambda one: one.until)
    shown = ['%s (id %s, until %s)' % (one.name, one.id, _utc(one.until))
             for one in chosen[:_SHOWN]]
    more = total - len(shown)
    return ', '.join(shown) + (' and %d more' % more if more else '')


def _utc(seconds: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(max(0.0, min(seconds, 1e11))))


def trouble(pools: Iterable[PoolReport]) -> Dict[str, str]:
    """Given what all workers reported, return why pools and namespaces are not replayed."""
    found = {}
    for pool in pools:
        if pool.foreign_leader and _is_whole(pool):
            found[pool.name] = 'the rbd-mirror daemon %s has the pool' % pool.foreign_leader
        elif pool.peer_error:
            found[pool.name] = pool.peer_error
    return found


def _is_whole(pool: PoolReport) -> bool:
    """Leaders are those of a whole pool, whatever namespaces it has."""
    return '/' not in pool.name
