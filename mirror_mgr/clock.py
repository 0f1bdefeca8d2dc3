"""What time it is, for code that is tested with another time."""

from typing import Protocol


class Clock(Protocol):
    """The module `time` is one."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...
