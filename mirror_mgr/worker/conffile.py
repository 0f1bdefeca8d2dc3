"""Where Ceph's programs look for the conf of a cluster that is known by its name."""

import os
from typing import List, Optional


def candidates(cluster: str) -> List[str]:
    """Return the places, in their order (CEPH_CONF_FILE_DEFAULT, releases 16 to 20)."""
    return [f"/etc/ceph/{cluster}.conf", os.path.expanduser(f"~/.ceph/{cluster}.conf"),
            os.path.abspath(f"{cluster}.conf")]


def find(cluster: str) -> Optional[str]:
    """Return the path of the conf; None where there is none."""
    return next((path for path in candidates(cluster) if os.path.exists(path)), None)
