"""The supervisor in a real manager: workers that appear, are killed, and never outlive it."""

import json
import os
import signal
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List

import pytest

from qa.processes import arguments, wait_gone
from qa.sites import Site
from qa.waiting import PATIENCE, wait_for

ZERO, ONE = "mirror-mgr.0", "mirror-mgr.1"


def workers(site: Site) -> List[Dict[str, Any]]:
    """Return the workers, or none while the manager does not answer."""
    result = site.run("ceph", "rbd-mirror", "worker", "ls", "--format", "json")
    return json.loads(result.stdout) if result.returncode == 0 else []


def running(site: Site, worker_id: str = ZERO, other_than: int = 0) -> Dict[str, Any]:
    """Wait until the worker runs, as another process than the given one."""

    def found() -> Any:
        return [
            worker
            for worker in workers(site)
            if worker["id"] == worker_id
            and worker["state"] == "running"
            and worker["pid"] != other_than
        ]

    return wait_for(found, describe=lambda: str(workers(site)))[0]


@contextmanager
def option(site: Site, name: str, value: str, back: str) -> Iterator[None]:
    """Set a module option for a while; a running manager 16 does not notice `config rm`."""
    key = "mgr/mirror_mgr/" + name
    site.ceph("config", "set", "mgr", key, value)
    try:
        yield
    finally:
        site.ceph("config", "set", "mgr", key, back)
        site.ceph("config", "rm", "mgr", key)


def stored_addresses(site: Site) -> List[str]:
    """Return what the next manager will know of the worker, newest first."""
    stored = json.loads(site.ceph("config-key", "get", "mgr/mirror_mgr/workers"))
    return stored[ZERO]["addresses"]


def health(site: Site) -> Dict[str, Any]:
    return site.ceph_json("health", "detail")["checks"]


@pytest.fixture
def site(site_b: Site) -> Iterator[Site]:
    """The secondary site with one worker, before and after."""
    running(site_b)
    yield site_b
    site_b.wait_ready()
    running(site_b)


def test_a_worker_is_in_the_service_map_with_the_least_rights(site: Site) -> None:
    worker = running(site)
    assert worker["entity"] == "client.rbd-mirror." + ZERO

    def registered() -> Any:
        daemons = site.ceph_json("service", "dump")["services"].get("rbd-mirror", {})
        return worker["instance_id"] in daemons.get("daemons", {})

    wait_for(registered, describe=lambda: site.ceph("service", "dump"))
    assert "rbd-mirror: 1 daemon active" in site.ceph("-s")
    [user] = site.ceph_json("auth", "get", worker["entity"])
    assert user["caps"] == {"mon": "profile rbd-mirror", "osd": "profile rbd"}
    assert worker["rss_bytes"] > 0


def test_no_key_is_where_others_can_read_it(site: Site) -> None:
    worker = running(site)
    [user] = site.ceph_json("auth", "get", worker["entity"])
    with open("/proc/%d/environ" % worker["pid"]) as environ:
        assert user["key"] not in environ.read()
    assert "mirror_mgr.worker" in arguments(worker["pid"])
    assert not [word for word in arguments(worker["pid"]) if user["key"] in word]
    assert user["key"] not in site.ceph("rbd-mirror", "worker", "status")
    for log in (site.directory / "log").iterdir():
        assert user["key"] not in log.read_text(errors="replace"), log


def test_a_killed_worker_is_started_again(site: Site) -> None:
    before = running(site)
    os.kill(before["pid"], signal.SIGKILL)
    after = running(site, other_than=before["pid"])
    assert after["restarts"] == before["restarts"] + 1
    assert after["last_error"] == "ended by signal 9"
    assert after["address"] != before["address"]


def test_a_fenced_worker_comes_back_at_once(site: Site) -> None:
    before = running(site)
    site.ceph("osd", "blocklist", "add", before["address"])
    after = running(site, other_than=before["pid"])
    assert after["address"] != before["address"]
    assert "blocklisted" in after["last_error"]


def test_restart(site: Site) -> None:
    before = running(site)
    assert ZERO in site.ceph("rbd-mirror", "worker", "restart", ZERO)
    after = running(site, other_than=before["pid"])
    assert after["last_error"] == ""
    assert site.run("ceph", "rbd-mirror", "worker", "restart", "nobody").returncode == 2


def test_a_worker_that_hangs_is_replaced(site: Site) -> None:
    before = running(site)
    os.kill(before["pid"], signal.SIGSTOP)
    after = running(site, other_than=before["pid"])
    assert after["last_error"].startswith("hung")


def test_more_workers_and_fewer(site: Site) -> None:
    with option(site, "workers", "2", back="1"):
        second = running(site, ONE)
        assert second["entity"] in site.ceph("auth", "ls")
    wait_for(lambda: [worker["id"] for worker in workers(site)] == [ZERO])
    assert wait_gone([second["pid"]], PATIENCE) == []
    wait_for(lambda: site.run("ceph", "auth", "get", second["entity"]).returncode == 2)


def test_images_move_with_the_number_of_workers(
    site: Site, site_a: Site, pool: str
) -> None:
    names = ["image%d" % number for number in range(12)]
    for name in names:
        site_a.rbd("create", "--size", "1M", "%s/%s" % (pool, name))
        site_a.ceph("rbd-mirror", "image", "enable", "%s/%s" % (pool, name), "snapshot")
    troubles = set()

    def shares() -> List[int]:
        status = site.rbd_json("mirror", "pool", "status", pool, "--verbose")
        troubles.update(
            image["description"] for image in status["images"] if "error" in image["state"])
        return [worker["images"] for worker in workers(site) if worker["state"] == "running"]

    def spread(count: int) -> None:
        wait_for(lambda: len(shares()) == count and all(shares()) and sum(shares()) == 12,
                 describe=lambda: str(workers(site)))

    spread(1)
    with option(site, "workers", "3", back="1"):
        spread(3)
        daemons = site.rbd_json("mirror", "pool", "status", pool, "--verbose")["daemons"]
        assert sorted(daemon["leader"] for daemon in daemons)[-2:] == [False, True]
    spread(1)
    assert not troubles


def test_a_worker_that_keeps_failing_is_a_health_error(site: Site) -> None:
    with option(site, "worker_python", "/bin/false", back=""):
        os.kill(running(site)["pid"], signal.SIGKILL)
        check = wait_for(lambda: health(site).get("MIRROR_MGR_WORKER_FAILING"))
        assert ZERO in check["detail"][0]["message"]
    site.ceph("rbd-mirror", "worker", "restart")
    running(site)
    wait_for(lambda: "MIRROR_MGR_WORKER_FAILING" not in health(site))


def test_a_killed_manager_leaves_no_worker(site: Site) -> None:
    before = running(site)
    wait_for(lambda: before["address"] == stored_addresses(site)[0])
    site.kill_mgr()
    assert wait_gone([before["pid"]], PATIENCE) == []
    site.start_mgr()
    site.wait_ready()
    after = running(site, other_than=before["pid"])
    wait_for(lambda: [after["address"], before["address"]] == stored_addresses(site)[:2])


def test_a_manager_that_stops_leaves_no_worker(site: Site) -> None:
    before = running(site)
    site.stop_mgr()
    assert wait_gone([before["pid"]], PATIENCE) == []
    site.start_mgr()


def test_a_module_that_is_disabled_leaves_no_worker(site: Site) -> None:
    before = running(site)
    site.ceph("mgr", "module", "disable", "mirror_mgr")
    assert wait_gone([before["pid"]], PATIENCE) == []
    site.ceph("mgr", "module", "enable", "mirror_mgr", "--force")
