from mirror_mgr.health import DETAILS, checks
from mirror_mgr.schedule.state import (
    DAMAGED_SCHEDULE,
    NO_SCHEDULE,
    SCHEDULER_LATE,
    SNAPSHOTS_FAILING,
    TWO_SCHEDULES,
)
from mirror_mgr.supervisor.model import (
    FOREIGN_DAEMON,
    IMAGE_ERROR,
    PEER_UNREACHABLE,
    SPLIT_BRAIN,
    WORKER_FAILING,
    HealthItem,
)


def test_all_is_well() -> None:
    assert checks([]) == {}


def test_one() -> None:
    assert checks([HealthItem(SPLIT_BRAIN, "p/x", "image 'p/x': both sites wrote")]) == {
        "MIRROR_MGR_SPLIT_BRAIN": {
            "severity": "error",
            "summary": "1 mirrored image is in split-brain",
            "count": 1,
            "detail": ["image 'p/x': both sites wrote"],
        }}


def test_names_can_not_add_lines() -> None:
    [check] = checks([HealthItem(SPLIT_BRAIN, "p/x", "image 'a\nb\udcff'")]).values()
    assert check["detail"] == ["image 'a\\nb\\udcff'"]


def test_every_code_is_known() -> None:
    found = checks(HealthItem(code, "s", "t") for code in (
        WORKER_FAILING, PEER_UNREACHABLE, SPLIT_BRAIN, IMAGE_ERROR, FOREIGN_DAEMON,
        SCHEDULER_LATE, SNAPSHOTS_FAILING, NO_SCHEDULE, TWO_SCHEDULES, DAMAGED_SCHEDULE))
    assert sorted(found) == [
        "MIRROR_MGR_DAMAGED_SCHEDULE", "MIRROR_MGR_FOREIGN_DAEMON", "MIRROR_MGR_IMAGE_ERROR",
        "MIRROR_MGR_NO_SCHEDULE", "MIRROR_MGR_PEER_UNREACHABLE", "MIRROR_MGR_SCHEDULE_LATE",
        "MIRROR_MGR_SNAPSHOTS_FAILING", "MIRROR_MGR_SPLIT_BRAIN", "MIRROR_MGR_TWO_SCHEDULES",
        "MIRROR_MGR_WORKER_FAILING"]
    assert {check["severity"] for check in found.values()} == {"error", "warning"}


def test_details_are_bounded() -> None:
    count = DETAILS + 7
    found = checks(HealthItem(PEER_UNREACHABLE, f"p{n}", f"t{n}") for n in range(count))
    check = found["MIRROR_MGR_PEER_UNREACHABLE"]
    assert check["summary"] == f"{count} pools can't reach their peer sites"
    assert check["count"] == count
    assert len(check["detail"]) == DETAILS + 1
    assert check["detail"][-1] == "and 7 more"
