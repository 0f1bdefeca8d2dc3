"""What a pool says of its mirroring: which of its namespaces are copies of which of the peer's."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional

from ..cluster.connection import Connection
from ..cluster.pool import Pool
from ..errors import NotFound
from ..wire import cls_rbd
from ..wire.header import MIRRORING, NAMESPACES
from ..wire.mirror import SETUP, MirrorPool

_PAGE = 1024


@dataclass(frozen=True)
class Pairs:
    """The mirrored namespaces of a pool.

    :ivar sources: by their names, the peer's that each is replayed from
    :ivar refused: by their names, why others are not replayed
    """

    sources: Mapping[str, str]
    refused: Mapping[str, str]

    def copy_of(self, source: str) -> Optional[str]:
        """The namespace that is replayed from this one of the peer, if there is one."""
        return next((name for name, its in self.sources.items() if its == source), None)


async def read_mirroring(pool: Pool) -> MirrorPool:
    """What `rbd_mirroring` says; mirroring disabled where there is no such object."""
    try:
        return MirrorPool.from_omap(await pool.omap(MIRRORING))
    except NotFound:
        return MirrorPool()


async def read_pairs(connection: Connection, pool_id: int) -> Pairs:
    """Which namespaces of a pool are to be replayed, and from where."""
    names = ["", *await _namespaces(connection.pool(pool_id))]
    return pair({name: await _read_setup(connection.pool(pool_id, name)) for name in names})


async def _read_setup(pool: Pool) -> MirrorPool:
    """Without its images."""
    try:
        return MirrorPool.from_omap(await pool.omap_entries(MIRRORING, SETUP))
    except NotFound:
        return MirrorPool()


async def _namespaces(pool: Pool) -> List[str]:
    found: List[str] = []
    while True:
        try:
            page = cls_rbd.decode_namespace_list(await pool.call(
                NAMESPACES, cls_rbd.namespace_list(found[-1] if found else "", _PAGE)))
        except NotFound:
            return found
        found += page
        if len(page) < _PAGE:
            return found


def pair(found: Mapping[str, MirrorPool]) -> Pairs:
    """Given all namespaces of a pool, return those that are mirrored.  Pure.

    Ceph lets several be mirrored with the same one of the peer.  An image has one copy at a site,
    though, as its mirror snapshots wait for one: of such namespaces only one is replayed, that of
    the same name, or the first.
    """
    wanted = {name: pool.source(name) for name, pool in found.items() if pool.is_mirrored}
    chosen: Dict[str, str] = {}  # by the peer's
    for name in sorted(wanted, key=lambda name: (wanted[name] != name, name)):
        chosen.setdefault(wanted[name], name)
    return Pairs(
        {name: source for name, source in wanted.items() if chosen[source] == name},
        {name: _refusal(source, chosen[source]) for name, source in wanted.items()
         if chosen[source] != name})


def _refusal(source: str, other: str) -> str:
    return (f"it is mirrored with the peer's {called(source)}, as is the {called(other)} here, and "
            "an image can have but one copy at a site; disable mirroring of one of the two")


def called(namespace: str) -> str:
    return f"namespace {namespace!r}" if namespace else "default namespace"
