"""``ceph rbd-mirror pool peer ...``: the other site of a pool."""

from typing import Optional

from ..admin import bootstrap, peers
from ..admin.specs import parse_whole_pool
from ..errors import InvalidArgument
from ..model import Outcome
from .registry import Host, PoolText, Text, command


@command("pool peer bootstrap create", "rw")
def bootstrap_create(mgr: Host, pool: PoolText, site_name: Optional[Text] = None) -> str:
    """Create a bootstrap token, which another site imports to become a peer of the pool"""
    return bootstrap.create_token(mgr.rados, parse_whole_pool(pool), site_name)


@command("pool peer bootstrap import", "w")
def bootstrap_import(mgr: Host, pool: PoolText, site_name: Optional[Text] = None,
                     direction: str = "rx-tx", inbuf: str = "") -> str:
    """Pair the pool with the site that made the bootstrap token in -i FILE ('-' for stdin);
    direction is 'rx-tx' (default) or 'rx-only'"""
    spec = parse_whole_pool(pool)
    if not inbuf:
        raise InvalidArgument("token: there is none; give its file by -i FILE, "
                              "or -i - to read it from stdin")
    bootstrap.import_token(mgr.rados, spec, inbuf, direction, site_name, mgr.look)
    mgr.supervisor.refresh()
    return ""


@command("pool peer add", "w")
def add(mgr: Host, pool: PoolText, remote_cluster_spec: Text, direction: str = "rx-tx",
        remote_mon_host: Optional[Text] = None, inbuf: str = "") -> Outcome:
    """Add a peer, client.USER@SITE, to a pool, with USER's key in -i FILE if that is to be stored;
    direction is 'rx-tx' (default) or 'rx-only'"""
    uuid = peers.add(mgr.rados, parse_whole_pool(pool), remote_cluster_spec, direction,
                     remote_mon_host, inbuf or None)
    mgr.supervisor.refresh()
    # The ceph CLI does not tell an empty file from none.
    return Outcome(uuid, note="" if inbuf else (
        f"peer {uuid}: no key is stored for it, as none came by -i FILE: workers need a keyring of "
        "that user on each of their hosts"))


@command("pool peer remove", "w")
def remove(mgr: Host, pool: PoolText, uuid: Text) -> str:
    """Remove a peer from a pool"""
    news = peers.remove(mgr.rados, parse_whole_pool(pool), uuid)
    mgr.supervisor.refresh()
    return news


@command("pool peer set", "w")
def change(mgr: Host, pool: PoolText, uuid: Text, key: str,
           value: Optional[Text] = None, inbuf: str = "") -> str:
    """Set a peer's client, direction, mon-host, site-name or, from -i FILE, key-file"""
    if (key == "key-file") != bool(inbuf) or (inbuf and value):
        raise InvalidArgument(f"key {key!r}: a secret, and only that, comes by -i FILE: "
                              f"ceph rbd-mirror pool peer set {pool} {uuid} key-file -i FILE")
    peers.change(mgr.rados, parse_whole_pool(pool), uuid, key, inbuf or value or "")
    mgr.supervisor.refresh()
    return ""


@command("pool peer get-key", "rw")
def get_key(mgr: Host, pool: PoolText, uuid: Text) -> str:
    """Show the key by which workers log in at a peer"""
    return peers.get_key(mgr.rados, parse_whole_pool(pool), uuid)
