"""What a root is, what is mounted in it, and what is left of one that was interrupted."""

import os
from pathlib import Path
from typing import Callable

import pytest

from qa import roots
from qa.errors import LabError
from qa.roots import Root

TOP = ("bin", "dev", "etc", "home", "lib", "lib64", "proc", "run", "sys", "tmp", "usr", "var")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root("20", tmp_path)


@pytest.mark.parametrize("name", ["21", "python-2.7", "python-", "", "../20"])
def test_there_are_only_known_roots(name: str) -> None:
    with pytest.raises(LabError, match="choose from 16, 18, 20, python-3.9"):
        Root(name)


def test_roots_are_in_the_clone_or_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR_MGR_ROOTS", raising=False)
    assert Root("18").path == roots.REPOSITORY / ".roots" / "18"
    monkeypatch.setenv("MIRROR_MGR_ROOTS", "/srv/roots")
    assert Root("18").path == Path("/srv/roots/18")


def test_only_the_system_is_the_roots_own() -> None:
    assert roots.shared_folders(TOP, Path("/srv/20"), []) == [
        "/dev", "/home", "/proc", "/sys", "/tmp", "/run/lock"]


def test_the_folder_that_holds_the_root_is_mounted_first() -> None:
    assert roots.shared_folders(TOP, Path("/tmp/20"), [])[0] == "/tmp"


def test_a_place_within_the_system_is_mounted_by_itself() -> None:
    places = [Path("/home/clone"), Path("/var/lib/lab"), Path("/usr/src/clone")]
    assert roots.shared_folders(TOP, Path("/srv/20"), places)[-3:] == [
        "/run/lock", "/var/lib/lab", "/usr/src/clone"]


@pytest.mark.parametrize("log, expected", [
    ("I: running\nE: Failed to fetch http://x/sid: timed out\nE: apt-get update failed\n",
     "Failed to fetch http://x/sid: timed out"),
    ("I: running\nno space left on device\n", "no space left on device"),
    ("\n", "it says nothing"),
])
def test_the_reason_is_the_first_error_of_a_log(log: str, expected: str) -> None:
    assert roots.reason(log) == expected


MMDEBSTRAP = """\
#!/bin/sh
# The root is the last argument but one.
while [ $# -gt 2 ]; do shift; done
mkdir "$1" && touch "$1/new"
"""
NO_ANSWER = '#!/bin/sh\necho "E: Failed to fetch http://x: timed out" >&2; exit 1\n'


def _in_a_root() -> bool:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return all(mount.split()[4] != "/" for mount in mounts)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Have a root made by this program; return its folder."""
    if os.geteuid() != 0 or _in_a_root():
        pytest.skip("roots are made on the host, by root")
    monkeypatch.setattr(roots, "mirror", lambda: "http://x")
    monkeypatch.setattr(Root, "_make_environment", lambda self: None)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def make(program: str) -> Path:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / "mmdebstrap").write_text(program)
        (tmp_path / "bin" / "mmdebstrap").chmod(0o755)
        root = Root("python-3.9", tmp_path)
        root.make()
        return root.path

    return make


def test_what_an_interrupted_setup_left_is_made_anew(
        tmp_path: Path, make: Callable[[str], Path]) -> None:
    half = tmp_path / "python-3.9.part"
    half.mkdir()
    (half / "old").touch()
    path = make(MMDEBSTRAP)
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert not half.exists()


def test_a_root_that_is_there_is_used_again(make: Callable[[str], Path]) -> None:
    path = make(MMDEBSTRAP)
    (path / "used").touch()
    assert (make(NO_ANSWER) / "used").exists()


def test_nothing_is_left_of_one_that_cannot_be_made(
        tmp_path: Path, make: Callable[[str], Path]) -> None:
    with pytest.raises(LabError, match="python-3.9: not made: Failed to fetch http://x: timed out"):
        make(NO_ANSWER)
    assert not [entry for entry in tmp_path.glob("python-3.9*") if entry.is_dir()]


def test_a_root_that_something_runs_in_is_not_removed(
        make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(MMDEBSTRAP)
    monkeypatch.setattr(roots, "inhabitants", lambda path: [7])
    with pytest.raises(LabError, match=r"processes \[7\] run in it"):
        Root("python-3.9", path.parent).remove()
    assert path.exists()


def test_a_root_is_removed(make: Callable[[str], Path]) -> None:
    path = make(MMDEBSTRAP)
    Root("python-3.9", path.parent).remove()
    assert not path.exists()


def test_who_lives_in_our_own_root_is_known() -> None:
    assert os.getpid() in roots.inhabitants(Path("/"))
