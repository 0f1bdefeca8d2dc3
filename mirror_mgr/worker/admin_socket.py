"""The socket that `ceph --admin-daemon PATH ...` talks to, as Ceph's daemons have it.

A request is a JSON object with a `prefix`, ended by a zero byte; the answer is its length in four
bytes, big endian, and a text (common/admin_socket.cc, all releases).
"""

import asyncio
import json
import logging
import os
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional

from ..errors import MirrorError, NotFound

log = logging.getLogger(__name__)

Answer = Callable[[Mapping[str, Any]], Any]


class Command:
    """What is answered to one prefix; `argument` is the name of an optional last word."""

    def __init__(self, help: str, answer: Answer, argument: Optional[str] = None) -> None:
        self.help = help
        self.answer = answer
        self.argument = argument

    def signature(self, prefix: str) -> List[Any]:
        words: List[Any] = list(prefix.split())
        if self.argument:
            words.append({"name": self.argument, "type": "CephString", "req": False})
        return words


class AdminSocket:
    """Serves `commands`, by prefix, at `path` from :meth:`open` to :meth:`close`; None: nowhere."""

    def __init__(self, path: Optional[str], commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands: Dict[str, Command] = {
            "help": Command("list available commands", self._help),
            "get_command_descriptions": Command("list available commands", self._descriptions),
            **commands,
        }
        self._server: Optional[asyncio.AbstractServer] = None

    async def open(self) -> None:
        """Take the path over from a process that is gone; raise the error of the errno."""
        if self._path is None:
            return
        if os.path.exists(self._path):
            os.unlink(self._path)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        os.chmod(self._path, 0o700)

    def close(self) -> None:
        if self._server is not None and self._path is not None:
            self._server.close()
            os.unlink(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\0")
            text = self._answer(request[:-1]).encode()
            writer.write(struct.pack("!I", len(text)) + text)
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            log.info("admin socket: %s", error)
        finally:
            writer.close()

    def _answer(self, request: bytes) -> str:
        try:
            asked = json.loads(request)
            command = self._commands.get(asked.get("prefix"))
            if command is None:
                raise NotFound(f"no such command: {asked.get('prefix')!r}; try help")
            return json.dumps(command.answer(asked), indent=4, sort_keys=True)
        except (ValueError, AttributeError):
            return json.dumps({"error": "the request is no JSON object"})
        except MirrorError as error:
            return json.dumps({"error": str(error)})

    def _help(self, asked: Mapping[str, Any]) -> Any:
        return {prefix: command.help for prefix, command in self._commands.items()}

    def _descriptions(self, asked: Mapping[str, Any]) -> Any:
        return {f"cmd{number:03}": {"sig": command.signature(prefix), "help": command.help,
                                    "module": "rbd-mirror", "perm": "r", "avail": "cli"}
                for number, (prefix, command) in enumerate(self._commands.items())}
