"""What the supervisor needs from the manager module that it runs in."""

import logging
from typing import Any, Dict, Optional, Protocol, Tuple


class Host(Protocol):
    """Nothing here is called with a lock of ours held."""

    log: logging.Logger

    def mon_command(self, command: Dict[str, Any]) -> Tuple[int, str, str]:
        """As MgrModule.mon_command: return 0 or a negative errno, the output, the error text."""

    def get_option(self, name: str) -> Any:
        """Return a module option: ``workers`` or ``worker_python``."""

    def worker_options(self) -> Dict[str, Any]:
        """Return the module options that are the workers' own, by name, no secrets."""

    def fsid(self) -> str:
        """Return that of the local cluster."""

    def mon_host(self) -> str:
        """Return the monitors' addresses as ``mon_host`` in ceph.conf has them."""

    def get_store(self, key: str) -> Optional[str]:
        """As MgrModule.get_store."""

    def set_store(self, key: str, value: Optional[str]) -> None:
        """As MgrModule.set_store: None removes."""
