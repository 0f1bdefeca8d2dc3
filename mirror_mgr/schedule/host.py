"""What the scheduler needs from the manager module that it runs in."""

import logging
from typing import Any, List, Optional, Protocol, Tuple


class Host(Protocol):
    """Everything here may be called on any thread."""

    log: logging.Logger

    def get_option(self, name: str) -> Any:
        """Return a module option: ``snapshots_in_flight`` or ``snapshot_seconds``."""

    def pools(self) -> List[Tuple[int, str]]:
        """Return id and name of every pool that may hold mirrored images."""

    def connect(self) -> Any:
        """Return a new rados.Rados, connected, which a failover of the manager blocklists."""

    def disconnected(self, addresses: str) -> None:
        """Take note that a connection with these addresses was shut down."""

    def get_store(self, key: str) -> Optional[str]:
        """As MgrModule.get_store."""

    def set_store(self, key: str, value: Optional[str]) -> None:
        """As MgrModule.set_store: None removes."""
