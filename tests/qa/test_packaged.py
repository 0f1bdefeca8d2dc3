"""What a package that was removed has left in a system."""

import os
import stat
from pathlib import Path

import pytest

from qa.packaged import leftovers


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    for folder in ("etc/systemd", "usr/share/ceph/mgr", "var/lib/dpkg", "var/log"):
        (base / folder).mkdir(parents=True)
    return base


@pytest.fixture
def changes(tmp_path: Path) -> Path:
    changes = tmp_path / "changes"
    changes.mkdir()
    return changes


def put(changes: Path, *names: str) -> None:
    for name in names:
        path = changes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_books_and_what_the_interpreter_compiles_of_others_are_none(base, changes):
    put(changes, "var/lib/dpkg/status", "var/log/apt/history.log")
    (base / "usr/share/ceph/mgr/status/__pycache__").mkdir(parents=True)
    put(changes, "usr/share/ceph/mgr/status/__pycache__/module.pyc")
    (changes / "etc/systemd").mkdir(parents=True)
    assert list(leftovers(changes, base)) == []


def test_files_and_folders_are(base, changes):
    put(changes, "usr/share/ceph/mgr/mirror_mgr/__pycache__/module.pyc")
    (changes / "etc/systemd/wanted").mkdir(parents=True)
    mgr = "/usr/share/ceph/mgr/mirror_mgr"
    assert sorted(leftovers(changes, base)) == [
        "/etc/systemd/wanted", mgr, f"{mgr}/__pycache__", f"{mgr}/__pycache__/module.pyc"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_what_is_gone_is(base, changes):
    (changes / "etc").mkdir()
    os.mknod(changes / "etc/ceph.conf", stat.S_IFCHR, os.makedev(0, 0))
    assert list(leftovers(changes, base)) == ["/etc/ceph.conf (gone)"]
