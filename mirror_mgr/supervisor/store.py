"""What outlives the manager: which workers there were, and who they were in RADOS.

One key of the manager's key/value store (a write is a monitor round, so only changes are
written)::

    workers    {"mirror-mgr.0": {"version": 1, "pid": 17, "addresses": ["127.0.0.1:0/123", ...]}}
"""

import json
from typing import Any, Dict, List, NamedTuple, Tuple

from .. import versions
from ..errors import MirrorError
from .host import Host

KEY = 'workers'
VERSION = 1
MOST_ADDRESSES = 4


class Known(NamedTuple):
    """A worker's last process id, and the RADOS addresses of its last connections, newest first."""

    pid: int = 0
    addresses: Tuple[str, ...] = ()

    def connected(self, pid: int, address: str) -> 'Known':
        """Return what is known once process `pid` has connected from `address`."""
        older = tuple(other for other in self.addresses if other != address)
        return Known(pid, ((address,) + older)[:MOST_ADDRESSES])


def load(host: Host) -> Dict[str, Known]:
    """Return the workers by id; none where the value is missing or is not ours.

    Nor where a later mirror_mgr wrote it: what is lost is who the dead were, which the locks tell.
    """
    try:
        value = json.loads(host.get_store(KEY) or '{}')
        return {str(worker): _known(item) for worker, item in value.items()}
    except MirrorError as error:
        host.log.warning('%s; starting afresh', error)
        return {}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        host.log.warning('the stored list of workers cannot be read; starting afresh')
        return {}


def save(host: Host, workers: Dict[str, Known]) -> None:
    value = {worker: {versions.KEY: VERSION, **known._asdict()}
             for worker, known in workers.items()}
    host.set_store(KEY, json.dumps(value, sort_keys=True))


def _known(item: Dict[str, Any]) -> Known:
    versions.require(item, VERSION, 'the stored list of workers')
    addresses: List[str] = [str(address) for address in item['addresses']]
    return Known(int(item['pid']), tuple(addresses[:MOST_ADDRESSES]))
