"""The commands of ``ceph rbd-mirror`` as values, and how one is carried out.

What a function's signature says is what the ``ceph`` CLI is told: `PoolText` and `ImageText` for
specs, `Text`, str and bool for the rest; a default makes an argument optional.  Whether a word is
one of a few is for the code below to say: the CLI silently takes one that is not for the next
optional argument.  `--format` is the CLI's own argument and comes with every command.
"""

import errno
import inspect
import logging
from dataclasses import dataclass
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    NewType,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    TypeVar,
    get_args,
)

from .. import output
from ..admin.peer_probe import Sight
from ..admin.specs import ImageSpec, PoolSpec
from ..admin.status import Witnesses
from ..admin.token import Token
from ..errors import Fenced, InvalidArgument, MirrorError
from ..model import Outcome
from ..oneline import lines
from ..schedule.scheduler import Scheduler
from ..supervisor.supervisor import Supervisor
from .deadline import Deadlines

PREFIX = "rbd-mirror"

# Types that the CLI lets pass as they are; CephString refuses whatever is not ASCII.
Text = NewType("Text", str)
PoolText = NewType("PoolText", str)
ImageText = NewType("ImageText", str)

_CLI_TYPES = {PoolText: "CephPoolname", ImageText: "CephObjectname", Text: "CephObjectname",
              str: "CephString", bool: "CephBool"}

Function = TypeVar("Function", bound=Callable[..., Any])


class Host(Protocol):
    """What commands need of the manager module."""

    log: logging.Logger
    scheduler: Scheduler
    supervisor: Supervisor
    deadlines: Deadlines

    @property
    def rados(self) -> Any:
        """Return a rados.Rados of the local cluster."""

    def renew_rados(self) -> None:
        """Have `rados` connect anew, since it was blocklisted."""

    def look(self, token: Token, pool: str, namespace: str = "",
             global_ids: Sequence[str] = ()) -> Sight:
        """Look at a peer site; the caller is told of one that does not answer."""

    def promote_by_force(self, images: List[ImageSpec]) -> Dict[ImageSpec, MirrorError]:
        """Promote images in a process that may die, and return what failed."""

    def make_writable(self, pool: PoolSpec, image_id: str) -> None:
        """Make an ordinary image of a copy, in a process of its own."""

    def mirroring_clients(self, pool: PoolSpec) -> FrozenSet[int]:
        """Return the ids of the clients that mirror a pool or namespace."""

    def witnesses(self) -> Witnesses:
        """Return whom status asks besides the cluster."""

    def command_seconds(self) -> float:
        """Return how long a command may take."""


@dataclass(frozen=True)
class Argument:
    name: str
    cli_type: str
    required: bool


@dataclass(frozen=True)
class Command:
    """One command.

    :ivar words: without the first, ``rbd-mirror``
    :ivar perm: ``r``, ``w`` or ``rw``
    :ivar takes_file: whether it has a use for ``-i FILE``
    :ivar least_seconds: what it is given in any case, where the host gives commands less
    """

    words: str
    perm: str
    help: str
    function: Callable[..., Any]
    arguments: Tuple[Argument, ...]
    plain: Callable[[Any], str]
    as_json: Optional[Callable[[Any], Any]]
    takes_file: bool
    least_seconds: float = 0.0

    @property
    def prefix(self) -> str:
        return f"{PREFIX} {self.words}"


COMMANDS: List[Command] = []


def command(words: str, perm: str, plain: Callable[[Any], str] = str,
            as_json: Optional[Callable[[Any], Any]] = None,
            least_seconds: float = 0.0) -> Callable[[Function], Function]:
    """Make a function a command.  `plain` and `as_json` render what it returns."""
    def register(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        COMMANDS.append(Command(
            words=words, perm=perm, help=" ".join((inspect.getdoc(function) or "").split()),
            function=function, plain=plain, as_json=as_json,
            arguments=tuple(_argument(p) for p in parameters if p.name != "inbuf"),
            takes_file=any(p.name == "inbuf" for p in parameters),
            least_seconds=least_seconds))
        return function

    return register


def _argument(parameter: inspect.Parameter) -> Argument:
    required = parameter.default is inspect.Parameter.empty
    kind = parameter.annotation
    if kind not in _CLI_TYPES:
        kind = get_args(kind)[0]  # of Optional
    return Argument(parameter.name, _CLI_TYPES[kind], required)


def run(command: Command, host: Host, given: Mapping[str, Any],
        inbuf: Optional[str]) -> Tuple[int, str, str]:
    """Carry a command out; return 0 or a negative errno, stdout and stderr.  Raise nothing.

    What a name may hold that is not printable is escaped: it could not even be handed over.
    """
    code, out, err = _run(command, host, given, inbuf)
    return code, lines(out), lines(err)


def _run(command: Command, host: Host, given: Mapping[str, Any],
         inbuf: Optional[str]) -> Tuple[int, str, str]:
    try:
        try:
            outcome = _within_deadline(command, host, given, inbuf)
        except Fenced:
            host.renew_rados()
            outcome = _within_deadline(command, host, given, inbuf)
        if "w" in command.perm:
            host.scheduler.refresh()  # whatever was changed, it may be of account to schedules
        failure = outcome.failure
        if failure:
            said = "\n".join(filter(None, (failure.message, outcome.note)))
            return -failure.errno, outcome.text, said
        return 0, outcome.text, outcome.note
    except MirrorError as error:
        return -error.errno, "", error.message
    except Exception:
        host.log.exception("%s failed; please report this", command.prefix)
        return -errno.EIO, "", (f"{command.prefix}: an error inside mirror_mgr; "
                                "the manager's log has it, please report it")


def _within_deadline(command: Command, host: Host, given: Mapping[str, Any],
                     inbuf: Optional[str]) -> Outcome:
    seconds = max(host.command_seconds(), command.least_seconds)
    return host.deadlines.within(seconds, command.prefix,
                                 lambda: _call(command, host, given, inbuf))


def _call(command: Command, host: Host, given: Mapping[str, Any], inbuf: Optional[str]) -> Outcome:
    format = output.check_format(given.get("format")) if command.as_json else output.PLAIN
    values: Dict[str, Any] = {
        argument.name: _value(argument, given[argument.name])
        for argument in command.arguments if given.get(argument.name) is not None}
    if command.takes_file:
        values["inbuf"] = inbuf or ""
    elif inbuf:
        raise InvalidArgument(f"{command.prefix}: it takes no input file (-i)")
    result = command.function(host, **values)
    if isinstance(result, Outcome):
        return result
    if command.as_json is None or format == output.PLAIN:
        return Outcome(command.plain(result))
    return Outcome(output.to_json(command.as_json(result), format))


def _value(argument: Argument, value: Any) -> Any:
    if argument.cli_type == "CephBool":
        return value in (True, "true", "True", "1")
    return str(value)
