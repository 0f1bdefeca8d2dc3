"""Debian roots: folders with another release of Ceph or Python than the host's, to run it in.

A program enters one in a mount namespace of its own, where the host's folders are mounted in the
root: nothing is ever mounted for others, and what is ends with the program and its children. Only
the system's own folders are the root's; all others, the lab and the clone among them, are the
host's, as are processes and the network.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable, Iterator, List, NoReturn, Optional, Sequence

from qa import releases
from qa.errors import LabError
from qa.releases import CEPH_SUITES, PYTHON_SUITES, Releases

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = REPOSITORY / "qa" / "packages.txt"
# Of the top-level folders those that a root has for itself.
SYSTEM = ("bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "run", "sbin",
          "usr", "var")
# What pip needs to know of the host's network.
NETWORK_FILES = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/xdg/pip",
                 "/etc/ssl/certs/ca-certificates.crt")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIRROR_SECONDS = 30

_ENTER = """\
set -e
root=$1 environment=$2 folder=$3
shift 3
while [ "$1" != -- ]; do
    mkdir -p "$1" "$root$1"
    mount --rbind "$1" "$root$1"
    shift
done
shift
mkdir -p "$environment" "$root$folder"
mount --bind "$environment" "$root$folder"
exec chroot "$root" env -C "$PWD" "$@"
"""


class Root:
    """The root of one name: a release of Ceph as `20`, or `python-3.9`."""

    def __init__(self, name: str, folder: Optional[Path] = None) -> None:
        python = name.partition("python-")[2]
        if name not in CEPH_SUITES and python not in PYTHON_SUITES:
            names = [*CEPH_SUITES, *(f"python-{version}" for version in PYTHON_SUITES)]
            raise LabError(f"there is no root {name!r}; choose from {', '.join(names)}")
        self.name = name
        self.path = (folder or folder_of_roots()) / name
        self.suite = PYTHON_SUITES[python] if python else CEPH_SUITES[name]
        self._has_ceph = not python

    def entering(self, argv: Sequence[str], places: Iterable[Path] = ()) -> List[str]:
        """Return the command that runs `argv` in the root, from the same folder.

        `places` are folders that it has to see, wherever they are, and that are made where they
        are missing.
        """
        environment = REPOSITORY / ".venv"
        shared = shared_folders(os.listdir("/"), self.path, [REPOSITORY, *places])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "enter",
                str(self.path), str(self.path / "environments" / str(REPOSITORY).strip("/")),
                str(environment.resolve()), *shared, "--", f"PATH={PATH}", *argv]

    def make(self) -> None:
        """Make it, unless it is there, and the Python environment of this clone in it.

        What a setup that was interrupted has left is made anew.
        """
        if os.geteuid() != 0:
            raise LabError("only root can make the root of a release; run me as root")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as lock:
            if not self.path.is_dir():
                self._build(lock)
            self._make_environment()

    def remove(self) -> None:
        """Remove it. Raise LabError while something runs in it or is mounted there."""
        with self._locked():
            _remove(self.path)
            _remove(self._part)

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @contextmanager
    def _locked(self) -> Iterator[int]:
        with open(self.path.with_name(f"{self.path.name}.lock"), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"setup: waiting for another one to make {self.path}", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    def _build(self, lock: int) -> None:
        _remove(self._part)
        _install_mmdebstrap()
        print(f"setup: making {self.path} from Debian {self.suite}", flush=True)
        log = self.path.with_name(f"{self.path.name}.log")
        with open(log, "w") as file:
            # It holds the lock as long as it runs, also when we are killed.
            code = subprocess.run(self._building(), stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=file, pass_fds=[lock]).returncode
        if code:
            _remove(self._part)
            raise LabError(f"{self.path}: not made: {reason(log.read_text())}; the mirror is that "
                           f"of apt, the log {log}")
        self._check_release()
        # A power cut must not leave it with its name and without its files.
        os.sync()
        self._part.rename(self.path)

    def _building(self) -> List[str]:
        packages = ["python3-venv", "ca-certificates"]
        if self._has_ceph:
            packages += PACKAGES.read_text().split()
        options = ('Acquire::Check-Valid-Until "false"', 'Acquire::Retries "1"',
                   f'Acquire::http::Timeout "{MIRROR_SECONDS}"',
                   f'Acquire::https::Timeout "{MIRROR_SECONDS}"')
        return ["unshare", "--mount", "--propagation", "private", "mmdebstrap",
                *(f"--aptopt={option}" for option in options), "--variant=apt",
                f"--include={','.join(packages)}", self.suite, str(self._part), mirror()]

    def _check_release(self) -> None:
        if not self._has_ceph:
            return
        version = subprocess.run(["chroot", str(self._part), "rbd", "--version"], text=True,
                                 stdout=subprocess.PIPE).stdout
        if releases.of_text(version) != self.name:
            _remove(self._part)
            raise LabError(f"{self.path}: not made: Debian {self.suite} has {version.strip()}")

    def _make_environment(self) -> None:
        for name in NETWORK_FILES:
            _copy_in(Path(name), self.path)
        if subprocess.run(self.entering([str(REPOSITORY / "qa" / "environment")])).returncode:
            raise LabError(f"{self.path}: its Python environment was not made, as is said above")


def folder_of_roots() -> Path:
    """Where they are: $MIRROR_MGR_ROOTS, or `.roots` of the clone."""
    return Path(os.environ.get("MIRROR_MGR_ROOTS") or REPOSITORY / ".roots").resolve()


def shared_folders(top: Iterable[str], root: Path, places: Iterable[Path]) -> List[str]:
    """Return which of the host's folders are mounted in a root.

    `top` names all top-level ones. The folder that holds the root comes first: mounted later it
    would bring along what is mounted in the root by then.
    """
    others = (Path("/", name) for name in sorted(top) if name not in SYSTEM)
    shared = [str(path) for path in others if path.is_dir() and not path.is_symlink()]
    shared.sort(key=lambda path: Path(path) not in root.parents)
    shared.append("/run/lock")
    for place in places:
        if not any(Path(path) in (place, *place.parents) for path in shared):
            shared.append(str(place))
    return shared


def mirror() -> str:
    """Return the mirror of Debian that the host's apt uses. Raise LabError when it has none."""
    found = _mirrors()
    if not found:
        # It knows what is Debian's only once it has the lists.
        subprocess.run(["apt-get", "update", "-q"], stdin=subprocess.DEVNULL, capture_output=True)
        found = _mirrors()
    if not found:
        raise LabError("apt has no mirror of Debian to make a root from; add one to its sources")
    return found[0]


def _mirrors() -> List[str]:
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
         "Label: Debian"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [uri for uri in listed.split() if re.match("https?://", uri)]


def reason(log: str) -> str:
    """Return the line of a log of mmdebstrap that tells best why it failed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line[len("E: "):] for line in lines if line.startswith("E: ")]
    return (errors or lines[-1:] or ["it says nothing"])[0]


def inhabitants(root: Path) -> List[int]:
    """Return the pids of the processes that run in a root."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.path.samefile(f"/proc/{entry}/root", root):
                found.append(int(entry))
        except OSError:
            continue
    return found


def run_there(asked: Releases, places: Iterable[Path] = ()) -> None:
    """Have the program begin anew in the root of the release that is asked for.

    Return where that is the host's own, or where the sites' differ, whose programs then run each
    in a root of its own. Roots that are missing are made.
    """
    for release in sorted(set(asked.by_site.values()) - {releases.of_host()}):
        Root(release).make()
    if asked.single not in (None, releases.of_host()):
        _execute(Root(asked.single).entering(sys.orig_argv, places))


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    print("setup: installing mmdebstrap", flush=True)
    for words in (("update", "-q"), ("install", "-qy", "--no-install-recommends", "mmdebstrap")):
        done = subprocess.run(["apt-get", *words], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise LabError(f"mmdebstrap, which makes roots, was not installed: "
                           f"{reason(done.stdout)}")


def _execute(argv: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvp(argv[0], list(argv))


def _remove(path: Path) -> None:
    if not path.exists():
        return
    pids = inhabitants(path)
    if pids:
        raise LabError(f"{path}: not removed, as processes {pids} run in it; end them first")
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [folder for folder in mounted if folder.startswith(f"{path}/")]
    if inside:
        raise LabError(f"{path}: not removed, as {inside[0]} is mounted; unmount it first")
    shutil.rmtree(path)


def _copy_in(source: Path, root: Path) -> None:
    target = root / str(source).lstrip("/")
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


def main(argv: List[str]) -> int:
    """Make or remove the roots that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("--release", action="append", default=[], choices=list(CEPH_SUITES),
                        help="a release of Ceph to have besides the host's; may be repeated")
    parser.add_argument("--python", action="append", default=[], choices=list(PYTHON_SUITES),
                        help="a Python to have for unit tests; may be repeated")
    parser.add_argument("--remove", action="store_true", help="remove them instead")
    args = parser.parse_args(argv)
    names = args.release + [f"python-{version}" for version in args.python]
    try:
        for root in [Root(name) for name in names if args.remove or name != releases.of_host()]:
            root.remove() if args.remove else root.make()
    except LabError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
