"""A bound on how long a command holds up the manager."""

import threading
from typing import Callable, List, TypeVar

from ..errors import DeadlineExceeded

T = TypeVar("T")

# What a forced promotion is given at least.  The lock of a client that hangs can only be broken
# when its watch has ended, 30 s after it was heard of last; then what it left half copied is taken
# back.
FORCED_SECONDS = 90.0

_HANGING = 32


class Deadlines:
    """Lets go of commands that take too long, and starts no more when too many of them hang."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(_HANGING)

    def within(self, seconds: float, what: str, function: Callable[[], T]) -> T:
        """Return what `function` returns, or raise what it raises.

        Raise DeadlineExceeded when it takes longer: then it goes on by itself, since nothing that
        waits in librados can be called off.
        """
        if not self._slots.acquire(blocking=False):
            raise DeadlineExceeded(
                f"{what}: not tried, since {_HANGING} commands before it are still going on; see "
                "`ceph health` for what is slow")
        results: List[T] = []
        errors: List[BaseException] = []

        def work() -> None:
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)
            finally:
                self._slots.release()

        thread = threading.Thread(target=work, name=what, daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            raise DeadlineExceeded(
                f"{what}: not done after {seconds:g} s and still going on; see `ceph health` for "
                "what is slow and look again, or raise the module option command_seconds")
        if errors:
            raise errors[0]
        return results[0]
