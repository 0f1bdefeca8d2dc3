"""What a daemon does around its work: conf file, log, pid file, user, background."""

import ctypes
import errno
import fcntl
import grp
import logging
import logging.handlers
import os
import pwd
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Iterator, NamedTuple, Optional

from .. import oneline
from ..cluster.connection import configured
from ..errors import AlreadyRunning, InvalidArgument, MirrorError, from_errno
from . import conffile
from .options import Options, refuse_leftovers

_PR_SET_PDEATHSIG = 1
# As the daemon has them where nothing else is said.
_USUAL_SOCKET = "$run_dir/$cluster-$name.$pid.$cctid.asok"
_USUAL_LOG = "/var/log/ceph/$cluster-$name.log"
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _User(NamedTuple):
    """`group` is its first one; `name` None for a number that no user has."""

    id: int
    group: int
    name: Optional[str]


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
    """What CEPH_CONF names, else where Ceph's programs look for the cluster's."""
    found = os.environ.get("CEPH_CONF") or conffile.find(cluster)
    if found is None:
        raise InvalidArgument(f"no conf of cluster {cluster!r} found (looked at "
                              f"{', '.join(conffile.candidates(cluster))}); name it by -c or "
                              "CEPH_CONF")
    return found


def complete(wanted: Options) -> Options:
    """Given what the command line asks for, add what ceph.conf or Ceph's own defaults say.

    Raise InvalidArgument for an option that neither we nor Ceph know, and for a wrong value.
    """
    conf = os.path.abspath(wanted.conf or find_conf(wanted.cluster))
    # In the foreground a log that nobody asked for goes to the terminal.
    usual_log = "" if wanted.foreground else _USUAL_LOG
    found, rest = configured(wanted.entity, conf, wanted.ceph_args, wanted.cluster,
                             {"pid_file": "", "log_file": usual_log})
    refuse_leftovers(rest)
    pid_file = wanted.pid_file or found["pid_file"]
    return replace(wanted, conf=conf,
                   pid_file=os.path.abspath(pid_file) if pid_file else None,
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
    """Become what the command line asks for; before any thread or connection is made.

    What can't be is refused by a MirrorError while there is somebody to be told, before the process
    goes into the background.
    """
    group = _group_id(wanted.setgroup) if wanted.setgroup else None
    user = _user(wanted.setuser) if wanted.setuser else None
    pid_file = _lock_pid_file(wanted.pid_file) if wanted.pid_file else None
    _set_up_log(wanted)
    if not wanted.foreground:
        _into_background()
    if pid_file is not None:
        os.truncate(pid_file, 0)
        os.write(pid_file, b"%d\n" % os.getpid())
    _become(user, group)


def resume(wanted: Options) -> None:
    """In a process that is all that already, and began anew: log where it did."""
    try:
        _set_up_log(wanted)
    except MirrorError as error:
        # The user that we became may not open what the one before could.
        _set_up_log(replace(wanted, log_file=None))
        logging.getLogger(__name__).warning("%s", error)
    if not wanted.foreground:
        os.chdir("/")


def _become(user: Optional[_User], group: Optional[int]) -> None:
    """Keep nothing of root: a user has the groups of its own, the first of them unless another is
    asked for."""
    if user is not None:
        group = user.group if group is None else group
        if os.geteuid() == 0:
            if user.name is None:
                os.setgroups([group])
            else:
                os.initgroups(user.name, group)
    if group is not None:
        os.setgid(group)
    if user is not None:
        os.setuid(user.id)


def _lock_pid_file(path: str) -> int:
    """Open the file for as long as the process lives, as Ceph's daemons do.

    Raise AlreadyRunning if another process has it.
    """
    with _refusing("--pid-file", path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(file, 32).decode(errors="replace").strip()
            raise AlreadyRunning(
                f"--pid-file {path}: process {pid} runs with it; "
                "stop that one first, or name another file") from None
        # So that the process has it also where it executes itself anew.
        os.set_inheritable(file, True)
    return file


@contextmanager
def _refusing(option: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_errno(error.errno or errno.EIO,
                         f"{option} {path}: {error.strerror}; name another file") from None


def remove_pid_file(wanted: Options) -> None:
    if wanted.pid_file:
        with suppress(OSError):  # the user that we became may not, or it is gone
            os.unlink(wanted.pid_file)


def _into_background() -> None:
    """The folder stays, as the daemon's does: the conf of a peer may be there."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _set_up_log(wanted: Options) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if wanted.log_file and not wanted.log_to_stderr:
        with _refusing("--log-file", wanted.log_file):
            # One that notices when logrotate moved the file away.
            handler = logging.handlers.WatchedFileHandler(wanted.log_file)
    handler.setFormatter(oneline.Formatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _user(name: str) -> _User:
    try:
        known = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        if not name.isdigit():
            raise InvalidArgument(f"--setuser: no user {name!r} here") from None
        return _User(int(name), os.getgid(), None)
    return _User(known.pw_uid, known.pw_gid, known.pw_name)


def _group_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidArgument(f"--setgroup: no group {name!r} here") from None
