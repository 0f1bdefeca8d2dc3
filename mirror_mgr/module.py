"""The manager module: its options, its life, and what is wired to what."""

import threading
import time
from typing import Any, Dict, FrozenSet, List, Sequence, Tuple

from mgr_module import MgrModule, MgrStandbyModule, Option

from . import compat, health
from .admin import child, forced_promotion, openers, peer_probe, restoration
from .admin.services import Services, services
from .admin.specs import ImageSpec, PoolSpec
from .admin.status import Witnesses
from .admin.token import Token
from .commands.deadline import FORCED_SECONDS, Deadlines
from .errors import MirrorError
from .progress import Syncs
from .schedule.scheduler import Scheduler
from .supervisor import launcher
from .supervisor.model import COPIES_REMOVED
from .supervisor.supervisor import Supervisor

TICK_SECONDS = 1.0
STOP_SECONDS = 15.0  # the supervisor needs less

_OF_ITS_TIME = 0.9  # what a child may use of a command's time: the rest is for the answer

_WORKER_OPTIONS = ("bytes_in_flight_mib", "concurrent_syncs", "missing_image_seconds",
                   "removed_copy_seconds")

compat.register_commands()


class Module(MgrModule):
    """Serves ``ceph rbd-mirror`` commands and keeps the workers running."""

    CLICommand = compat.CLICommand
    # The base class's own lists are shared by all modules.
    COMMANDS: List[Any] = []
    NOTIFY_TYPES: List[Any] = []
    MODULE_OPTIONS = [
        Option(name="workers", type="uint", default=1, min=0, max=64, runtime=True,
               desc="how many worker processes replay mirrored images"),
        Option(name="worker_python", type="str", default="", runtime=True,
               desc="the Python 3 that runs workers, where the system's own is not the one; "
                    "it needs python3-rados and python3-rbd"),
        Option(name="bytes_in_flight_mib", type="uint", default=16, min=8, runtime=True,
               desc="how many MiB a worker has on their way from site to site at a time"),
        Option(name="concurrent_syncs", type="uint", default=64, min=1, runtime=True,
               desc="how many images a worker syncs at a time"),
        Option(name="missing_image_seconds", type="secs", default=30, min=0, runtime=True,
               desc="how long an image must be missing at its primary site before its copy is "
                    "moved to the trash"),
        Option(name="removed_copy_seconds", type="secs", default=3600, min=0, runtime=True,
               desc="how long such a copy stays in the trash, or longer where "
                    "rbd_mirroring_delete_delay says so"),
        Option(name="warn_removed_copies", type="bool", default=True, runtime=True,
               desc="whether copies in the trash, whose primary is gone, are a health warning"),
        Option(name="snapshots_in_flight", type="uint", default=512, min=1, runtime=True,
               desc="how many scheduled mirror snapshots are made at a time"),
        Option(name="snapshot_seconds", type="secs", default=120, min=1, runtime=True,
               desc="after how many seconds a scheduled mirror snapshot is given up"),
        Option(name="warn_no_schedule", type="bool", default=True, runtime=True,
               desc="whether an image in snapshot mode without a schedule is a health warning"),
        Option(name="command_seconds", type="secs", default=30, min=1, runtime=True,
               desc="after how many seconds a command that is not done lets its user go; a "
                    "promotion is given 90 at least, to break the lock of a client that hangs"),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.supervisor = Supervisor(self)
        self.scheduler = Scheduler(self)
        self.deadlines = Deadlines()
        self._wake = threading.Event()
        self._stopping = False
        self._ended = threading.Event()
        self._ended.set()
        self._checks: Dict[str, Any] = {}
        self._syncs = Syncs()

    # Life

    def serve(self) -> None:
        self._ended.clear()
        try:
            # All on this one thread: workers end with the thread that started them.
            self.supervisor.start()
            self.scheduler.start()
            while not self._stopping:
                self.log.debug(self.supervisor.tick())
                self.scheduler.tick()
                self._report_health()
                self._report_syncs()
                self._wake.wait(TICK_SECONDS)
                self._wake.clear()
        finally:
            self.supervisor.stop()
            self.scheduler.stop()
            self._ended.set()

    def shutdown(self) -> None:
        self._stopping = True
        self._wake.set()
        if not self._ended.wait(STOP_SECONDS):
            self.log.error("workers are still there after %d s", STOP_SECONDS)
        super().shutdown()

    def config_notify(self) -> None:
        self._wake.set()

    def _report_health(self) -> None:
        items = self.supervisor.health() + self.scheduler.health()
        if not self.get_option("warn_removed_copies"):
            items = [item for item in items if item.code != COPIES_REMOVED]
        checks = health.checks(items)
        if checks != self._checks:
            self.set_health_checks(checks)
            self._checks = checks

    def _report_syncs(self) -> None:
        for method, *args in self._syncs.look(self.supervisor.images(), time.monotonic()):
            try:
                self.remote("progress", method, *args)
            except (ImportError, RuntimeError) as error:  # it may be disabled, or have failed
                self.log.debug("progress: %s", error)

    @staticmethod
    def can_run() -> Tuple[bool, str]:
        try:
            import rados  # noqa: F401
            import rbd  # noqa: F401
        except ImportError as error:
            return False, f"{error}; install python3-rados and python3-rbd"
        return True, ""

    def self_test(self) -> None:
        """Raise if what the module stands on is not there."""
        launcher.command(self.get_option("worker_python"))
        assert self.rados.get_fsid() == self.fsid()
        assert self.mon_host()

    # What commands ask of their host

    def renew_rados(self) -> None:
        self.log.warning("the manager's client was blocklisted; connecting anew")
        compat.forget_rados(self)

    def command_seconds(self) -> float:
        return float(self.get_option("command_seconds"))

    def look(self, token: Token, pool: str, namespace: str = "",
             global_ids: Sequence[str] = ()) -> peer_probe.Sight:
        return peer_probe.look(self._child(), token, pool, namespace, global_ids)

    def promote_by_force(self, images: List[ImageSpec]) -> Dict[ImageSpec, MirrorError]:
        seconds = max(self.command_seconds(), FORCED_SECONDS) * _OF_ITS_TIME
        return forced_promotion.promote(self._child(), self._login(), images, seconds)

    def make_writable(self, pool: PoolSpec, image_id: str) -> None:
        restoration.make_writable(self._child(), self._login(), pool, image_id)

    def mirroring_clients(self, pool: PoolSpec) -> FrozenSet[int]:
        return openers.mirroring_clients(self._child(), self._login(), pool)

    def _login(self) -> child.Login:
        return child.Login(str(self.get_ceph_conf_path()), f"mgr.{self.get_mgr_id()}",
                           str(self.get_ceph_option("keyring")))

    def _child(self) -> child.Start:
        """How to start what may hang or crash: by the workers' interpreter."""
        return child.Start(launcher.command(self.get_option("worker_python"))[:2],
                           launcher.environment())

    def witnesses(self) -> Witnesses:
        return Witnesses(self.read_services, {
            image.global_id: image for image in self.supervisor.images()},
            self.supervisor.trouble(), self.look)

    def read_services(self, pool_id: int) -> Services:
        daemons = self.get("service_map")["services"].get("rbd-mirror", {}).get("daemons", {})
        metadata = {service_id: daemon["metadata"] for service_id, daemon in daemons.items()
                    if isinstance(daemon, dict)}  # beside them there is a summary
        reports = {service_id: self.get_daemon_status("rbd-mirror", service_id)
                   for service_id in metadata}
        return services(metadata, {name: report for name, report in reports.items()
                                   if report is not None}, pool_id)

    # What the scheduler asks of its host

    def connect(self) -> Any:
        return compat.connect(self)

    def disconnected(self, addresses: str) -> None:
        compat.disconnected(self, addresses)

    # What the supervisor asks of its host, and some of it the scheduler too

    def get_option(self, name: str) -> Any:
        return self.get_module_option(name)

    def worker_options(self) -> Dict[str, Any]:
        return {name: self.get_option(name) for name in _WORKER_OPTIONS}

    def fsid(self) -> str:
        return str(self.get("mon_map")["fsid"])

    def mon_host(self) -> str:
        """Every monitor with all its addresses: "[v2:1.2.3.4:3300,v1:1.2.3.4:6789] ..."."""
        return " ".join(
            "[%s]" % ",".join(f"{address['type']}:{address['addr']}"
                              for address in monitor["public_addrs"]["addrvec"])
            for monitor in self.get("mon_map")["mons"])

    def pools(self) -> List[Tuple[int, str]]:
        """Pools that are for RBD, or for nothing in particular."""
        return [(pool["pool"], pool["pool_name"]) for pool in self.get("osd_map")["pools"]
                if "rbd" in pool["application_metadata"] or not pool["application_metadata"]]


class StandbyModule(MgrStandbyModule):
    """Waits: the active manager does everything."""

    MODULE_OPTIONS: List[Any] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stop = threading.Event()

    def serve(self) -> None:
        self._stop.wait()

    def shutdown(self) -> None:
        self._stop.set()
