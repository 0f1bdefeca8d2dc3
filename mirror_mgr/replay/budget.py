"""A bound on the bytes that a worker holds at one time, shared by all its images."""

import asyncio
from collections import deque
from typing import Deque, Tuple


class Budget:
    """Bytes in flight, first come first served.

    A request above the whole budget waits until nothing else is in flight and then passes alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._holders = 0
        self._waiting: Deque[Tuple[int, "asyncio.Future[None]"]] = deque()

    @property
    def share(self) -> int:
        """What one may ask for at a time, so that others find room or have their turn soon."""
        return self.limit // (2 + self._holders + len(self._waiting))

    async def acquire(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self._hold(size)
            return
        turn: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()
            else:
                self.release(size)
            raise

    def release(self, size: int) -> None:
        self.used -= size
        self._holders -= 1
        self._admit()

    def resize(self, limit: int) -> None:
        self.limit = limit
        self._admit()

    def _hold(self, size: int) -> None:
        self.used += size
        self._holders += 1

    def _fits(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self.limit

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if not self._fits(size):
                    return
                self._hold(size)
                turn.set_result(None)
            self._waiting.popleft()
