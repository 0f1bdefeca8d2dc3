import grp
import logging
import os
import pwd
from contextlib import contextmanager

import pytest

from mirror_mgr.errors import Busy, InvalidArgument, NotFound
from mirror_mgr.worker import daemonize
from mirror_mgr.worker.options import Options


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder to be in and a home, both empty."""
    monkeypatch.delenv("CEPH_CONF", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_conf_that_the_environment_names(elsewhere, monkeypatch):
    monkeypatch.setenv("CEPH_CONF", "/some/where.conf")
    (elsewhere / "no-such-cluster.conf").touch()
    assert daemonize.find_conf("no-such-cluster") == "/some/where.conf"


def test_the_home_goes_before_the_current_folder(elsewhere):
    here = elsewhere / "no-such-cluster.conf"
    here.touch()
    assert daemonize.find_conf("no-such-cluster") == os.path.abspath("no-such-cluster.conf")
    home = elsewhere / "home" / ".ceph" / "no-such-cluster.conf"
    home.parent.mkdir(parents=True)
    home.touch()
    assert daemonize.find_conf("no-such-cluster") == str(home)


def test_no_conf_anywhere(elsewhere):
    with pytest.raises(InvalidArgument) as caught:
        daemonize.find_conf("no-such-cluster")
    assert "/etc/ceph/no-such-cluster.conf" in str(caught.value) and "-c" in str(caught.value)


@contextmanager
def prepared(**wanted):
    """A process with no log yet that has become what is wanted."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []
    options = Options(foreground=True, **wanted)
    try:
        daemonize.prepare(options)
        yield options
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)


def test_in_the_foreground(tmp_path):
    pid_file, log_file = tmp_path / "pid", tmp_path / "log"
    with prepared(pid_file=str(pid_file), log_file=str(log_file)) as options:
        assert pid_file.read_text() == f"{os.getpid()}\n"
        logging.getLogger("x").info("hello")
        assert log_file.read_text().endswith(" INFO x: hello\n")
        daemonize.remove_pid_file(options)
        daemonize.remove_pid_file(options)
    assert not pid_file.exists()


def test_a_pid_file_has_one_process(tmp_path):
    pid_file = tmp_path / "pid"
    with prepared(pid_file=str(pid_file)) as options:
        with pytest.raises(Busy, match=str(os.getpid())), prepared(pid_file=str(pid_file)):
            pass
        assert pid_file.read_text() == f"{os.getpid()}\n"
        daemonize.remove_pid_file(options)


@pytest.mark.parametrize("option", ["pid_file", "log_file"])
def test_files_that_can_t_be(option, tmp_path):
    path = tmp_path / "no such folder" / "file"
    with pytest.raises(NotFound, match=f"--{option.replace('_', '-')} {path}"):
        with prepared(**{option: str(path)}):
            pass


def test_the_log_goes_to_stderr_where_that_is_asked_for(tmp_path, capfd):
    log_file = tmp_path / "log"
    with prepared(log_to_stderr=True, log_file=str(log_file)):
        logging.getLogger("x").info("hello")
    assert "hello" in capfd.readouterr().err and not log_file.exists()


@pytest.fixture
def becomes(monkeypatch):
    """Whom the process becomes, in order."""
    found = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", lambda numbers: found.append(("groups", numbers)))
    monkeypatch.setattr(os, "initgroups",
                        lambda name, number: found.append(("groups of", name, number)))
    monkeypatch.setattr(os, "setgid", lambda number: found.append(("group", number)))
    monkeypatch.setattr(os, "setuid", lambda number: found.append(("user", number)))
    return found


def test_another_user_by_number(becomes):
    """The group goes first: a user that is not root may change neither."""
    with prepared(setuser="640450", setgroup="64046"):
        pass
    assert becomes == [("groups", [64046]), ("group", 64046), ("user", 640450)]


def test_another_user_by_name(becomes):
    with prepared(setuser="nobody", setgroup=grp.getgrgid(0).gr_name):
        pass
    assert becomes == [("groups of", "nobody", 0), ("group", 0),
                       ("user", pwd.getpwnam("nobody").pw_uid)]


@pytest.mark.parametrize("name", ["nobody", str(pwd.getpwnam("nobody").pw_uid)])
def test_another_user_with_the_groups_of_its_own(becomes, name):
    user = pwd.getpwnam("nobody")
    with prepared(setuser=name):
        pass
    assert becomes == [("groups of", "nobody", user.pw_gid), ("group", user.pw_gid),
                       ("user", user.pw_uid)]


def test_another_group_alone(becomes):
    with prepared(setgroup="64046"):
        pass
    assert becomes == [("group", 64046)]


@pytest.mark.parametrize("option", ["setuser", "setgroup"])
def test_users_that_are_not_there(option, becomes):
    with pytest.raises(InvalidArgument) as caught, prepared(**{option: "no such one"}):
        pass
    assert f"--{option}" in str(caught.value) and becomes == []


def test_the_version_is_the_package_s():
    from mirror_mgr import __version__
    assert daemonize.version() == __version__


def test_the_pid_file_stays_locked_by_what_the_process_executes(tmp_path):
    path = str(tmp_path / "pid")
    file = daemonize._lock_pid_file(path)
    try:
        assert os.get_inheritable(file)
        with pytest.raises(Busy):
            daemonize._lock_pid_file(path)
    finally:
        os.close(file)


def test_resumed_it_logs_where_it_may(tmp_path, capfd):
    for log_file, shown in ((tmp_path / "log", False), (tmp_path / "nowhere" / "log", True)):
        root = logging.getLogger()
        before, root.handlers[:] = root.handlers[:], []
        try:
            daemonize.resume(Options(foreground=True, log_file=str(log_file)))
            logging.getLogger("x").error("hello")
        finally:
            root.handlers[:] = before
        assert ("hello" in capfd.readouterr().err) == shown
    assert "hello" in (tmp_path / "log").read_text()
