"""The module under the installed mgr_module, over a manager that is not there."""

import errno
import json
import logging
import threading
from typing import Any, Callable, Dict, List, Optional

import pytest

mgr_module = pytest.importorskip("mgr_module", reason="needs ceph-mgr-modules-core")

from mirror_mgr import compat, module  # noqa: E402
from mirror_mgr.commands import registry as commands_registry  # noqa: E402
from mirror_mgr.schedule import host as schedule_host  # noqa: E402
from mirror_mgr.schedule.state import NO_SCHEDULE  # noqa: E402
from mirror_mgr.supervisor import host as supervisor_host  # noqa: E402
from mirror_mgr.supervisor.model import SPLIT_BRAIN, HealthItem  # noqa: E402
from mirror_mgr.worker.protocol import ImageReport, SyncReport  # noqa: E402

MON_MAP = {"fsid": "f", "mons": [
    {"public_addrs": {"addrvec": [{"type": "v2", "addr": "1.2.3.4:3300", "nonce": 0},
                                  {"type": "v1", "addr": "1.2.3.4:6789", "nonce": 0}]}},
    {"public_addrs": {"addrvec": [{"type": "v2", "addr": "1.2.3.5:3300", "nonce": 0}]}}]}
OSD_MAP = {"pools": [
    {"pool": 1, "pool_name": "rbd", "application_metadata": {"rbd": {}}},
    {"pool": 2, "pool_name": ".mgr", "application_metadata": {"mgr_devicehealth": {}}},
    {"pool": 3, "pool_name": "bare", "application_metadata": {}}]}
SERVICE_MAP = {"services": {"rbd-mirror": {"daemons": {
    "summary": "", "4290": {"metadata": {"id": "b", "hostname": "vm"}}}}}}


LOGGER = logging.getLogger("manager")


class FakeSupervisor:
    def __init__(self) -> None:
        self.calls: List[str] = []
        self.ticked = threading.Event()
        self.items: List[HealthItem] = []
        self.reports: List[ImageReport] = []

    def start(self) -> None:
        self.calls.append("start")

    def tick(self) -> str:
        self.calls.append("tick")
        self.ticked.set()
        return "nothing to do"

    def stop(self) -> None:
        self.calls.append("stop")

    def health(self) -> List[HealthItem]:
        return self.items

    def images(self) -> List[ImageReport]:
        return self.reports

    def workers(self) -> List[Any]:
        return []

    def restart(self, worker_id: Optional[str] = None) -> List[str]:
        return [worker_id or "all"]


class FakeScheduler:
    def __init__(self) -> None:
        self.calls: List[str] = []
        self.items: List[HealthItem] = []

    def start(self) -> None:
        self.calls.append("start")

    def tick(self) -> None:
        pass

    def refresh(self) -> None:
        pass

    def stop(self) -> None:
        self.calls.append("stop")

    def health(self) -> List[HealthItem]:
        return self.items


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> module.Module:
    options: Dict[str, Any] = {option["name"]: option["default"]
                               for option in module.Module.MODULE_OPTIONS}
    maps = {"mon_map": MON_MAP, "osd_map": OSD_MAP, "service_map": SERVICE_MAP}

    def fake(name: str, function: Callable[..., Any]) -> None:
        monkeypatch.setattr(mgr_module.MgrModule, name, function, raising=False)

    fake("_ceph_get_option", lambda self, name: "1/5")
    fake("_ceph_get_module_option", lambda self, name, *rest: options.get(name))
    fake("get_module_option", lambda self, name, default=None: options.get(name, default))
    fake("_configure_logging", lambda self, *args: setattr(self, "_root_logger", LOGGER))
    fake("_ceph_get_version", lambda self: "16.2.15")
    fake("get", lambda self, name: maps[name])
    fake("get_daemon_status", lambda self, kind, name: {
        "json": json.dumps({"2": {"instance_id": "7", "leader": True}})})
    fake("set_health_checks", lambda self, checks: self.shown.append(checks))
    monkeypatch.setitem(options, "log_to_file", False)
    monkeypatch.setitem(options, "log_to_cluster", False)
    manager = module.Module("mirror_mgr", None, None)
    manager.shown = []
    manager.supervisor = FakeSupervisor()
    manager.scheduler = FakeScheduler()
    return manager


def test_commands_are_where_the_manager_looks(manager: module.Module) -> None:
    found = {line["cmd"]: line for line in compat.CLICommand.dump_cmd_list()}
    assert found[
        "rbd-mirror pool enable name=pool,type=CephPoolname name=mode,type=CephString,req=false "
        "name=site_name,type=CephObjectname,req=false "
        "name=remote_namespace,type=CephObjectname,req=false"]["perm"] == "w"
    result = manager._handle_command("", {"prefix": "rbd-mirror worker ls", "format": "json"})
    assert tuple(result) == (0, "[]", "")
    result = manager._handle_command("", {"prefix": "rbd-mirror worker restart", "id": "a"})
    assert tuple(result) == (0, "restarting a", "")


def test_a_refusal_keeps_apart_from_the_managers_own_words(
        manager: module.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.registry, "run", lambda *args: (-errno.EACCES, "", "refused"))
    result = manager._handle_command("", {"prefix": "rbd-mirror worker ls"})
    assert result.stderr.startswith("refused\n")


def test_empty_lines_survive_the_manager(manager: module.Module,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.registry, "run", lambda *args: (0, "a\n\nb", ""))
    result = manager._handle_command("", {"prefix": "rbd-mirror worker ls"})
    assert result.stdout == "a\n \nb"


def test_life(manager: module.Module) -> None:
    thread = threading.Thread(target=manager.serve)
    thread.start()
    assert manager.supervisor.ticked.wait(10)
    manager.shutdown()
    thread.join(10)
    assert not thread.is_alive()
    assert manager.supervisor.calls[0] == "start"
    assert manager.supervisor.calls[-1] == "stop"
    assert manager.scheduler.calls == ["start", "stop"]


def test_shutdown_without_serve(manager: module.Module) -> None:
    manager.shutdown()


def test_health_is_set_when_it_changes(manager: module.Module) -> None:
    manager._report_health()
    manager.supervisor.items = [HealthItem(SPLIT_BRAIN, "p/x", "text")]
    manager._report_health()
    manager._report_health()
    manager.scheduler.items = [HealthItem(NO_SCHEDULE, "p/x", "text")]
    manager._report_health()
    manager.supervisor.items = []
    manager.scheduler.items = []
    manager._report_health()
    assert [sorted(checks) for checks in manager.shown] == [
        ["MIRROR_MGR_SPLIT_BRAIN"], ["MIRROR_MGR_NO_SCHEDULE", "MIRROR_MGR_SPLIT_BRAIN"], []]


def test_long_syncs_are_told_to_the_progress_module(
        manager: module.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    told: List[Any] = []
    clock = iter((0.0, 100.0, 101.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(mgr_module.MgrModule, "remote", lambda self, *args: told.append(args))
    manager.supervisor.reports = [
        ImageReport("p/x", "g", "syncing", sync=SyncReport(7, 50.0))]
    manager._report_syncs()
    manager._report_syncs()
    [call] = told
    assert call[:3] == ("progress", "update", "rbd-mirror/g/7")

    def disabled(self: Any, *args: Any) -> None:
        raise ImportError("Module not found")

    monkeypatch.setattr(mgr_module.MgrModule, "remote", disabled)
    manager.supervisor.reports = [ImageReport("p/x", "g", "up-to-date")]
    manager._report_syncs()


def test_what_the_supervisor_asks(manager: module.Module) -> None:
    assert manager.fsid() == "f"
    assert manager.mon_host() == "[v2:1.2.3.4:3300,v1:1.2.3.4:6789] [v2:1.2.3.5:3300]"
    assert sorted(manager.worker_options()) == [
        "bytes_in_flight_mib", "concurrent_syncs", "missing_image_seconds", "removed_copy_seconds"]


@pytest.mark.parametrize("host", [
    commands_registry.Host, schedule_host.Host, supervisor_host.Host])
def test_the_module_is_what_its_parts_ask_for(manager: module.Module, host: type) -> None:
    """mypy does not see it: the base class is the manager's."""
    asked = [name for name in (*vars(host), *host.__annotations__) if not name.startswith("_")]
    assert len(asked) > 3
    missing = [name for name in asked
               if not hasattr(module.Module, name) and name not in vars(manager)]
    assert missing == []


def test_pools(manager: module.Module) -> None:
    assert manager.pools() == [(1, "rbd"), (3, "bare")]


def test_services(manager: module.Module) -> None:
    [daemon] = manager.read_services(2).daemons
    assert (daemon.service_id, daemon.client_id, daemon.leader) == ("4290", "b", True)


def test_lists_are_the_modules_own() -> None:
    assert {"COMMANDS", "MODULE_OPTIONS"} <= set(vars(module.Module))
    names = [option["name"] for option in module.Module.MODULE_OPTIONS]
    assert names == sorted(set(names), key=names.index)


def test_standby_waits_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.MgrStandbyModule, "__init__", lambda self, *args: None)
    standby = module.StandbyModule("mirror_mgr", None)
    standby._root_logger = LOGGER
    thread = threading.Thread(target=standby.serve)
    thread.start()
    standby.shutdown()
    thread.join(10)
    assert not thread.is_alive()
