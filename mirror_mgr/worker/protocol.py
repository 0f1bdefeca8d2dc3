"""What the manager and a worker say to each other: JSON objects, one a line, on the pipes.

Pure, and shared by both ends.  A line is ``{"v": 1, "type": ..., <the fields of a class below>}``
in ASCII, at most `MAX_LINE` bytes with its newline.

Each end ignores keys that it does not know, and types that it does not know (`Unknown`), so that
either may be the newer one.  ``v`` grows only when that is not enough; another ``v`` is refused.

Manager to worker: `ManagerHello` first, then `WorkerOptions` and `Command` at any time.

Worker to manager: `WorkerHello` at once when it starts (before it has connected: ``address`` is
empty) and again for each new connection to the local cluster; then `Heartbeat` every
`HEARTBEAT_SECONDS`, whatever else the worker is busy with, and `Event`, `LogLine` as they come.
Times are seconds since the epoch, UTC.

Texts, numbers and lists have bounds too.  Who sends cuts to them, and who receives refuses what is
beyond: what is kept of the other end's words never grows with what that says.
"""

import dataclasses
import json
import math
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Type, Union

from ..errors import InvalidArgument, MalformedData

VERSION = 1
MAX_LINE = 4 << 20
HEARTBEAT_SECONDS = 2.0

# With these bounds the images of the longest heartbeat fit in MAX_LINE.
IMAGES_PER_HEARTBEAT = 200
NAME_LENGTH = 600
REASON_LENGTH = 500
REMOVED_PER_POOL = 10
WORD_LENGTH = 300
COUNTERS = 100

TEXT_LENGTH = 64 << 10
_DIGITS = 20

EXIT_FENCED = 85
"""The worker ends with this status when its client was blocklisted: all is well with another."""

COMMAND_STOP = 'stop'
COMMAND_REFRESH = 'refresh'

LEVELS = ('debug', 'info', 'warning', 'error')

_Reader = Callable[[Any], Any]


class _Wrong(Exception):
    """A value that is not what its field holds; decode() adds where."""


def _text_of(longest: int) -> _Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise _Wrong('not a string')
        if len(value) > longest:
            raise _Wrong('%d characters: the bound is %d' % (len(value), longest))
        return value
    return read


_text = _text_of(TEXT_LENGTH)
_name = _text_of(NAME_LENGTH)
_reason = _text_of(REASON_LENGTH)
_word = _text_of(WORD_LENGTH)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong('not an integer')
    return value


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _Wrong('not a number')
    if not math.isfinite(value):
        raise _Wrong('not a finite number')
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong('not true or false')
    return value


def _level(value: Any) -> str:
    return value if value in LEVELS else 'info'


def _mapping(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong('not an object')
    return value


def _optional(reader: _Reader) -> _Reader:
    return lambda value: None if value is None else reader(value)


def _many(reader: _Reader, most: Optional[int] = None) -> _Reader:
    def read(value: Any) -> Tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Wrong('not a list')
        if most is not None and len(value) > most:
            raise _Wrong('%d of them: the bound is %d' % (len(value), most))
        return tuple(reader(item) for item in value)
    return read


def _counts(value: Any) -> Dict[str, int]:
    if len(_mapping(value)) > COUNTERS:
        raise _Wrong('%d counters: the bound is %d' % (len(value), COUNTERS))
    return {_word(key): _integer(item) for key, item in value.items()}


def _record(cls: Type[Any]) -> _Reader:
    return lambda value: _read(cls, _mapping(value))


def _is(reader: _Reader, **more: Any) -> Any:
    """A dataclass field that `reader` reads from its JSON value."""
    return dataclasses.field(metadata={'reader': reader}, **more)


@dataclasses.dataclass(frozen=True)
class ManagerHello:
    """Who the worker is and how it reaches the local cluster; the first line that it reads.

    :ivar worker: its id, for `ceph rbd-mirror worker ls`
    :ivar entity: the cephx user, ``client.rbd-mirror.<...>``
    :ivar key: that user's secret; never shown by repr()
    :ivar mon_host: as in ceph.conf
    :ivar fsid: of the local cluster
    :ivar options: as in `WorkerOptions`
    :ivar dead: RADOS addresses (``127.0.0.1:0/123``) of workers that the manager knows are dead:
        locks that they left may be broken at once, after blocklisting them
    """

    worker: str = _is(_text)
    entity: str = _is(_text)
    key: str = _is(_text, repr=False)
    mon_host: str = _is(_text)
    fsid: str = _is(_text)
    options: Mapping[str, Any] = _is(_mapping, default_factory=dict)
    dead: Tuple[str, ...] = _is(_many(_text), default=())


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """Module options by name; those that are not named keep their value."""

    values: Mapping[str, Any] = _is(_mapping)


@dataclasses.dataclass(frozen=True)
class Command:
    """``stop``: end in order, at once.

    ``refresh``: look at pools again now, and at the images whose global ids are in ``images``.
    """

    name: str = _is(_text)
    args: Mapping[str, Any] = _is(_mapping, default_factory=dict)


@dataclasses.dataclass(frozen=True)
class WorkerHello:
    """Who runs: process id, RADOS address and instance id (global id) of the connection."""

    pid: int = _is(_integer)
    address: str = _is(_word, default='')
    instance_id: str = _is(_word, default='')


@dataclasses.dataclass(frozen=True)
class RemovedReport:
    """A copy whose primary is gone.

    :ivar name: what it was called
    :ivar id: of the image, by which it is found in the trash
    :ivar until: when it goes for good
    :ivar held: it is no trash yet: so many went at once that an administrator is waited for
    """

    name: str = _is(_name)
    id: str = _is(_word)
    until: float = _is(_number)
    held: bool = _is(_flag, default=False)


@dataclasses.dataclass(frozen=True)
class PoolReport:
    """One pool, or namespace of it, as a worker sees it.

    :ivar name: ``pool`` or ``pool/namespace``
    :ivar leader: this worker holds the pool's leader lock
    :ivar foreign_leader: who else holds it, where that is no worker of ours
    :ivar images: counts, ``total`` and one for each word of `states` that there is one of
    :ivar peer_error: why nothing is replayed from the peer
    :ivar removed: copies that are kept though their primary is gone, `REMOVED_PER_POOL` at most,
        of `removed_total`, of which `held_total` are held
    """

    id: int = _is(_integer)
    name: str = _is(_name)
    leader: bool = _is(_flag, default=False)
    foreign_leader: Optional[str] = _is(_optional(_reason), default=None)
    images: Mapping[str, int] = _is(_counts, default_factory=dict)
    peer_error: Optional[str] = _is(_optional(_reason), default=None)
    removed: Tuple[RemovedReport, ...] = _is(
        _many(_record(RemovedReport), REMOVED_PER_POOL), default=())
    removed_total: int = _is(_integer, default=0)
    held_total: int = _is(_integer, default=0)


@dataclasses.dataclass(frozen=True)
class SyncReport:
    """How far the copy of one snapshot is.

    :ivar snapshot: its id at the primary
    :ivar percent: 0 to 100
    :ivar bytes_total: an estimate; None while there is none
    :ivar seconds_left: likewise
    """

    snapshot: int = _is(_integer)
    percent: float = _is(_number)
    bytes_done: int = _is(_integer, default=0)
    bytes_total: Optional[int] = _is(_optional(_integer), default=None)
    bytes_per_second: float = _is(_number, default=0.0)
    seconds_left: Optional[float] = _is(_optional(_number), default=None)


@dataclasses.dataclass(frozen=True)
class ImageReport:
    """One image.

    :ivar spec: ``pool[/namespace]/image``; cut to `NAME_LENGTH` characters on the pipe
    :ivar state: one of `states`
    :ivar reason: why, for people; cut to `REASON_LENGTH` characters on the pipe
    :ivar since: when it came into this state
    :ivar copied: when the primary was as the copy is
    :ivar sync: the copy under way
    :ivar current: the copy has all that the primary has; it counts for each later heartbeat as well
    """

    spec: str = _is(_name)
    global_id: str = _is(_word)
    state: str = _is(_word)
    reason: str = _is(_reason, default='')
    since: float = _is(_number, default=0.0)
    copied: Optional[float] = _is(_optional(_number), default=None)
    sync: Optional[SyncReport] = _is(_optional(_record(SyncReport)), default=None)
    current: bool = _is(_flag, default=False)


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """The worker's event loop turns.

    :ivar counters: ``rss_bytes``, ``bytes_in_flight``, ``bytes_copied``, ``syncs``, ...
    :ivar pools: every pool that the worker looks after
    :ivar images: those that changed since the last heartbeat, `IMAGES_PER_HEARTBEAT` at most;
        more of them wait for the next
    :ivar removed: global ids of images that are mirrored no more
    """

    counters: Mapping[str, int] = _is(_counts, default_factory=dict)
    pools: Tuple[PoolReport, ...] = _is(_many(_record(PoolReport)), default=())
    images: Tuple[ImageReport, ...] = _is(
        _many(_record(ImageReport), IMAGES_PER_HEARTBEAT), default=())
    removed: Tuple[str, ...] = _is(_many(_word), default=())


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that the administrator should be able to read later."""

    level: str = _is(_level)
    code: str = _is(_word)
    text: str = _is(_text)


@dataclasses.dataclass(frozen=True)
class LogLine:
    """A line for the manager's log."""

    level: str = _is(_level)
    text: str = _is(_text)


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A message of a type that this end does not know: to be ignored."""

    type: str


Message = Union[ManagerHello, WorkerOptions, Command, WorkerHello, Heartbeat, Event,
                LogLine, Unknown]

_TYPES: Dict[str, Type[Any]] = {
    'manager-hello': ManagerHello,
    'options': WorkerOptions,
    'command': Command,
    'worker-hello': WorkerHello,
    'heartbeat': Heartbeat,
    'event': Event,
    'log': LogLine,
}
_NAMES = {cls: name for name, cls in _TYPES.items()}


def encode(message: Message) -> bytes:
    """Given a message, return its line with the newline.

    Raise InvalidArgument where it is longer than `MAX_LINE` or no message of ours.
    """
    name = _NAMES.get(type(message))
    if name is None:
        raise InvalidArgument('%s is no message to send' % type(message).__name__)
    fields = {'v': VERSION, 'type': name}
    fields.update(dataclasses.asdict(_bounded(message)))
    line = json.dumps(fields, separators=(',', ':')).encode('ascii') + b'\n'
    if len(line) > MAX_LINE:
        raise InvalidArgument('%s message of %d bytes: the bound is %d' % (
            name, len(line), MAX_LINE))
    return line


def decode(line: bytes) -> Message:
    """Given one line, with or without its newline, return the message.

    Raise MalformedData, which never quotes the line: it may hold a key.
    """
    if len(line) > MAX_LINE:
        raise MalformedData('line of %d bytes: the bound is %d' % (len(line), MAX_LINE))
    try:
        fields = json.loads(line, parse_int=_parsed_integer)
    except (ValueError, RecursionError):
        raise MalformedData('line of %d bytes is not JSON' % len(line)) from None
    if not isinstance(fields, dict):
        raise MalformedData('line is not a JSON object')
    if fields.get('v') != VERSION:
        raise MalformedData('protocol version is not %d: manager and worker are of different '
                            'installations; disable and enable the module' % VERSION)
    name = fields.get('type')
    if not isinstance(name, str):
        raise MalformedData('line has no type')
    cls = _TYPES.get(name)
    if cls is None:
        return Unknown(name[:80])
    try:
        return _read(cls, fields)
    except _Wrong as wrong:
        raise MalformedData('%s: %s' % (name, wrong)) from None


def _read(cls: Type[Any], fields: Mapping[str, Any]) -> Any:
    values = {}
    for field in dataclasses.fields(cls):
        if field.name in fields:
            try:
                values[field.name] = field.metadata['reader'](fields[field.name])
            except _Wrong as wrong:
                raise _Wrong('%s: %s' % (field.name, wrong)) from None
        elif (field.default is dataclasses.MISSING
              and field.default_factory is dataclasses.MISSING):
            raise _Wrong('%s is missing' % field.name)
    return cls(**values)


def _parsed_integer(digits: str) -> int:
    """Reading a number of a million digits would take minutes."""
    if len(digits) > _DIGITS:
        raise ValueError('a number of %d digits' % len(digits))
    return int(digits)


def _bounded(message: Message) -> Message:
    if isinstance(message, (Event, LogLine)):
        return dataclasses.replace(message, text=message.text[:TEXT_LENGTH])
    if not isinstance(message, Heartbeat):
        return message
    if len(message.images) > IMAGES_PER_HEARTBEAT:
        raise InvalidArgument('heartbeat of %d images: the bound is %d' % (
            len(message.images), IMAGES_PER_HEARTBEAT))
    images = tuple(dataclasses.replace(image, spec=image.spec[:NAME_LENGTH],
                                       reason=image.reason[:REASON_LENGTH])
                   for image in message.images)
    pools = tuple(dataclasses.replace(pool, name=pool.name[:NAME_LENGTH],
                                      foreign_leader=_cut(pool.foreign_leader),
                                      peer_error=_cut(pool.peer_error),
                                      removed=tuple(dataclasses.replace(
                                          one, name=one.name[:NAME_LENGTH])
                                          for one in pool.removed))
                  for pool in message.pools)
    return dataclasses.replace(message, images=images, pools=pools)


def _cut(reason: Optional[str]) -> Optional[str]:
    return None if reason is None else reason[:REASON_LENGTH]
