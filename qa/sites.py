"""Two (or more) real Ceph clusters on this host, each one monitor, one manager and its OSDs."""

import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

from rados import Error as RadosError
from rados import Rados

from qa import adminsocket, ports, processes, settings, siteconf
from qa.cephcli import CephCli
from qa.errors import CommandFailed, LabError
from qa.releases import Releases, of_host
from qa.roots import Root
from qa.settings import Settings
from qa.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parent.parent
STOCK_MODULES = Path("/usr/share/ceph/mgr")
# What the stock modules of some releases need besides; see qa/environment.
MANAGER_PACKAGES = REPOSITORY / ".venv" / "manager"
PORTS_PER_SITE = 100
COMMAND_SECONDS = 180
# On a busy machine a manager takes minutes to load its modules.
READY_SECONDS = 300.0
# So long may a worker take to notice that its manager is gone.
WORKER_SECONDS = 30.0
# The keys of 20.2.4 are by default of a type that no earlier release can read.
OLDER_KEY = ("--key-type", "aes")
OLDER_CIPHERS = ("--auth-allowed-ciphers", "aes,aes256k", "--auth-preferred-cipher", "aes",
                 "--auth-service-cipher", "aes")
# What our module complains about is for its tests to judge; older keys are what was wanted; modules
# of Ceph 20 crash at each start.
NO_HINDRANCE = ("MIRROR_MGR_", "AUTH_INSECURE_", "RECENT_CRASH", "RECENT_MGR_MODULE_CRASH")
# Unix sockets have 107 bytes for their path; the longest below the lab is a daemon's own.
LONGEST_DIRECTORY = 60


class Site:
    """One cluster of a lab."""

    def __init__(self, lab: Path, name: str, port: int, made_of: Settings) -> None:
        self.lab = lab
        self.name = name
        self.directory = lab / name
        self.conf = str(self.directory / "ceph.conf")
        self.port = port
        self.cancelled = threading.Event()
        self.release = made_of.chosen().by_site[name]
        self._settings = made_of
        # Of another release than ours.
        self._root = None if self.release == of_host() else Root(self.release)
        self._cli = CephCli(self.conf, COMMAND_SECONDS)

    # Commands

    def argv(self, *argv: str) -> List[str]:
        """Return the command that runs a program with the site's own release of Ceph."""
        return self._root.entering(argv, [self.lab]) if self._root else list(argv)

    def run(
        self, *argv: str, input: Union[str, bytes, None] = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program of Ceph against this site; its exit code is for the caller to judge."""
        text = input.decode() if isinstance(input, bytes) else input
        return _subprocess(
            self.argv(argv[0], "-c", self.conf, *argv[1:]),
            # A command that wants input and is given none reads an end of file.
            input=text or "",
            capture_output=True,
        )

    def ceph(self, *args: str, input: Union[str, bytes, None] = None, check: bool = True) -> str:
        """Do as `ceph ...` and return its stdout. Raise CommandFailed when it fails and `check`.

        The program itself is what :meth:`run` runs.
        """
        return self._checked("ceph", args, input, check)

    def rbd(self, *args: str, input: Union[str, bytes, None] = None, check: bool = True) -> str:
        """Run `rbd ...` and return its stdout. Raise CommandFailed when it fails and `check`."""
        return self._checked("rbd", args, input, check)

    def disconnect(self) -> None:
        """End the connection by which :meth:`ceph` works; the next command makes another."""
        self._cli.close()

    def ceph_json(self, *args: str) -> Any:
        """Run `ceph ... --format json` and return what it says."""
        return json.loads(self.ceph(*args, "--format", "json"))

    def rbd_json(self, *args: str) -> Any:
        """Run `rbd ... --format json` and return what it says."""
        return json.loads(self.rbd(*args, "--format", "json"))

    def rados(self, name: str = "client.admin") -> Rados:
        """Return a connection to this site, for the caller to shut down."""
        cluster = Rados(conffile=self.conf, name=name)
        cluster.connect(timeout=COMMAND_SECONDS)
        return cluster

    def create_pool(self, name: str) -> None:
        """Create a pool of eight placement groups and make it ready for RBD."""
        self.ceph("osd", "pool", "create", name, "8")
        self.rbd("pool", "init", name)

    def create_erasure_coded_pool(self, name: str) -> None:
        """Create one for the data of images: two chunks and one coded, on an OSD each."""
        self.ceph(*("osd", "erasure-code-profile", "set", "two-and-one", "k=2", "m=1"),
                  "crush-failure-domain=osd")
        self.ceph("osd", "pool", "create", name, "8", "erasure", "two-and-one")
        self.ceph("osd", "pool", "set", name, "allow_ec_overwrites", "true")
        self.rbd("pool", "init", name)

    def osds_up(self) -> int:
        """Return how many OSDs are up."""
        return int(self.ceph_json("osd", "stat")["num_up_osds"])

    def osd_counters(self) -> Dict[str, int]:
        """Return the operations and bytes that all OSDs together have served since they started."""
        names = ("op", "op_r", "op_w", "op_in_bytes", "op_out_bytes")
        total = dict.fromkeys(names, 0)
        for osd in range(self._settings.osds):
            dump = json.loads(self.ceph("tell", f"osd.{osd}", "perf", "dump", "osd"))["osd"]
            for name in names:
                total[name] += dump[name]
        return total

    # Daemons

    def start_mgr(self) -> None:
        """Start the manager; it answers once `wait_ready` returns."""
        self._start("mgr.x", "ceph-mgr", "-i", "x")

    @contextmanager
    def standby_mgr(self) -> Iterator[None]:
        """Have a second manager, mgr.y, which waits for the first to fail; in the end mgr.x is the
        active one again and alone."""
        self._start_standby_mgr()
        try:
            yield
        finally:
            self._stop_standby_mgr()

    def _start_standby_mgr(self) -> None:
        caps = ("mon", "allow profile mgr", "osd", "allow *", "mds", "allow *")
        keyring = self.directory / "keyrings" / "mgr.y.keyring"
        keyring.write_text(self.ceph("auth", "get-or-create", "mgr.y", *caps))
        self._start("mgr.y", "ceph-mgr", "-i", "y")
        wait_for(lambda: self.ceph_json("mgr", "dump")["standbys"])

    def fail_over_mgr(self) -> None:
        """Have the manager that waits take the place of the active one, whose clients the monitor
        blocklists; wait until it has."""
        before = self.ceph_json("mgr", "dump")["active_name"]
        self.ceph("mgr", "fail", before)
        wait_for(lambda: self._active_other_than(before))

    def _stop_standby_mgr(self) -> None:
        if self.ceph_json("mgr", "dump")["active_name"] != "x":
            self.fail_over_mgr()
        self._stop("mgr.y")
        self.wait_ready()

    def _active_other_than(self, name: str) -> bool:
        found = self.ceph_json("mgr", "dump")
        return found["available"] and found["active_name"] != name

    def stop_mgr(self) -> None:
        """Ask the manager to end and wait until it has."""
        self._stop("mgr.x")

    def kill_mgr(self) -> int:
        """Kill the manager outright (SIGKILL); return the pid that it had."""
        return self._kill("mgr.x")

    def restart_osd(self, osd: int = 0) -> None:
        """Stop an OSD, start it and wait until the cluster is healthy again."""
        self._stop(f"osd.{osd}")
        self._start_osd(osd)
        self.wait_ready()

    def lose(self) -> None:
        """Kill every daemon of the cluster outright, as when a building goes dark."""
        self.kill_mgr()
        for osd in range(self._settings.osds):
            self._kill(f"osd.{osd}")
        self._kill("mon.a")

    def restore(self) -> None:
        """Start the daemons of a lost cluster again; return when it is ready."""
        self._start_mon()
        for osd in range(self._settings.osds):
            self._start_osd(osd)
        self.start_mgr()
        self.wait_ready()

    def upgrade(self, release: str) -> None:
        """Run a later release of Ceph on the same data: the monitor, the manager, then the OSDs.

        Clients are held up meanwhile, and lose nothing. Return when the site is ready.
        """
        root = None if release == of_host() else Root(release)
        if root:
            root.make()
        # The commands are other ones by then.
        self.disconnect()
        self._root, self.release = root, release
        self._settings.releases[self.name] = release
        self._settings.save(self.lab)
        shutil.rmtree(self.directory / "modules")
        self._link_modules()
        self._stop("mon.a")
        self._start_mon()
        self.stop_mgr()
        self.start_mgr()
        for osd in range(self._settings.osds):
            self._stop(f"osd.{osd}")
            self._start_osd(osd)
        name = wait_for(lambda: self._name_of_release(release), seconds=READY_SECONDS)
        self.ceph("osd", "require-osd-release", name)
        self.wait_ready()

    def _name_of_release(self, release: str) -> Optional[str]:
        """Return what Ceph calls a release ("reef") once all OSDs run it."""
        osds = self.ceph_json("osd", "metadata")
        run_it = [osd for osd in osds
                  if osd.get("ceph_version", "").startswith(f"ceph version {release}.")]
        return run_it[0]["ceph_release"] if run_it == osds else None

    def start_rbd_mirror(self, id: str, program: str = "rbd-mirror", *more: str) -> int:
        """Start Ceph's own rbd-mirror daemon as client.rbd-mirror.ID and return its pid.

        Or `program` in its place; `more` are arguments beyond the usual ones.
        """
        name = f"client.rbd-mirror.{id}"
        keyring = self.directory / "keyrings" / f"{name}.keyring"
        caps = ("mon", "profile rbd-mirror", "osd", "profile rbd")
        keyring.write_text(self.ceph("auth", "get-or-create", name, *caps))
        log, run = self.directory / "log", self.directory / "run"
        self._start(
            name,
            program,
            "-n",
            name,
            f"--log-file={log}/{name}.log",
            f"--admin-socket={run}/{name}.asok",
            f"--pid-file={run}/{name}.pid",
            *more,
        )
        return self.pid(name)

    def stop_rbd_mirror(self, id: str) -> None:
        """Ask the rbd-mirror daemon to end and wait until it has."""
        self._stop(f"client.rbd-mirror.{id}")

    def kill_rbd_mirror(self, id: str) -> int:
        """Kill the rbd-mirror daemon outright; return the pid that it had."""
        return self._kill(f"client.rbd-mirror.{id}")

    def pid(self, daemon: str) -> int:
        """Return the pid of `mon.a`, `mgr.x`, `osd.0` or a client's daemon.

        Raise LabError when it does not run.
        """
        pid = processes.daemon(self.directory / "run" / f"{daemon}.pid", self.lab)
        if pid is None:
            raise LabError(f"{self.name}: {daemon} does not run; see {self.directory}/log")
        return pid

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the cluster is healthy with all its daemons.

        Raise LabError, saying what is wrong, when it is not within `seconds`.
        """
        wrong = self._what_is_wrong()
        deadline = time.monotonic() + seconds
        while wrong:
            if self.cancelled.is_set():
                raise LabError(f"{self.name}: given up")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} is not ready after {seconds:.0f} s: {wrong}")
            time.sleep(0.3)
            wrong = self._what_is_wrong()

    def up(self) -> None:
        """Make the cluster and start it; return when it is ready."""
        for folder in ("log", "run", "crash", "keyrings", "mon.a", "mgr.x"):
            (self.directory / folder).mkdir(parents=True)
        fsid = str(uuid.uuid4())
        Path(self.conf).write_text(
            siteconf.render(
                self.directory, fsid, self.port, PORTS_PER_SITE, self._settings.memstore,
                self._class_folder(),
            )
        )
        self._link_modules()
        self._make_keys()
        self._make_monitor(fsid)
        self._start_mon()
        if self._settings.mgr:
            self.start_mgr()
        for osd in range(self._settings.osds):
            self._make_osd(osd)
            self._start_osd(osd)
        if self._settings.module:
            self.ceph("mgr", "module", "enable", "mirror_mgr", "--force")
            # By force, as the monitor learns the module's options only from a running manager.
            self.ceph("config", "set", "mgr", "mgr/mirror_mgr/log_level", "info", "--force")
        self.wait_ready()

    def _checked(
        self, program: str, args: Sequence[str], input: Union[str, bytes, None], check: bool
    ) -> str:
        if program == "ceph" and self._cli.takes(args):
            text = input.decode() if isinstance(input, bytes) else input
            result = self._cli.run(args, text or "")
        else:
            result = self.run(program, *args, input=input)
        if check and result.returncode:
            raise CommandFailed((program, *args), result)
        return result.stdout

    def _link_modules(self) -> None:
        modules = self.directory / "modules"
        if self._settings.installed:
            modules.symlink_to(STOCK_MODULES)
            return
        modules.mkdir()
        for entry in self._there(STOCK_MODULES).iterdir():
            if entry.name != "mirror_mgr":
                (modules / entry.name).symlink_to(STOCK_MODULES / entry.name)
        (modules / "mirror_mgr").symlink_to(REPOSITORY / "mirror_mgr")

    def _there(self, path: Path) -> Path:
        """Return where we see a file of the site's own system."""
        return self._root.path / path.relative_to("/") if self._root else path

    def _class_folder(self) -> str:
        """Return where the OSDs find their object classes; by default 18 and 20 do not."""
        [found] = self._there(Path("/usr/lib")).glob("*/rados-classes")
        return f"/usr/lib/{found.parent.name}/{found.name}"

    def _make_keys(self) -> None:
        """Make all keys up front; the monitor takes them over when it is made."""
        everything = ("mon", "allow *", "osd", "allow *", "mgr", "allow *", "mds", "allow *")
        keys = {
            "mon.": ("mon", "allow *"),
            "client.admin": everything,
            "mgr.x": ("mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"),
        }
        for osd in range(self._settings.osds):
            keys[f"osd.{osd}"] = (
                *("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"),
            )
        first = self.directory / "keyrings" / "first.keyring"
        for name, caps in keys.items():
            keyring = self.directory / "keyrings" / f"{name}.keyring"
            options = [word for kind, cap in _pairs(caps) for word in ("--cap", kind, cap)]
            self._tool(
                "ceph-authtool", "--create-keyring", str(keyring), "--gen-key", "-n", name,
                *options, *self._older_keys("ceph-authtool", OLDER_KEY)
            )
            with open(first, "a") as file:
                file.write(keyring.read_text())

    def _make_monitor(self, fsid: str) -> None:
        monmap = str(self.directory / "monmap")
        address = f"[v2:127.0.0.1:{self.port},v1:127.0.0.1:{self.port + 1}]"
        older = self._older_keys("monmaptool", OLDER_CIPHERS)
        self._tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, *older, monmap)
        keyring = str(self.directory / "keyrings" / "first.keyring")
        maps = ("--monmap", monmap, "--keyring", keyring)
        self._tool("ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", *maps)

    def _older_keys(self, program: str, options: Sequence[str]) -> Sequence[str]:
        """Return the options by which the site's keys are of the type that all releases read.

        None where the program knows only that type, or nobody needs it.
        """
        if self._settings.chosen().single and not self._settings.older_keys:
            return ()
        known = _subprocess(self.argv(program, "--help"), capture_output=True)
        return options if options[0] in known.stdout + known.stderr else ()

    def _make_osd(self, osd: int) -> None:
        identity = str(uuid.uuid4())
        given = self.ceph("osd", "new", identity).strip()
        if given != str(osd):
            raise LabError(f"{self.name}: the monitor calls OSD {osd} {given}")
        (self.directory / f"osd.{osd}").mkdir()
        self._tool("ceph-osd", "-c", self.conf, "-i", str(osd), "--mkfs", "--osd-uuid", identity)

    def _start_mon(self) -> None:
        self._start("mon.a", "ceph-mon", "-i", "a")

    def _start_osd(self, osd: int) -> None:
        self._start(f"osd.{osd}", "ceph-osd", "-i", str(osd))

    def _tool(self, *argv: str, environment: Optional[Dict[str, str]] = None) -> None:
        if self.cancelled.is_set():
            raise LabError(f"{self.name}: given up")
        # Not pipes: a daemon's child holds them open for as long as it lives.
        with open(self.directory / "log" / "start.log", "a+") as log:
            start = log.tell()
            code = _subprocess(
                self.argv(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            ).returncode
            if code:
                log.seek(start)
                raise LabError(f"{self.name}: {argv[0]}: exit code {code}: {log.read().strip()}")

    def _start(self, daemon: str, program: str, *args: str) -> None:
        """Start a daemon of Ceph, which goes to the background by itself and writes its pid."""
        (self.directory / "run" / f"{daemon}.pid").unlink(missing_ok=True)
        # The C++ daemon reads the conf once more for each pool and finds it only this way.
        environment = {
            **processes.member_environment(self.lab),
            "CEPH_CONF": self.conf,
        }
        if program == "ceph-mgr":
            environment["PYTHONPATH"] = str(MANAGER_PACKAGES)
        self._tool(program, "-c", self.conf, *args, environment=environment)
        deadline = time.monotonic() + 10
        pid_file = self.directory / "run" / f"{daemon}.pid"
        while processes.read_pid(pid_file) is None:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: {daemon} did not start; see {self.directory}/log")
            time.sleep(0.02)

    def _stop(self, daemon: str) -> None:
        processes.end([self.pid(daemon)])

    def _kill(self, daemon: str) -> int:
        pid = self.pid(daemon)
        processes.kill(pid)
        return pid

    def _what_is_wrong(self) -> str:
        """Return why the cluster is not ready yet, or nothing."""
        cluster = self.rados()
        try:
            status = _answer(cluster.mon_command, {"prefix": "status"})
            osds = status["osdmap"]["num_up_osds"]
            if osds < self._settings.osds:
                return f"{osds} of {self._settings.osds} OSDs are up"
            if not self._settings.mgr:
                return ""
            if not self._is_active(cluster):
                return "the manager is not active"
            unhealthy = [
                f"{code}: {check['summary']['message']}"
                for code, check in status["health"]["checks"].items()
                if not code.startswith(NO_HINDRANCE)
            ]
            if unhealthy:
                return "; ".join(unhealthy)
            if self._settings.module and not self._offers_commands(cluster):
                return "the manager does not know the rbd-mirror commands"
            return ""
        except RadosError as error:
            return str(error)
        finally:
            cluster.shutdown()

    def _is_active(self, cluster: Rados) -> bool:
        """Tell whether the manager that runs now is the active one, not one that was killed."""
        mgrmap = _answer(cluster.mon_command, {"prefix": "mgr dump"})
        if not mgrmap["available"]:
            return False
        try:
            # One that is on stand-by does not know the command.
            answer = adminsocket.ask(self.directory / "run" / "mgr.x.asok", "mgr_status")
            return bool(answer["initialized"])
        except (OSError, ValueError):
            return False

    @staticmethod
    def _offers_commands(cluster: Rados) -> bool:
        table = _answer(cluster.mgr_command, {"prefix": "get_command_descriptions"})
        return any(entry["sig"][0] == "rbd-mirror" for entry in table.values())


class Lab:
    """Real clusters in one directory and on ports of their own.

    `directory` must be missing, empty, or hold a lab that is down. Without `base_port` a free range
    is found. `mgr=False` leaves the managers out, `module=False` only our module; `installed=True`
    has them load the one that is installed, not the clone's. `releases` says what Ceph each site
    has, when that is not the host's. `older_keys` makes keys that every release can read, as sites
    of different releases have in any case. As a context manager a lab is up inside and gone
    afterwards.
    """

    def __init__(
        self,
        directory: Union[str, Path],
        base_port: Optional[int] = None,
        sites: Sequence[str] = ("site-a", "site-b"),
        memstore: bool = False,
        osds: int = 1,
        mgr: bool = True,
        module: bool = True,
        releases: Optional[Releases] = None,
        older_keys: bool = False,
        installed: bool = False,
    ) -> None:
        self.directory = Path(directory).resolve()
        if len(os.fsencode(self.directory)) > LONGEST_DIRECTORY:
            raise LabError(
                f"{self.directory}: too long for the sockets in it; use a directory whose name "
                f"has at most {LONGEST_DIRECTORY} bytes"
            )
        module = module and mgr and (REPOSITORY / "mirror_mgr" / "module.py").exists()
        self._asked_port = base_port
        chosen = releases.by_site if releases else dict.fromkeys(sites, of_host())
        self._settings = Settings(list(sites), 0, memstore, osds, mgr, module, chosen,
                                  older_keys, installed)
        self.sites: Dict[str, Site] = {}

    @classmethod
    def attach(cls, directory: Union[str, Path]) -> "Lab":
        """Return the lab that somebody else has brought up in the directory."""
        lab = cls(directory)
        lab._settings = Settings.load(lab.directory)
        lab._make_sites()
        return lab

    @property
    def releases(self) -> Releases:
        """What Ceph each site has."""
        return self._settings.chosen()

    @property
    def osds(self) -> int:
        """How many each site has."""
        return self._settings.osds

    def up(self) -> None:
        """Bring all sites up at once. Whatever goes wrong, nothing is left running."""
        self._prepare_directory()
        try:
            count = PORTS_PER_SITE * len(self._settings.sites)
            self._settings.base_port = ports.claim(self.directory, count, self._asked_port)
            self._settings.save(self.directory)
            self._make_sites()
            self._start_sites()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> List[int]:
        """End all processes of the lab, keep its files; return the pids that had to be sought.

        Daemons end on request. What still lives after that (a worker that outlived its manager) is
        killed and returned.
        """
        for site in self.sites.values():
            site.disconnect()
        monitors = self._daemon_pids("mon.*")
        # The others want to tell a monitor that they go.
        processes.end(pid for pid in self._daemon_pids("*") if pid not in monitors)
        others = [pid for pid in self.running() if pid not in monitors]
        survivors = processes.wait_gone(others, WORKER_SECONDS)
        processes.end(survivors, seconds=0)
        processes.end(monitors)
        ports.release(self.directory)
        return survivors

    def down(self) -> List[int]:
        """End all processes of the lab and remove its files; return what `stop` does."""
        survivors = self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return survivors

    def running(self) -> List[int]:
        """Return the pids of the lab's processes."""
        return processes.members(self.directory)

    def __enter__(self) -> "Lab":
        self.up()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.down()

    def _make_sites(self) -> None:
        for number, name in enumerate(self._settings.sites):
            port = self._settings.base_port + number * PORTS_PER_SITE
            self.sites[name] = Site(self.directory, name, port, self._settings)

    def _prepare_directory(self) -> None:
        if self.running():
            raise LabError(f"{self.directory}: a lab is up here already; qa/lab down ends it")
        if (self.directory / settings.NAME).exists():
            shutil.rmtree(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise LabError(f"{self.directory}: not empty and not a lab; choose another directory")

    def _start_sites(self) -> None:
        with ThreadPoolExecutor(len(self.sites)) as pool:
            starts = [pool.submit(site.up) for site in self.sites.values()]
            try:
                for start in starts:
                    start.result()
            except BaseException:
                for site in self.sites.values():
                    site.cancelled.set()
                raise

    def _daemon_pids(self, name: str) -> List[int]:
        paths = self.directory.glob(f"*/run/{name}.pid")
        pids = (processes.daemon(path, self.directory) for path in paths)
        return [pid for pid in pids if pid is not None]


def _pairs(words: Sequence[str]) -> List[Sequence[str]]:
    return [words[i : i + 2] for i in range(0, len(words), 2)]


def _subprocess(argv: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(argv, text=True, timeout=COMMAND_SECONDS, **options)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: no end after {COMMAND_SECONDS} s") from error


def _answer(command: Callable[..., Any], request: Dict[str, str]) -> Any:
    code, out, message = command(json.dumps({**request, "format": "json"}), b"", timeout=10)
    if code:
        raise RadosError(message or os.strerror(-code))
    return json.loads(out)
