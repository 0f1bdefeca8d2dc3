"""With a short program in the place of `rados`."""

import os
from pathlib import Path

import pytest

from mirror_mgr.admin import openers
from mirror_mgr.admin.child import Login, Start
from mirror_mgr.admin.openers import mirroring_clients
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.errors import DeadlineExceeded, MirrorError, NotFound

LOGIN = Login("ceph.conf", "mgr.x", "keyring")
POOL = parse_pool("p/ns")


@pytest.fixture
def how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    return Start([], {"PATH": path})


def install(directory: Path, text: str) -> None:
    program = directory / "rados"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_watchers_of_the_list_of_images(how: Start, tmp_path: Path) -> None:
    install(tmp_path, f"""echo "$@" > {tmp_path}/arguments
echo "watcher=127.0.0.1:0/3145957155 client.4392 cookie=139807296624384"
echo "watcher=[::1]:0/775796419 client.4374 cookie=140547440301600"
echo "watcher=[::1]:0/775796419 client.4374 cookie=140547440301601"
echo "2026-11-28T05:14:19.217+0000 7fc08d349d00 -1 asok: client.1 is what a log says" >&2""")
    assert mirroring_clients(how, LOGIN, POOL) == {4392, 4374}
    arguments = (tmp_path / "arguments").read_text()
    assert "--name mgr.x --keyring keyring" in arguments
    assert "--pool=p --namespace=ns listwatchers rbd_mirroring" in arguments


def test_an_error_says_what_it_was_for(how: Start, tmp_path: Path) -> None:
    install(tmp_path, "echo 'no way' >&2; exit 1")
    with pytest.raises(MirrorError, match="pool 'p/ns': can't tell who mirrors it.*no way"):
        mirroring_clients(how, LOGIN, POOL)


def test_no_answer(how: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "exec sleep 60")
    monkeypatch.setattr(openers, "_ASK_SECONDS", 0.2)
    with pytest.raises(DeadlineExceeded, match="'p/ns'.*ceph health"):
        mirroring_clients(how, LOGIN, POOL)


def test_no_such_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="install ceph-common"):
        mirroring_clients(Start([], {"PATH": str(tmp_path)}), LOGIN, POOL)
