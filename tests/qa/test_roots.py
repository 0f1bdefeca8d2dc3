"""What a root is, what is mounted in it, and what is left of one that was interrupted."""

from pathlib import Path

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
