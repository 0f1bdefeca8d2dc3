"""``ceph rbd-mirror pool peer ...``: the other site of a pool."""

from typing import Optional

from ..admin import peers
from ..admin.specs import parse_whole_pool
from ..errors import InvalidArgument
from .registry import Host, PoolText, Text, command


@command("pool peer bootstrap create", "rw")
def bootstrap_create(mgr: Host, pool: PoolText, site_name: Optional[Text] = None) -> str:
    """Create a bootstrap token, which another site imports to become a peer of the pool"""
    return peers.bootstrap_create(mgr.rados, parse_whole_pool(pool), site_name)


@command("pool peer bootstrap import", "w")
def bootstrap_import(mgr: Host, pool: PoolText, site_name: Optional[Text] = None,
                     direction: str = "rx-tx", inbuf: str = "") -> str:
    """Pair the pool with the site that made the bootstrap token in -i FILE ('-' for stdin);
    direction is 'rx-tx' (default) or 'rx-only'"""
    spec = parse_whole_pool(pool)
    if not inbuf:
        raise InvalidArgument("token: there is none; give its file by -i FILE, "
                              "or -i - to read it from stdin")
    peers.bootstrap_import(mgr.rados, spec, inbuf, direction, site_name, mgr.look)
    mgr.supervisor.refresh()
    return ""
