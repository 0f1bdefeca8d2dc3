"""How a worker process is started: the interpreter, the command line, the environment.

ceph-mgr is C++ with many threads and embedded interpreters: fork, multiprocessing and preexec_fn
are unsafe there; subprocess.Popen of a fresh interpreter works.
"""

import errno
import os
import shutil
import subprocess
import sys
from typing import Dict, List, Optional

from ..errors import NotFound, from_errno

_PASSED_ON = ('PATH', 'LD_LIBRARY_PATH', 'TZ')
_OUR_PREFIX = 'MIRROR_MGR_'
_PACKAGE = __name__.split('.')[0]


def command(python: Optional[str]) -> List[str]:
    """Given the module option ``worker_python`` or None, return the words that start a worker.

    Raise NotFound where there is no such interpreter.
    """
    return [_interpreter(python), '-s', '-m', _PACKAGE + '.worker', '--managed']


def start(words: List[str]) -> 'subprocess.Popen[bytes]':
    """Given the words, start the process with pipes.  Raise the error of the errno.

    A session of its own keeps a signal to the manager's terminal from the worker.  Linux takes
    the *thread* that starts a process for its parent: a worker that asks for a signal on its
    parent's death gets it when the calling thread ends.
    """
    try:
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            close_fds=True, start_new_session=True, cwd='/', env=environment())
    except OSError as error:
        raise from_errno(error.errno or errno.EIO, "'%s' cannot be started: %s" % (
            words[0], error.strerror)) from error


def environment() -> Dict[str, str]:
    """Return a worker's environment: of the manager's, where programs are and what is ours.

    The real folder of the package comes first, as the module path may hold a link to it; then
    the manager's own search path, where python-rados may be.
    """
    env = {name: value for name, value in os.environ.items()
           if name in _PASSED_ON or name.startswith(_OUR_PREFIX)}
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    env['PYTHONPATH'] = os.pathsep.join(filter(None, [here, os.environ.get('PYTHONPATH')]))
    env['LANG'] = 'C.UTF-8'
    return env


def _interpreter(python: Optional[str]) -> str:
    if python:
        found = shutil.which(python)
        if not found:
            raise NotFound("'%s': no such program; set the option worker_python to a Python 3 "
                           'that has python3-rados and python3-rbd' % python)
        return found
    for candidate in _candidates():
        found = shutil.which(candidate)
        if found:
            return found
    raise NotFound('no Python 3 interpreter found; set the option worker_python to one that has '
                   'python3-rados and python3-rbd')


def _candidates() -> List[str]:
    """An interpreter embedded in ceph-mgr does not know its own program: sys.executable is empty.

    The one of the same version in /usr/bin is where distributions put python3-rados.
    """
    version = 'python%d.%d' % sys.version_info[:2]
    own = sys.executable or ''
    return [own] * os.path.basename(own).startswith('python') + [
        '/usr/bin/' + version, version, '/usr/bin/python3', 'python3']
