"""A bound on how long a command holds up the manager."""

import threading
from typing import Callable, List, TypeVar

from ..errors import DeadlineExceeded

T = TypeVar("T")


def within(seconds: float, what: str, function: Callable[[], T]) -> T:
    """Return what `function` returns, or raise what it raises.

    Raise DeadlineExceeded when it takes longer: then it goes on by itself, since nothing that
    waits in librados can be called off.
    """
    results: List[T] = []
    errors: List[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name=what, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise DeadlineExceeded(
            f"{what}: not done after {seconds:g} s and still going on; see `ceph health` for what "
            "is slow and look again, or raise the module option command_seconds")
    if errors:
        raise errors[0]
    return results[0]
