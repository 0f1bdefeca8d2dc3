"""Waiting for what happens in a real cluster, with a deadline."""

import time
from typing import Any, Callable, Optional

# Seconds: several times what anything takes here on a busy machine.
PATIENCE = 180.0


def wait_for(
    predicate: Callable[[], Any],
    describe: Optional[Callable[[], str]] = None,
    seconds: float = PATIENCE,
    interval: float = 0.2,
) -> Any:
    """Call `predicate` until it returns something true, and return that.

    Raise AssertionError after `seconds`, with the last answer and what `describe` says of the state
    that things are in then.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            state = describe() if describe else ""
            raise AssertionError(f"not within {seconds:.0f} s; last: {answer!r}\n{state}")
        time.sleep(interval)
