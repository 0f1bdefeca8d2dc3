"""What `python -m build` makes holds all that the repository has."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from mirror_mgr import __version__

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or not (REPOSITORY / ".git").exists(),
    reason="the list of files is git's")


@pytest.fixture(scope="module")
def files():
    """All that git knows of."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True,
                            capture_output=True, text=True)
    names = filter(None, listed.stdout.split("\0"))
    return {name for name in names if (REPOSITORY / name).exists()}


@pytest.fixture(scope="module")
def built(files, tmp_path_factory):
    """The folder of both distributions, made of a copy: setuptools leaves files in its source."""
    source = tmp_path_factory.mktemp("source")
    for name in files:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return source / "dist"


def test_the_sdist_has_every_file(built, files):
    with tarfile.open(built / f"mirror_mgr-{__version__}.tar.gz") as archive:
        names = {str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
                 for member in archive.getmembers() if member.isfile()}
    made = {name for name in names
            if name == "PKG-INFO" or name.startswith("mirror_mgr.egg-info/")}
    assert names - made == files


def test_the_wheel_has_the_whole_package_and_nothing_else(built, files):
    with zipfile.ZipFile(built / f"mirror_mgr-{__version__}-py3-none-any.whl") as archive:
        names = set(archive.namelist())
    info = {name for name in names if name.startswith(f"mirror_mgr-{__version__}.dist-info/")}
    assert names - info == {name for name in files if name.startswith("mirror_mgr/")}
    assert any(PurePosixPath(name).name == "LICENSE" for name in info)


def test_changes_begin_with_this_version():
    headings = [line for line in (REPOSITORY / "CHANGES.rst").read_text().splitlines()
                if line[:1].isdigit()]
    assert headings[0].split()[0] == __version__
