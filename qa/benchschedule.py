"""Snapshot schedules: ours and those of Ceph's own module rbd_support, one after the other."""

import time
from typing import Dict, List

from rados import Ioctx

from mirror_mgr.schedule.agenda import Agenda
from mirror_mgr.schedule.levels import ImageKey
from mirror_mgr.schedule.rules import Rule
from qa.many import fill, image_ids, snapshot_times
from qa.mirrored import add_pool
from qa.sites import Lab, Site
from qa.waiting import wait_for

SECONDS = 300.0
MINUTE = 60
OWNERS = {
    "rbd_support": ("rbd", "mirror", "snapshot", "schedule"),
    "ours": ("ceph", "rbd-mirror", "snapshot", "schedule"),
}


def measure(lab: Lab, images: int) -> Dict[str, Dict[str, float]]:
    """Schedule a pool of images for every minute, by each of the two; return the seconds from a
    minute to the first, the median and the last snapshot.

    The lab has mirror_mgr, told to run no workers.
    """
    found = {}
    for owner, words in OWNERS.items():
        print(f"{owner}: {images} images every minute", flush=True)
        found[owner] = _minute(lab, f"schedule-{owner}", list(words), images)
    return found


def decide(images: int) -> float:
    """Return the CPU seconds that the decision takes in the worst of two minutes of ticks."""
    agenda, rules, start = Agenda(), (Rule(MINUTE),), 1_700_000_040
    for number in range(images):
        agenda.put(ImageKey(1, "", f"{number:x}"), rules, start, start)
    slowest = 0.0
    for second in range(2 * MINUTE + 1):
        before = time.process_time()
        agenda.take(start + second)
        slowest = max(slowest, time.process_time() - before)
    return slowest


def _minute(lab: Lab, pool: str, words: List[str], images: int) -> Dict[str, float]:
    site = add_pool(lab, pool).primary
    cluster = site.rados()
    ioctx = cluster.open_ioctx(pool)
    try:
        fill(ioctx, images)
        _run(site, [*words, "add", "1m", "--pool", pool])
        wait_for(lambda: _status(site, words, pool).count(f"{pool}/image") == images,
                 seconds=SECONDS)
        return _watch(ioctx, images)
    finally:
        _run(site, [*words, "remove", "--pool", pool])
        ioctx.close()
        cluster.shutdown()


def _watch(ioctx: Ioctx, images: int) -> Dict[str, float]:
    minute = (int(time.time()) // MINUTE + 1) * MINUTE
    if minute - time.time() < 10:
        minute += MINUTE  # for those that have just become known
    wait_for(lambda: time.time() > minute, seconds=SECONDS)
    missing, seconds = set(image_ids(ioctx)), []

    def all_taken() -> bool:
        for image_id in list(missing):
            times = [at - minute for at in snapshot_times(ioctx, image_id) if at >= minute]
            if times:
                missing.discard(image_id)
                seconds.append(min(times))
        return not missing

    wait_for(all_taken, seconds=SECONDS, interval=1.0)
    seconds.sort()
    return {"first": seconds[0], "median": seconds[images // 2], "last": seconds[-1]}


def _status(site: Site, words: List[str], pool: str) -> str:
    return site.run(*words, "status", "--pool", pool).stdout


def _run(site: Site, words: List[str]) -> None:
    done = site.run(*words)
    assert not done.returncode, done
