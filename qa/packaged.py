"""The Debian package, tried in throw-away copies of systems with each release of Ceph."""

import argparse
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, Sequence

from qa.errors import LabError
from qa.releases import CEPH_SUITES, of_host
from qa.roots import Root

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = "mirror-mgr"
FOLDERS = ("etc", "usr", "var")
# What apt and dpkg keep for themselves.
BOOKS = ("var/cache", "var/lib/apt", "var/lib/dpkg", "var/log")

# In a namespace of its own, and so for as long as the command runs.
_COPY = """\
set -e
base=$1 changes=$2
shift 2
for folder in etc usr var; do
    mkdir -p "$changes/$folder" "$changes/work/$folder"
    mount -t overlay overlay "$base/$folder" \\
        -o "lowerdir=$base/$folder,upperdir=$changes/$folder,workdir=$changes/work/$folder"
done
exec "$@"
"""


def main() -> int:
    """Do what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="check", description=__doc__)
    parser.add_argument("--release", action="append", choices=sorted(CEPH_SUITES),
                        help="of Ceph; may be given several times; default: all")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    folder = Path(tempfile.mkdtemp(prefix="package-"))
    try:
        package = build(folder)
        lint(package)
        for release in args.release or sorted(CEPH_SUITES):
            try_out(package, Copy(release, folder / release))
    except LabError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("check: interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder)
    return 0


def build(folder: Path) -> Path:
    """Build the package of what is committed; return its file."""
    print("build", flush=True)
    _run([str(REPOSITORY / "packaging" / "build"), str(folder)])
    [package] = folder.glob("*.deb")
    return package


def lint(package: Path) -> None:
    """Raise LabError for anything that lintian has to say of the package."""
    print("lintian", flush=True)
    _run(["lintian", "--allow-root", "--fail-on", "pedantic,info,warning,error", "--pedantic",
          "--display-info", str(package)])


class Copy:
    """A copy of a system with this release of Ceph; all that changes in it lands in `changes`."""

    def __init__(self, release: str, changes: Path) -> None:
        self.release = release
        self.changes = changes
        self._root = None if release == of_host() else Root(release)
        if self._root:
            self._root.make()
        self.base = self._root.path if self._root else Path("/")

    def run(self, *argv: str) -> None:
        """Run a command in it. Raise LabError, with its output, when that fails."""
        words = self._root.entering(argv) if self._root else argv
        copy = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _COPY, "copy",
                str(self.base), str(self.changes))
        _run([*copy, *words], f"in a copy of {self.base}: {shlex.join(argv)}")


def try_out(package: Path, copy: Copy) -> None:
    """Install the package, mirror with it, remove it. Raise LabError for anything left behind."""
    start = time.monotonic()
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy")
    copy.run(*apt, "install", "--no-install-recommends", str(package))
    copy.run("systemd-analyze", "verify", "--man=no", "mirror-mgr-worker.target")
    copy.run("systemctl", "--root=/", "enable", "mirror-mgr-worker@rbd-mirror.b")
    copy.run("/usr/bin/python3", "-m", "qa.installed")
    copy.run(*apt, "purge", PACKAGE)
    left = sorted(leftovers(copy.changes, copy.base))
    if left:
        raise LabError(f"{copy.release}: a purge of {PACKAGE} leaves {', '.join(left)}")
    print(f"{copy.release}: it installs, mirrors in both modes, and goes without a trace "
          f"({time.monotonic() - start:.0f} s)")


def leftovers(changes: Path, base: Path) -> Iterator[str]:
    """Name what differs in a system from what it was, but for the books of apt and dpkg.

    `changes` is the upper layer of an overlay on `base`: a device in it stands for a file that is
    gone, and it has the folders that its files are in.
    """
    for folder in FOLDERS:
        for path in (changes / folder).rglob("*"):
            name = path.relative_to(changes)
            mode = path.lstat().st_mode
            if _is_expected(name) or stat.S_ISDIR(mode) and (base / name).is_dir():
                continue
            yield f"/{name} (gone)" if stat.S_ISCHR(mode) else f"/{name}"


def _is_expected(path: Path) -> bool:
    """The interpreter compiles what others have installed where root runs it."""
    compiled = "__pycache__" in path.parts and "mirror_mgr" not in path.parts
    return compiled or any(Path(book) in path.parents for book in BOOKS)


def _run(argv: Sequence[str], shown: str = "") -> None:
    process = subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate()
    except SystemExit:
        process.terminate()
        raise
    finally:
        # It has a lab to take down; the terminal tells it of Ctrl-C as well.
        process.wait()
    if process.returncode:
        raise LabError(f"{shown or shlex.join(argv)}: exit code {process.returncode}:\n{output}")


if __name__ == "__main__":
    sys.exit(main())
