"""Thousands of schedules, taken over from rbd_support, and a manager lost while all are due."""

import json
import time
from typing import Callable, Dict, List, TypeVar

from rados import Ioctx, WriteOpCtx

from mirror_mgr.schedule import rbd_support
from qa.many import fill, image_ids, snapshot_times
from qa.mirrored import no_workers
from qa.scenarios.stage import Stage
from qa.waiting import wait_for

SCHEDULE = ("rbd-mirror", "snapshot", "schedule")
MINUTE = 60
AHEAD = 240          # rbd_support has forgotten by then what was taken over
LOST_AFTER = 2.0     # seconds from when they are due until the manager is lost
SECONDS = 900.0

T = TypeVar("T")


def play(stage: Stage, images: int = 10_000) -> None:
    """An image each; nobody copies them."""
    site = stage.site_a
    cluster = site.rados()
    with no_workers(stage.lab), site.standby_mgr(), cluster.open_ioctx(stage.pool) as ioctx:
        _timed(stage, f"{images} images were made", lambda: fill(ioctx, images))
        ids = image_ids(ioctx)
        due = (int(time.time()) // MINUTE + 1) * MINUTE + AHEAD
        _schedule(ioctx, ids, due)
        _timed(stage, "their schedules were adopted from rbd_support", lambda: _adopt(stage))
        rows = _timed(stage, "schedule ls", lambda: site.ceph_json(
            *SCHEDULE, "ls", "--pool", stage.pool, "--recursive"))
        assert [row["owner"] for row in rows] == ["mirror_mgr"] * images
        _timed(stage, "schedule status", lambda: _status(stage))
        before = {image_id: len(snapshot_times(ioctx, image_id)) for image_id in ids}
        _lose_manager(stage, due)
        _check(stage, ioctx, before, due)
    cluster.shutdown()


def _schedule(ioctx: Ioctx, ids: List[str], due: int) -> None:
    """As `rbd mirror snapshot schedule add` stores it."""
    start = time.strftime("%H:%M:00", time.gmtime(due))
    entry = json.dumps([{"interval": "1d", "start_time": f"{start}+00:00"}]).encode()
    keys = tuple(f"{ioctx.get_pool_id()}//{image_id}" for image_id in ids)
    with WriteOpCtx() as op:
        ioctx.set_omap(op, keys, (entry,) * len(keys))
        ioctx.operate_write_op(op, rbd_support.OBJECT)


def _adopt(stage: Stage) -> None:
    stage.site_a.ceph(*SCHEDULE, "adopt", "--pool", stage.pool)


def _status(stage: Stage) -> Dict[str, Dict[str, object]]:
    """By image; none while no manager answers."""
    done = stage.site_a.run("ceph", *SCHEDULE, "status", "--pool", stage.pool, "--format", "json")
    return {view["image"]: view for view in (
        json.loads(done.stdout) if done.returncode == 0 else [])}


def _lose_manager(stage: Stage, due: int) -> None:
    assert time.time() < due, "this machine is too slow for so many"
    wait_for(lambda: time.time() > due + LOST_AFTER, seconds=SECONDS)
    _timed(stage, "another manager took over", stage.site_a.fail_over_mgr)


def _check(stage: Stage, ioctx: Ioctx, before: Dict[str, int], due: int) -> None:
    """Each has one more snapshot, and it was counted."""
    def done() -> int:
        return sum(view["done"] == 1 for view in _status(stage).values())

    wait_for(lambda: done() == len(before), lambda: f"{done()} of {len(before)}", SECONDS, 2.0)
    views = _status(stage).values()
    assert {(view["failed"], view["skipped"]) for view in views} == {(0, 0)}
    times = {image_id: snapshot_times(ioctx, image_id) for image_id in before}
    wrong = {image_id: found for image_id, found in times.items()
             if len(found) != before[image_id] + 1}
    assert not wrong, wrong
    late = sorted(found[-1] - due for found in times.values())
    stage.say(f"each image has one snapshot: the first {late[0]:.1f} s, the median "
              f"{late[len(late) // 2]:.1f} s, the last {late[-1]:.1f} s after it was due")


def _timed(stage: Stage, what: str, part: Callable[[], T]) -> T:
    start = time.monotonic()
    found = part()
    stage.say(f"{what}: {time.monotonic() - start:.1f} s")
    return found
