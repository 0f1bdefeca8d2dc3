"""The other site of a pool: how it is reached, and that it knows us."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Dict, Optional

from ..cluster.abilities import TOO_OLD
from ..cluster.connection import Connection
from ..cluster.snapsets import SnapsetReader
from ..errors import (
    AccessDenied,
    DeadlineExceeded,
    MirrorError,
    NotFound,
    NotPermitted,
    NotSupported,
    OutOfSpace,
)
from ..replay.mirroring import read_mirroring
from ..replay.objects import ListSnaps
from ..wire import cls_rbd
from ..wire.constants import MirrorMode, PeerDirection
from ..wire.header import MIRRORING
from ..wire.mirror import MirrorPeer, MirrorPool
from ..wire.snapset import Snapset
from . import conffile as conffiles

log = logging.getLogger(__name__)

# The other site may be dead: no call may wait for it for ever.
_DEADLINES = {
    "client_mount_timeout": "10",
    "rados_mon_op_timeout": "15",
    "rados_osd_op_timeout": "15",
}


@dataclass(frozen=True)
class Credentials:
    """How to log in at a peer.

    `mon_host` and `key` are empty where they are not stored: then the peer's conf and keyring are
    looked for on this host, under the name of the site, as the daemon does.
    """

    site_name: str
    entity: str
    mon_host: str
    key: str

    def __repr__(self) -> str:
        return f"Credentials(site_name={self.site_name!r}, entity={self.entity!r})"

    @property
    def conf(self) -> Dict[str, str]:
        conf = dict(_DEADLINES)
        if self.mon_host:
            conf["mon_host"] = self.mon_host
        if self.key:
            conf["key"] = self.key
        return conf

    def conffile(self) -> Optional[str]:
        """The path of the peer's conf; None where nothing of it is needed.

        Raise NotFound where it is.
        """
        if self.mon_host and self.key:
            return None
        found = conffiles.find(self.site_name)
        if found is None and not self.mon_host:
            raise NotFound(
                f"site {self.site_name!r}: neither are its monitors stored nor is its conf on the "
                f"worker's host (looked at {', '.join(conffiles.candidates(self.site_name))}); put "
                "it there, or run: ceph rbd-mirror pool peer set POOL UUID mon-host ADDRESSES")
        return found


def choose(pool: MirrorPool) -> Optional[MirrorPeer]:
    """The peer that the pool is mirrored from; None where there is none.

    Entries that only another site's ping made (direction tx) name a receiver, no source.
    """
    for peer in pool.peers:
        if peer.direction in (PeerDirection.RX, PeerDirection.RX_TX) and peer.client_name:
            return peer
    return None


def same(found: Optional[MirrorPeer], known: MirrorPeer) -> bool:
    """Whether this is the peer that we are connected to; the other site's pings change the rest."""
    return found is not None and (found.uuid, found.site_name, found.client_name) == (
        known.uuid, known.site_name, known.client_name)


async def find_source(remote: Connection, name: str, peer: MirrorPeer, local_uuid: str) -> int:
    """Return the id of the pool at the other site that a pool of ours is mirrored from.

    It is the one of the same `name`, as for the daemon.  Pools can be renamed, though: one that has
    our pool as its peer comes before one of this name that does not.  Raise NotFound.
    """
    named = await remote.run(remote.pool_id, name)
    if named is not None and _is_partner(await read_mirroring(remote.pool(named)), local_uuid):
        return named
    partners = await _partners(remote, peer, local_uuid)
    if len(partners) == 1:
        [(found, other_name)] = partners.items()
        log.info("pool %r: its peer at site %r is the pool %r", name, remote.name, other_name)
        return found
    if named is not None:
        return named
    missing = f"pool {name!r} does not exist at site {remote.name!r}, and "
    if partners:
        raise NotFound(f"{missing}{' and '.join(sorted(partners.values()))} have it as their peer "
                       f"there; rename the one that it is mirrored from to {name!r}")
    raise NotFound(f"{missing}none of another name has it as its peer there; create it there and "
                   "enable mirroring on it, or rename the one that it is mirrored from")


def _is_partner(theirs: MirrorPool, local_uuid: str) -> bool:
    return theirs.mode != MirrorMode.DISABLED and any(
        peer.mirror_uuid == local_uuid for peer in theirs.peers)


async def _partners(remote: Connection, peer: MirrorPeer, local_uuid: str) -> Dict[int, str]:
    """The names, by id, of the pools there that have our pool as their peer.

    What is known of the peer's mirror uuid tells a pool from its former self.
    """
    names = await remote.pool_names()
    found = await asyncio.gather(*(
        _mirroring_if_readable(remote, pool_id) for pool_id in names))
    return {pool_id: name for (pool_id, name), theirs in zip(names.items(), found)
            if _is_partner(theirs, local_uuid) and peer.mirror_uuid in ("", theirs.mirror_uuid)}


async def _mirroring_if_readable(remote: Connection, pool_id: int) -> MirrorPool:
    """Not every pool has to answer, or be one that this user may read."""
    try:
        return await read_mirroring(remote.pool(pool_id))
    except (AccessDenied, NotPermitted, NotFound, DeadlineExceeded):
        return MirrorPool()


async def credentials(local: Connection, pool_id: int, peer: MirrorPeer) -> Credentials:
    """What the monitors keep of a peer (config-key rbd/mirror/peer/<pool id>/<uuid>)."""
    try:
        stored = json.loads(await local.mon_command({
            "prefix": "config-key get", "key": f"rbd/mirror/peer/{pool_id}/{peer.uuid}"}))
    except (NotFound, ValueError):
        stored = {}
    return Credentials(peer.site_name, peer.client_name,
                       stored.get("mon_host", ""), stored.get("key", ""))


async def site_name(local: Connection) -> str:
    """What this site calls itself: config-key rbd/mirror/site_name, else its fsid."""
    try:
        name = await local.mon_command({
            "prefix": "config-key get", "key": "rbd/mirror/site_name"})
        return name.decode().strip() or local.fsid
    except MirrorError:
        return local.fsid


async def ping(remote: Connection, remote_pool_id: int, name: str, local_uuid: str) -> None:
    """Tell the other site that we are there: from now on its snapshots wait for us."""
    try:
        await remote.pool(remote_pool_id).call(
            MIRRORING, cls_rbd.mirror_peer_ping(name, local_uuid))
    except NotSupported:
        raise NotSupported(f"site {remote.name!r}: {TOO_OLD}") from None


_proven = False


def _snapset_reader(known: Credentials, pool_id: int) -> SnapsetReader:
    """A reader that was seen, once in the life of this process, to tell the truth.

    Raise NotSupported when it does not, or when the primary's pool is too full to find out.
    """
    global _proven
    reader = SnapsetReader.connect(known.entity, known.conffile(), known.conf, known.site_name)
    try:
        if not _proven:
            reader.self_test(pool_id)
            _proven = True
    except OutOfSpace as error:
        reader.close()
        raise NotSupported(str(error)) from None
    except BaseException:
        reader.close()
        raise
    return reader


class PeerSite:
    """Connections to the other site, for one pool; closed and made anew after a failure.

    :ivar pool_id: of the pool there that ours is mirrored from
    """

    def __init__(self, connection: Connection, pool_id: int,
                 snapsets: Optional[SnapsetReader]) -> None:
        self.connection = connection
        self.pool_id = pool_id
        self._snapsets = snapsets

    @classmethod
    async def connect(cls, known: Credentials, pool_name: str, peer: MirrorPeer,
                      local_uuid: str) -> "PeerSite":
        """Connect to the site of a `peer` of our pool, which has the mirror uuid `local_uuid`.

        Raise a MirrorError that names the site when it can't be reached in time, or has no such
        pool.
        """
        run = asyncio.get_running_loop().run_in_executor
        connection = await run(None, Connection.connect, known.site_name, known.entity,
                               known.conffile(), known.conf, (), known.site_name)
        try:
            pool_id = await find_source(connection, pool_name, peer, local_uuid)
            return cls(connection, pool_id, await run(None, _snapset_reader, known, pool_id))
        except NotSupported as error:
            log.warning("site %r: %s; whole objects are compared instead", known.site_name, error)
            return cls(connection, pool_id, None)
        except BaseException:
            run(None, connection.close)
            raise

    def list_snaps(self, pool_id: int, namespace: str) -> Optional[ListSnaps]:
        """The call that lists the clones of an object of this pool; None where there is none."""
        if self._snapsets is None:
            return None
        reader = self._snapsets.open(pool_id, namespace)

        async def list_snaps(oid: str) -> Optional[Snapset]:
            return await self.connection.run(reader.list_snaps, oid)

        return list_snaps

    def close(self) -> None:
        """Blocking, and not quick when the site is dead."""
        if self._snapsets is not None:
            self._snapsets.close()
        self.connection.close()
