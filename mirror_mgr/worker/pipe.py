"""The worker's end of the pipes to the manager."""

import asyncio
import logging
import os
import queue
import threading
from typing import BinaryIO, Callable, Optional

from .. import oneline
from ..errors import MalformedData, MirrorError
from . import protocol
from .worker import Worker

_QUEUE_LINES = 10000
_GRACE_SECONDS = 2.0


class ManagerPipe:
    """Lines in from `source`, lines out to `target`; a thread each, so neither blocks the loop.

    `bereft` is called when the manager is gone: a loop that hangs must not outlive it.
    """

    def __init__(self, source: BinaryIO, target: BinaryIO,
                 bereft: Optional[Callable[[], None]] = None) -> None:
        self._source = source
        self._target = target
        self._bereft = bereft or _end_soon
        self._lines: "queue.Queue[bytes]" = queue.Queue(_QUEUE_LINES)
        threading.Thread(target=self._write, daemon=True, name="pipe-out").start()

    def say(self, message: protocol.Message) -> None:
        """Send a message; a manager that does not read loses what is beyond the queue."""
        try:
            self._lines.put_nowait(protocol.encode(message))
        except queue.Full:
            pass

    def read_hello(self) -> protocol.ManagerHello:
        """The first line; blocking.  Raise MalformedData when it is something else."""
        message = self._read()
        if not isinstance(message, protocol.ManagerHello):
            raise MalformedData("the manager did not say hello first")
        return message

    def start_reading(self, worker: Worker) -> asyncio.Event:
        """Hand further messages to the worker, on the running loop.

        Return what is set when the manager says stop or is gone.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def read() -> None:
            while True:
                try:
                    message = self._read()
                except MirrorError:
                    continue
                if message is None:
                    break
                loop.call_soon_threadsafe(_take, worker, message, ended)
            loop.call_soon_threadsafe(ended.set)
            self._bereft()

        threading.Thread(target=read, daemon=True, name="pipe-in").start()
        return ended

    def install_log_handler(self) -> None:
        """Send what is logged to the manager's log."""
        logging.basicConfig(level=logging.INFO, handlers=[_PipeHandler(self)])

    def _read(self) -> Optional[protocol.Message]:
        line = self._source.readline(protocol.MAX_LINE + 1)
        return protocol.decode(line) if line else None

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._target.write(line)
                self._target.flush()
            except (OSError, ValueError):
                return


def _end_soon() -> None:
    timer = threading.Timer(_GRACE_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _take(worker: Worker, message: protocol.Message, ended: asyncio.Event) -> None:
    if isinstance(message, protocol.WorkerOptions):
        worker.set_options(message.values)
    elif isinstance(message, protocol.Command):
        if message.name == protocol.COMMAND_STOP:
            ended.set()
        elif message.name == protocol.COMMAND_REFRESH:
            images = message.args.get("images")
            worker.refresh(images if isinstance(images, list) else ())


class _PipeHandler(logging.Handler):
    """Log records as protocol lines."""

    def __init__(self, pipe: ManagerPipe) -> None:
        super().__init__()
        self._pipe = pipe
        self.setFormatter(oneline.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        self._pipe.say(protocol.LogLine(
            level if level in protocol.LEVELS else "error", self.format(record)))
