"""What a daemon does around its work: conf file, log, pid file, user, background."""

import ctypes
import grp
import logging
import logging.handlers
import os
import pwd
import signal
import sys
from dataclasses import replace

from ..cluster.connection import configured
from ..errors import InvalidArgument
from .options import Options, refuse_leftovers

_PR_SET_PDEATHSIG = 1
# As the daemon has them where nothing else is said.
_USUAL_SOCKET = "$run_dir/$cluster-$name.$pid.$cctid.asok"
_USUAL_LOG = "/var/log/ceph/$cluster-$name.log"
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def version() -> str:
    """The installed package's version."""
    from .. import __version__
    return __version__


def die_with_parent() -> None:
    """Have the kernel end this process when the manager ends, even if it is stopped or hangs.

    The end of the pipe does it for a process that runs; this is for one that does not.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def find_conf(cluster: str) -> str:
    """Ceph's own search: CEPH_CONF, then /etc/ceph/<cluster>.conf, ~/.ceph, the current folder."""
    named = os.environ.get("CEPH_CONF")
    if named:
        return named
    candidates = [f"/etc/ceph/{cluster}.conf",
                  os.path.expanduser(f"~/.ceph/{cluster}.conf"), f"{cluster}.conf"]
    for path in candidates:
        if os.path.exists(path):
            return path
    raise InvalidArgument(f"no conf of cluster {cluster!r} found (looked at "
                          f"{', '.join(candidates)}); name it by -c or CEPH_CONF")


def complete(wanted: Options) -> Options:
    """Given what the command line asks for, add what ceph.conf or Ceph's own defaults say.

    Raise InvalidArgument for an option that neither we nor Ceph know, and for a wrong value.
    """
    conffile = os.path.abspath(wanted.conf or find_conf(wanted.cluster))
    # In the foreground a log that nobody asked for goes to the terminal.
    usual_log = "" if wanted.foreground else _USUAL_LOG
    found, rest = configured(wanted.entity, conffile, wanted.ceph_args, wanted.cluster,
                             {"pid_file": "", "log_file": usual_log})
    refuse_leftovers(rest)
    return replace(wanted, conf=conffile,
                   pid_file=wanted.pid_file or found["pid_file"] or None,
                   log_file=wanted.log_file or found["log_file"] or None)


def admin_socket(wanted: Options) -> str:
    """Where to listen; to be asked after `prepare`, as the name may hold the process id."""
    if wanted.admin_socket:
        return wanted.admin_socket
    assert wanted.conf is not None
    found, _ = configured(wanted.entity, wanted.conf, wanted.ceph_args, wanted.cluster,
                          {"admin_socket": _USUAL_SOCKET})
    return found["admin_socket"]


def prepare(wanted: Options) -> None:
    """Become what the command line asks for; before any thread or connection is made."""
    if not wanted.foreground:
        _into_background()
    if wanted.pid_file:
        with open(wanted.pid_file, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    _set_up_log(wanted)
    _change_user(wanted)


def remove_pid_file(wanted: Options) -> None:
    if wanted.pid_file and os.path.exists(wanted.pid_file):
        os.unlink(wanted.pid_file)


def _into_background() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _set_up_log(wanted: Options) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if wanted.log_file and not wanted.log_to_stderr:
        # One that notices when logrotate moved the file away.
        handler = logging.handlers.WatchedFileHandler(wanted.log_file)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _change_user(wanted: Options) -> None:
    if wanted.setgroup:
        os.setgid(_group_id(wanted.setgroup))
    if wanted.setuser:
        os.setuid(_user_id(wanted.setuser))


def _user_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise InvalidArgument(f"--setuser: no user {name!r} here") from None


def _group_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidArgument(f"--setgroup: no group {name!r} here") from None


