"""A bound on how many do something at a time, which may change meanwhile."""

import asyncio
from collections import deque
from typing import Deque


class Slots:
    """First come, first served.  Used on one loop."""

    def __init__(self, limit: int = 1) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: "Deque[asyncio.Future[None]]" = deque()

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._grant()

    async def acquire(self) -> None:
        """Wait for a slot; give it back with `release`."""
        granted: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
        self._waiting.append(granted)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        self._taken -= 1
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._taken < self._limit:
            granted = self._waiting.popleft()
            if not granted.done():
                self._taken += 1
                granted.set_result(None)
