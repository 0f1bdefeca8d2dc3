"""Calls in threads outlive callers that are cancelled; what they use must last as long."""

import asyncio
from typing import Any, Awaitable, Callable, List, Set, TypeVar

T = TypeVar("T")


class Uses:
    """The calls that use one thing of librados or librbd, which crashes when it is closed early."""

    def __init__(self) -> None:
        self._running: "Set[asyncio.Future[Any]]" = set()
        self._waiting: List[Callable[[], None]] = []

    def begin(self, call: "Awaitable[T]") -> "asyncio.Future[T]":
        """Start a call; cancelling who waits for it must not cancel it: see :meth:`of`."""
        running = asyncio.ensure_future(call)
        self._running.add(running)
        running.add_done_callback(self._ended)
        return running

    async def of(self, call: "Awaitable[T]") -> T:
        """Start a call and wait for it; whoever is cancelled meanwhile leaves it behind."""
        return await asyncio.shield(self.begin(call))

    def when_ended(self, function: Callable[[], None]) -> None:
        """Call this once no call is left: now or later."""
        self._waiting.append(function)
        self._go_on()

    async def ended(self) -> None:
        """Wait until no call is left."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _ended(self, running: "asyncio.Future[Any]") -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._running:
            self._waiting.pop(0)()
