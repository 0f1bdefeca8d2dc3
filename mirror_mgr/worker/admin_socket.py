"""The socket that `ceph --admin-daemon PATH ...` talks to, as Ceph's daemons have it.

A request is a JSON object with a `prefix`, ended by a zero byte; the answer is its length in four
bytes, big endian, and a text (common/admin_socket.cc, all releases).

librados serves such a socket as well (`config ...`, `perf ...`, `log ...`): what is not a command
of ours is handed on to it, and what both know is answered as one.
"""

import asyncio
import errno
import json
import logging
import os
import socket
import stat
import struct
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Set

from ..errors import InvalidArgument, MirrorError, NotReady

log = logging.getLogger(__name__)


class Command(NamedTuple):
    """What is answered to one prefix: a value to be shown as JSON, or None for nothing.

    `answer` may be a coroutine function.
    `merge`: librados answers this too; ours is added to its answer.
    """

    help: str
    answer: Callable[[], Any]
    merge: bool = False


class AdminSocket:
    """Serves at `path` from :meth:`open` to :meth:`close`.

    `commands` gives those of the moment, by prefix.  librados, told so by its option
    `admin_socket`, has its own at `librados_path`.
    """

    def __init__(self, path: str, commands: Callable[[], Mapping[str, Command]]) -> None:
        self._path = path
        self._commands = commands
        self._server: Optional[asyncio.AbstractServer] = None
        # Of a client that has said all it will, asyncio itself keeps no hold: it is collected.
        self._serving: Set[Optional["asyncio.Task[None]"]] = set()

    @property
    def librados_path(self) -> str:
        return f"{self._path}.librados"

    async def open(self) -> None:
        """Take the path over from a process that is gone.

        A path where nothing can be made costs the socket, not the replay, as with the daemon.
        """
        try:
            self._server = await asyncio.start_unix_server(self._serve, sock=_bound(self._path))
        except OSError as error:
            log.error("admin socket %s: %s", self._path, error)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for path in (self._path, self.librados_path):
                if os.path.exists(path):
                    os.unlink(path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            request = await reader.readuntil(b"\0")
            text = await self._answer(request)
            writer.write(struct.pack("!I", len(text)) + text)
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            log.info("admin socket: %s", error)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        try:
            return await self._answer_to(request)
        except MirrorError as error:
            text = os.strerror(error.errno)
            return _encoded(f"ERROR: ({error.errno}) {text}\n{error}\n")

    async def _answer_to(self, request: bytes) -> bytes:
        asked = _decode(request)
        prefix = asked["prefix"]
        ours = self._commands()
        if prefix == "help":
            return _shown({**await self._librados("help"),
                           **{name: command.help for name, command in ours.items()}})
        if prefix == "get_command_descriptions":
            return _shown(descriptions(await self._librados(prefix), ours))
        command = ours.get(prefix)
        if command is None:
            return await self._hand_on(request)
        answer = command.answer()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if command.merge:
            answer = _selected({**await self._librados(prefix), **answer}, asked)
        return b"" if answer is None else _shown(answer)

    async def _librados(self, prefix: str) -> Dict[str, Any]:
        """What librados answers to a command; nothing while it does not listen."""
        try:
            found = json.loads(await self._hand_on(json.dumps({"prefix": prefix}).encode() + b"\0"))
            return dict(found)
        except (NotReady, ValueError):
            return {}

    async def _hand_on(self, request: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_unix_connection(self.librados_path)
        except OSError:
            raise NotReady("no such command while the local cluster is not connected; "
                           "try help") from None
        try:
            writer.write(request)
            [length] = struct.unpack("!I", await reader.readexactly(4))
            return await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise NotReady(f"librados gave no answer: {error}") from None
        finally:
            writer.close()


def _bound(path: str) -> socket.socket:
    """A socket at this path that is its owner's alone from its first moment.

    Raise OSError where something else stands there, or another process listens.
    """
    _clear(path)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o077)
    try:
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _clear(path: str) -> None:
    """Remove the socket that a process has left which is gone."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise FileExistsError(errno.EEXIST, "what is there is no socket; name another file")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # it listens, and has many waiting
    raise FileExistsError(errno.EADDRINUSE, "another process listens there; name another file")


def descriptions(theirs: Mapping[str, Any], ours: Mapping[str, Command]) -> Dict[str, Any]:
    """Given what librados describes and our commands, return the table that `ceph` asks for."""
    found = list(theirs.values())
    known = {" ".join(word for word in one["sig"] if isinstance(word, str)) for one in found}
    found += [{"sig": prefix.split(" "), "help": command.help}
              for prefix, command in ours.items() if prefix not in known]
    return {f"cmd{number:03}": one for number, one in enumerate(found)}


def _decode(request: bytes) -> Dict[str, Any]:
    try:
        asked = json.loads(request[:-1])
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid json") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("prefix"), str):
        raise InvalidArgument("invalid command json")
    return asked


def _selected(counters: Mapping[str, Any], asked: Mapping[str, Any]) -> Dict[str, Any]:
    """`perf dump LOGGER COUNTER`: the one that is named, nothing when there is no such."""
    logger, counter = asked.get("logger"), asked.get("counter")
    found = {name: value for name, value in counters.items() if logger in (None, "", name)}
    if counter:
        found = {name: {key: value for key, value in values.items() if key == counter}
                 for name, values in found.items()}
    return found


def _shown(answer: Any) -> bytes:
    return _encoded(json.dumps(answer, indent=4, ensure_ascii=False) + "\n")


def _encoded(text: str) -> bytes:
    """Bytes of a name that are no UTF-8 are escaped, as JSON has them."""
    return text.encode("utf-8", "backslashreplace")
