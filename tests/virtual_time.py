"""An event loop whose clock jumps to the next timer: hours pass in no time."""

import asyncio
import selectors


class _Selector(selectors.SelectSelector):
    """Never waits: where asyncio would, time goes by."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "all tasks wait for something that nobody will do"
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self):
        return self._virtual.now


def run(coroutine):
    """As asyncio.run, for code that waits for nothing but its own tasks and timers."""
    loop = _Loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass
        asyncio.set_event_loop(None)
        loop.close()


async def settle():
    """Let every task run until it waits for something."""
    await asyncio.sleep(0.001)
