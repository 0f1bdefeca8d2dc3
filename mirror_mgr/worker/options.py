"""The worker's command line: the forms that Ceph's daemons take.

``--opt value``, ``--opt=value`` and ``--opt_name`` all do, and the last of several counts.  What
is not an option of ours goes to librados' conf_parse_argv, which knows all of Ceph's.
"""

import dataclasses
from typing import Dict, List, Optional, Sequence, Set, Tuple

from ..errors import InvalidArgument

PROGRAM = 'mirror-mgr-worker'

USAGE = """\
usage: mirror-mgr-worker [options]
       mirror-mgr-worker --managed

Replays the mirrored images of the other site to this one, as the rbd-mirror
daemon does.

  -c, --conf FILE         ceph.conf of the local cluster (default: as Ceph)
      --cluster NAME      name of the local cluster (default: ceph)
  -n, --name TYPE.ID      cephx user (default: client.admin)
  -i, --id ID             the same, without its type
  -f, --foreground        do not become a daemon
  -d                      the same, and log to stderr
      --log-file FILE     append the log to FILE
      --pid-file FILE     write the process id to FILE
      --admin-socket S    listen there for 'ceph --admin-daemon S ...'
      --setuser USER      run as USER (name or number)
      --setgroup GROUP    run as GROUP (name or number)
      --managed           take everything from the manager, on stdin
  -v, --version           print the version
  -h, --help              print this
      --OPTION VALUE      any option of Ceph, such as --keyring FILE

A key is never given here, where every user of the machine can read it: use a
keyring or --keyfile.
"""

RUN, VERSION, HELP = 'run', 'version', 'help'

_WITH_VALUE = {
    '-c': 'conf', '--conf': 'conf',
    '--cluster': 'cluster',
    '-n': 'entity', '--name': 'entity',
    '--log-file': 'log_file',
    '--pid-file': 'pid_file',
    '--admin-socket': 'admin_socket',
    '--setuser': 'setuser',
    '--setgroup': 'setgroup',
}
_IDS = ('-i', '--id', '--user')
_FLAGS = {
    '-f': 'foreground', '--foreground': 'foreground',
    '-d': 'debug',
    '--managed': 'managed',
    '-v': VERSION, '--version': VERSION,
    '-h': HELP, '--help': HELP,
}
# Short forms that librados' conf_parse_argv knows, all with a value.
_CEPH_SHORT = ('-m', '-k', '-K')


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asks for.

    :ivar action: `RUN`, `VERSION` or `HELP`
    :ivar managed: a manager is at the other end of stdin; nothing else is given then
    :ivar foreground: do not become a daemon
    :ivar log_to_stderr: ``-d``
    :ivar conf: None is librados' own search (``CEPH_CONF``, ``/etc/ceph/<cluster>.conf``, ...)
    :ivar entity: the cephx user with its type
    :ivar ceph_args: for conf_parse_argv; what that gives back is for `refuse_leftovers`
    """

    action: str = RUN
    managed: bool = False
    foreground: bool = False
    log_to_stderr: bool = False
    conf: Optional[str] = None
    cluster: str = 'ceph'
    entity: str = 'client.admin'
    log_file: Optional[str] = None
    pid_file: Optional[str] = None
    admin_socket: Optional[str] = None
    setuser: Optional[str] = None
    setgroup: Optional[str] = None
    ceph_args: Tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Options:
    """Given the words after the program's name, return the options.

    Raise InvalidArgument for a word that no option takes, a value that is missing, a name that
    is no client's, and a key.
    """
    values, flags, ceph_args = _sort(list(argv))
    for action in (HELP, VERSION):
        if action in flags:
            return Options(action=action)
    if 'managed' in flags:
        if values or ceph_args or flags != {'managed'}:
            raise InvalidArgument('--managed: takes everything else from the manager; give no '
                                  'other option')
        return Options(managed=True, foreground=True)
    _check_entity(values.get('entity', Options.entity))
    return Options(
        foreground=bool(flags & {'foreground', 'debug'}),
        log_to_stderr='debug' in flags,
        ceph_args=tuple(ceph_args),
        **values)  # type: ignore[arg-type]


def refuse_leftovers(rest: Sequence[str]) -> None:
    """Given what conf_parse_argv did not understand, raise InvalidArgument if that is anything."""
    if rest:
        raise _unexpected(rest[0])


def _sort(words: List[str]) -> Tuple[Dict[str, str], Set[str], List[str]]:
    """Given the words, return the fields of Options by name, the flags, and what is Ceph's."""
    values: Dict[str, str] = {}
    flags: Set[str] = set()
    ceph_args: List[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = _split(word)
        if name == '--key':
            raise InvalidArgument('--key: every user of this machine could read it; put it in a '
                                  'keyring, or in a file named by --keyfile')
        if name in _WITH_VALUE:
            values[_WITH_VALUE[name]] = value if equals else _next(name, words)
        elif name in _IDS:
            values['entity'] = 'client.' + (value if equals else _next(name, words))
        elif name in _FLAGS and not equals:
            flags.add(_FLAGS[name])
        elif name in _CEPH_SHORT:
            ceph_args += [name, _next(name, words)]
        elif _is_ceph_option(name):
            ceph_args.append(word)
            if not equals and words and not words[0].startswith('-'):
                ceph_args.append(words.pop(0))
        else:
            raise _unexpected(word)
    return values, flags, ceph_args


def _is_ceph_option(name: str) -> bool:
    return len(name) > 2 and name.startswith('--') and name not in _FLAGS


def _unexpected(word: str) -> InvalidArgument:
    return InvalidArgument('%s: no such option; try %s --help' % (word.split('=')[0], PROGRAM))


def _split(word: str) -> Tuple[str, bool, str]:
    """Given a word, return its option in dashes, whether a value is attached, and that value."""
    if not word.startswith('--'):
        return word, False, ''
    name, equals, value = word.partition('=')
    return '--' + name[2:].replace('_', '-'), bool(equals), value


def _next(name: str, words: List[str]) -> str:
    if not words:
        raise InvalidArgument('%s: needs a value; try %s --help' % (name, PROGRAM))
    return words.pop(0)


def _check_entity(entity: str) -> None:
    kind, _, ident = entity.partition('.')
    if kind != 'client' or not ident:
        raise InvalidArgument("'%s': a worker runs as a client; give -n client.ID" % entity)
