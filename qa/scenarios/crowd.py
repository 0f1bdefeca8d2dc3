"""Many small images."""

import time
from concurrent.futures import ThreadPoolExecutor

from qa.scenarios.stage import Stage
from qa.waiting import wait_for


def play(stage: Stage, images: int = 300, rounds: int = 2) -> None:
    """Mirror them all, change them all, fail over the pool as a whole."""
    names = [f"small{number}" for number in range(images)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda name: stage.create(stage.site_a, name, 4), names))
        _wait_copied(stage, images)
        for _ in range(rounds):
            list(pool.map(lambda name: _change(stage, name), names))
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


def _change(stage: Stage, name: str) -> None:
    stage.write(stage.site_a, name, 2)
    stage.snapshot(stage.site_a, name)


def _wait_copied(stage: Stage, images: int) -> None:
    def copied() -> bool:
        status = stage.site_b.ceph_json("rbd-mirror", "pool", "status", stage.pool)
        return bool(status["summary"]["states"] == {"replaying": images})

    wait_for(copied, lambda: stage.site_b.ceph("rbd-mirror", "pool", "status", stage.pool), 600)
