"""What an administrator has stopped over the admin socket, until it is started there again."""

from typing import Set


class ManualStops:
    """Of one pool; outlives its connections, not the process."""

    def __init__(self) -> None:
        self.all = False
        self._exceptions: Set[str] = set()

    def is_stopped(self, global_id: str) -> bool:
        return self.all != (global_id in self._exceptions)

    def set_all(self, stopped: bool) -> None:
        """Stop or start every image, those that are yet to come as well."""
        self.all = stopped
        self._exceptions.clear()

    def set(self, global_id: str, stopped: bool) -> None:
        """Stop or start one image."""
        if stopped == self.all:
            self._exceptions.discard(global_id)
        else:
            self._exceptions.add(global_id)
