"""What ``ceph health`` says about mirroring; pure."""

from typing import Any, Dict, Iterable, List, Tuple

from .model import HealthItem
from .oneline import one_line
from .schedule.state import (
    DAMAGED_SCHEDULE,
    NO_SCHEDULE,
    SCHEDULER_LATE,
    SNAPSHOTS_FAILING,
    TWO_SCHEDULES,
)
from .supervisor.model import (
    COPIES_HELD,
    COPIES_REMOVED,
    FOREIGN_DAEMON,
    IMAGE_ERROR,
    PEER_UNREACHABLE,
    SPLIT_BRAIN,
    WORKER_FAILING,
)

DETAILS = 50

# By code of the supervisor and of the scheduler: our code, severity, summary for one and for more.
_CHECKS = {
    WORKER_FAILING: ("MIRROR_MGR_WORKER_FAILING", "error",
                     "1 mirroring worker keeps failing", "{} mirroring workers keep failing"),
    PEER_UNREACHABLE: ("MIRROR_MGR_PEER_UNREACHABLE", "warning",
                       "1 pool can't reach its peer site", "{} pools can't reach their peer sites"),
    SPLIT_BRAIN: ("MIRROR_MGR_SPLIT_BRAIN", "error",
                  "1 mirrored image is in split-brain", "{} mirrored images are in split-brain"),
    IMAGE_ERROR: ("MIRROR_MGR_IMAGE_ERROR", "warning",
                  "1 mirrored image can't be replayed", "{} mirrored images can't be replayed"),
    COPIES_HELD: ("MIRROR_MGR_COPIES_HELD", "warning",
                  "in 1 pool many primaries disappeared at once: their copies are kept",
                  "in {} pools many primaries disappeared at once: their copies are kept"),
    COPIES_REMOVED: ("MIRROR_MGR_COPIES_REMOVED", "warning",
                     "in 1 pool copies whose primary is gone are in the trash",
                     "in {} pools copies whose primary is gone are in the trash"),
    FOREIGN_DAEMON: ("MIRROR_MGR_FOREIGN_DAEMON", "warning",
                     "1 pool is held by an rbd-mirror daemon",
                     "{} pools are held by rbd-mirror daemons"),
    SCHEDULER_LATE: ("MIRROR_MGR_SCHEDULE_LATE", "warning",
                     "the snapshot schedules are late", "the snapshot schedules are late"),
    SNAPSHOTS_FAILING: ("MIRROR_MGR_SNAPSHOTS_FAILING", "warning",
                        "mirror snapshots of 1 image keep failing",
                        "mirror snapshots of {} images keep failing"),
    NO_SCHEDULE: ("MIRROR_MGR_NO_SCHEDULE", "warning",
                  "1 mirrored image has no snapshot schedule",
                  "{} mirrored images have no snapshot schedule"),
    TWO_SCHEDULES: ("MIRROR_MGR_TWO_SCHEDULES", "warning",
                    "1 image is also scheduled by rbd_support",
                    "{} images are also scheduled by rbd_support"),
    DAMAGED_SCHEDULE: ("MIRROR_MGR_DAMAGED_SCHEDULE", "warning",
                       "1 stored snapshot schedule can't be read",
                       "{} stored snapshot schedules can't be read"),
}


def checks(items: Iterable[HealthItem]) -> Dict[str, Dict[str, Any]]:
    """Given all that is wrong, return what MgrModule.set_health_checks takes.

    `count` is how many things are wrong; `detail` names the first `DETAILS` of them.
    """
    by_code: Dict[str, List[HealthItem]] = {}
    for item in items:
        by_code.setdefault(item.code, []).append(item)
    return dict(_check(code, wrong) for code, wrong in by_code.items())


def _check(code: str, wrong: List[HealthItem]) -> Tuple[str, Dict[str, Any]]:
    name, severity, one, more = _CHECKS[code]
    detail = [one_line(item.text) for item in wrong[:DETAILS]]
    if len(wrong) > DETAILS:
        detail.append(f"and {len(wrong) - DETAILS} more")
    return name, {
        "severity": severity,
        "summary": one if len(wrong) == 1 else more.format(len(wrong)),
        "count": len(wrong),
        "detail": detail,
    }
