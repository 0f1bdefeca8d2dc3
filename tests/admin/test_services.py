import json
from typing import Any, Dict

import pytest

from mirror_mgr.admin.services import services
from mirror_mgr.errors import MalformedData
from mirror_mgr.model import Health

# As an rbd-mirror daemon of 16.2.15 registers and reports.
METADATA = {"4290": {"id": "b", "hostname": "vm", "ceph_version_short": "16.2.15"}}


def report(**pool: Any) -> Dict[str, Dict[str, str]]:
    status = {"name": "p", "callouts": {}, "image_local_count": 2, "image_remote_count": 2,
              "instance_id": "4292", "leader": True, **pool}
    return {"4290": {"json": json.dumps({"2": status})}}


def test_a_healthy_leader() -> None:
    found = services(METADATA, report(), 2)
    [daemon] = found.daemons
    assert found.health == Health.OK
    assert (daemon.service_id, daemon.instance_id, daemon.client_id) == ("4290", "4292", "b")
    assert (daemon.hostname, daemon.ceph_version, daemon.leader) == ("vm", "16.2.15", True)
    assert daemon.description == "b on vm"
    assert found.by_instance("4292") == daemon
    assert found.by_instance("1") is None
    assert found.by_instance(None) is None


def test_nobody_runs() -> None:
    assert services({}, {}, 2).health == Health.UNKNOWN


def test_nobody_reports() -> None:
    found = services(METADATA, {}, 2)
    assert found.health == Health.UNKNOWN
    assert found.daemons[0].health == Health.UNKNOWN


def test_no_report_of_this_pool() -> None:
    found = services(METADATA, report(), 3)
    assert found.health == Health.ERROR
    assert found.daemons[0].callouts == ("not reporting status for pool",)


def test_a_report_without_a_status() -> None:
    found = services(METADATA, {"4290": {"other": "x"}}, 2)
    assert found.daemons[0].health == Health.WARNING
    assert found.daemons[0].callouts == ("not reporting status",)


def test_no_leader() -> None:
    assert services(METADATA, report(leader=False), 2).health == Health.WARNING


@pytest.mark.parametrize("levels, health", [
    (["info"], Health.OK), (["warning"], Health.WARNING), (["warning", "error"], Health.ERROR)])
def test_callouts(levels: Any, health: Health) -> None:
    callouts = {str(n): {"level": level, "text": f"t{n}"} for n, level in enumerate(levels)}
    found = services(METADATA, report(callouts=callouts), 2)
    assert found.daemons[0].health == found.health == health
    assert found.daemons[0].callouts == tuple(f"t{n}" for n in range(len(levels)))


def test_daemons_come_in_the_order_of_their_ids_as_text() -> None:
    found = services({"9": {}, "10": {}}, {}, 2)
    assert [daemon.service_id for daemon in found.daemons] == ["10", "9"]
    assert found.daemons[0].description == "10"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"2": 7}', '{"2": {"callouts": [1]}}'])
def test_a_malformed_report(text: str) -> None:
    with pytest.raises(MalformedData):
        services(METADATA, {"4290": {"json": text}}, 2)
