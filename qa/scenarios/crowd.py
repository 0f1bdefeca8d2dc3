"""Many small images."""

import time
from concurrent.futures import ThreadPoolExecutor

import rbd

from qa.many import fill
from qa.scenarios.stage import Stage
from qa.waiting import wait_for

SCHEDULE = ("snapshot", "schedule")


def play(stage: Stage, images: int = 300, rounds: int = 2) -> None:
    """Mirror them all, change them all, fail over the pool as a whole."""
    cluster = stage.site_a.rados()
    with cluster.open_ioctx(stage.pool) as ioctx:
        fill(ioctx, images)
        names = rbd.RBD().list(ioctx)
    cluster.shutdown()
    _wait_copied(stage, images)
    stage.command(stage.site_a, *SCHEDULE, "add", "1d", "--pool", stage.pool)
    for _ in range(rounds):
        with ThreadPoolExecutor(10) as threads:
            list(threads.map(lambda name: stage.write(stage.site_a, name, 2), names))
        stage.command(stage.site_a, *SCHEDULE, "run", "--pool", stage.pool)
    start = time.monotonic()
    for name in names:
        stage.wait_equal(stage.site_a, stage.site_b, name)
    stage.say(f"{images} images are equal {time.monotonic() - start:.1f} s after their last "
              "snapshot, comparing included")
    start = time.monotonic()
    stage.fail_over(stage.site_a, stage.site_b)
    stage.say(f"the pool failed over in {time.monotonic() - start:.1f} s")
    for name in names:
        assert stage.is_primary(stage.site_b, name), name
        assert stage.digest(stage.site_a, name) == stage.digest(stage.site_b, name), name
    stage.say("all are primary there, and equal")


def _wait_copied(stage: Stage, images: int) -> None:
    def copied() -> bool:
        status = stage.site_b.ceph_json("rbd-mirror", "pool", "status", stage.pool)
        return bool(status["summary"]["states"] == {"replaying": images})

    wait_for(copied, lambda: stage.site_b.ceph("rbd-mirror", "pool", "status", stage.pool), 600)
