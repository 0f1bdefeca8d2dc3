"""What an administrator has stopped over the admin socket, until it is started there again."""

from typing import Any, Dict, Set


class ManualStops:
    """Of one pool; outlives its connections, not the process, but where that begins anew."""

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

    def handed_on(self) -> Dict[str, Any]:
        """All of it as JSON has it, for :meth:`taken_over`."""
        return {"all": self.all, "exceptions": sorted(self._exceptions)}

    @classmethod
    def taken_over(cls, state: Dict[str, Any]) -> "ManualStops":
        stops = cls()
        stops.all = bool(state["all"])
        stops._exceptions = set(state["exceptions"])
        return stops
