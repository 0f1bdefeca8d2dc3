"""What the process is doing, for whoever finds that something stands still."""

import asyncio
import logging
import os
from typing import Any, Iterator

log = logging.getLogger(__name__)


def log_all() -> None:
    """Log of each task of the running loop where it waits."""
    for task in asyncio.all_tasks():
        log.info("waits: %s", " > ".join(_places(task.get_coro())))


def _places(waiting: Any) -> Iterator[str]:
    """Where a coroutine is, then where what it waits for is, down to the last that is Python."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is None:
            return
        code = frame.f_code
        yield f"{code.co_name} ({os.path.basename(code.co_filename)}:{frame.f_lineno})"
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
