"""What the workers have reported, put together.  Pure."""

import dataclasses
from typing import Dict, Iterable, List, Tuple

from ..worker.protocol import (
    CODE_SPLIT_BRAIN,
    STATE_SYNCING,
    Heartbeat,
    ImageReport,
    PoolReport,
    Progress,
)
from .model import FOREIGN_DAEMON, PEER_UNREACHABLE, SPLIT_BRAIN, HealthItem


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

    def progress(self, progress: Progress) -> None:
        image = self.images.get(progress.global_id)
        if image and image.state == STATE_SYNCING and progress.bytes_total > 0:
            percent = 100.0 * progress.bytes_done / progress.bytes_total
            self.images[progress.global_id] = dataclasses.replace(image, percent=percent)


def health_items(pools: Iterable[PoolReport], images: Iterable[ImageReport]) -> List[HealthItem]:
    """Given what all workers reported, return what is wrong, in order."""
    items = []
    for pool in pools:
        if pool.foreign_leader:
            items.append(HealthItem(FOREIGN_DAEMON, pool.name, (
                "pool '%s': %s holds its leader lock, so the worker stands by; stop one of the two"
                % (pool.name, pool.foreign_leader))))
        if pool.peer_error:
            items.append(HealthItem(PEER_UNREACHABLE, pool.name, (
                "pool '%s': the peer cannot be reached: %s" % (pool.name, pool.peer_error))))
    for image in images:
        if image.code == CODE_SPLIT_BRAIN:
            items.append(HealthItem(SPLIT_BRAIN, image.spec, (
                "image '%s': both sites wrote; demote the side to give up and resync it: "
                'ceph rbd-mirror image resync %s' % (image.spec, image.spec))))
    return sorted(items, key=lambda item: (item.code, item.subject))
