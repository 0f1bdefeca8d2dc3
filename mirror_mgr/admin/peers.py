"""The peer sites of a pool as they are entered there."""

import errno
import re
from typing import Dict, List, Optional, Sequence, Tuple, Union

import rados
import rbd

from ..cluster import keys
from ..errors import Busy, DeadlineExceeded, InvalidArgument, MalformedData, NotFound
from ..model import Peer
from ..wire import cephx
from ..wire.cls_rbd import mirror_peer_set_direction
from ..wire.constants import PeerDirection
from ..wire.header import MIRRORING
from . import namespaces
from .access import explaining, in_default_namespace, open_pool
from .modes import require_enabled
from .peer_probe import LookAtImages, Sight
from .specs import PoolSpec
from .token import Token
from .words import DIRECTIONS, word

# As of a user that names none to `rbd`.
DEFAULT_CLIENT = "client.admin"
KEYS = ("client", "cluster", "direction", "key-file", "mon-host", "site-name")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CLUSTER_SPEC = re.compile(r"(?:(?P<client>client\.[^@]+)@)?(?P<site>[^/@]+)")


def list_peers(ioctx: "rados.Ioctx", spec: PoolSpec,
               with_mon_host: bool = False) -> Tuple[Peer, ...]:
    with explaining(f"pool '{spec}': can't list its peers"):
        return tuple(Peer(
            uuid=peer["uuid"],
            direction=word(DIRECTIONS, peer["direction"]),
            site_name=peer["site_name"],
            mirror_uuid=peer["mirror_uuid"],
            client_name=peer["client_name"],
            mon_host=(_attributes(ioctx, peer["uuid"]).get("mon_host", "")
                      if with_mon_host else None),
        ) for peer in rbd.RBD().mirror_peer_list(ioctx))


def sources(peers: Sequence[Peer]) -> List[Peer]:
    """Return those that may be replayed from; the others only replay from us."""
    return [peer for peer in peers if peer.direction != "tx-only"]


def require_none(ioctx: "rados.Ioctx", spec: PoolSpec) -> None:
    """Raise Busy if the pool has peers.  A namespace has none of its own."""
    found = list_peers(ioctx, spec)
    if found:
        raise Busy(f"pool '{spec}': it has peers still; remove each by: "
                   f"ceph rbd-mirror pool peer remove {spec} {found[0].uuid}")


def add(cluster: "rados.Rados", spec: PoolSpec, cluster_spec: str, direction: str,
        mon_host: Optional[str] = None, key: Optional[str] = None) -> str:
    """Enter a peer given as ``client.USER@SITE`` and return its uuid.

    With `mon_host` and `key` (base64) workers know by them how to log in there, without a
    ceph.conf of that site.  Raise InvalidArgument if there is a peer to replay from already.
    """
    match = _CLUSTER_SPEC.fullmatch(cluster_spec)
    if match is None:
        raise InvalidArgument(f"peer {cluster_spec!r}: write client.USER@SITE")
    if direction not in ("rx-only", "rx-tx"):
        raise InvalidArgument(f"direction {direction!r}: must be 'rx-only' or 'rx-tx'")
    client = match["client"] or DEFAULT_CLIENT
    attributes = {"mon_host": mon_host,
                  "key": None if key is None else _checked_key(cluster, key, client)}
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        _require_no_source(list_peers(ioctx, spec), spec)
        with explaining(f"peer {cluster_spec!r}: can't be added to pool '{spec}'", {
                errno.EEXIST: "it is there already",
                errno.EINVAL: "that is the name of this cluster itself"}.get):
            uuid = str(rbd.RBD().mirror_peer_add(
                ioctx, match["site"], client, DIRECTIONS[direction]))
        try:
            _store(ioctx, uuid, {name: value for name, value in attributes.items() if value})
        except Exception:
            rbd.RBD().mirror_peer_remove(ioctx, uuid)
            raise
    return uuid


def make_source(ioctx: "rados.Ioctx", peer: Peer, leads_to: Token) -> None:
    """Have a pool replayed from a peer that only replayed from here, as the token lets us in there.

    Such an entry comes of the other site's first word, which may be faster than an import: librbd
    then takes the peer for known.
    """
    with explaining(f"peer {peer.uuid}: can't have it replayed from"):
        rbd.RBD().mirror_peer_set_client(ioctx, peer.uuid, f"client.{leads_to.client_id}")
        _store(ioctx, peer.uuid, {**_attributes(ioctx, peer.uuid),
                                  "mon_host": leads_to.mon_host, "key": leads_to.key})
        ioctx.execute(MIRRORING, *mirror_peer_set_direction(peer.uuid, PeerDirection.RX_TX))


def remove(cluster: "rados.Rados", spec: PoolSpec, uuid: str) -> str:
    """Remove a peer and return the news; one that is not there is no error."""
    _check_uuid(uuid)
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        known = uuid in (peer.uuid for peer in list_peers(ioctx, spec))
        with explaining(f"peer {uuid}: can't be removed from pool '{spec}'"):
            rbd.RBD().mirror_peer_remove(ioctx, uuid)
    return "" if known else f"peer {uuid}: pool '{spec}' has none such"


def change(cluster: "rados.Rados", spec: PoolSpec, uuid: str, key: str, value: str) -> None:
    """Set one of the `KEYS` of a peer.

    For ``key-file`` the value is the content of the file, a key in base64.  An empty
    ``mon-host`` is forgotten.
    """
    _check_uuid(uuid)
    if key not in KEYS:
        raise InvalidArgument(f"key {key!r}: must be one of {', '.join(KEYS)}")
    if not value and key != "mon-host":
        raise InvalidArgument(f"key {key!r}: its new value is missing")
    if key == "direction" and value not in DIRECTIONS:
        raise InvalidArgument(f"direction {value!r}: must be one of {', '.join(DIRECTIONS)}")
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        peers = list_peers(ioctx, spec)
        client = _find(peers, spec, uuid).client_name
        secret = _checked_key(cluster, value, client) if key == "key-file" else ""
        with explaining(f"peer {uuid}: can't set its {key} to {value!r}"
                        if key != "key-file" else f"peer {uuid}: can't store its key"):
            if key == "client":
                rbd.RBD().mirror_peer_set_client(ioctx, uuid, value)
            elif key in ("site-name", "cluster"):
                rbd.RBD().mirror_peer_set_name(ioctx, uuid, value)
            elif key == "direction":
                if value != "tx-only":
                    _require_no_source([peer for peer in peers if peer.uuid != uuid], spec)
                ioctx.execute(MIRRORING, *mirror_peer_set_direction(
                    uuid, PeerDirection(DIRECTIONS[value])))
            elif key == "mon-host":
                _store(ioctx, uuid, {**_attributes(ioctx, uuid), "mon_host": value})
            else:
                _store(ioctx, uuid, {**_attributes(ioctx, uuid), "key": secret})


def get_key(cluster: "rados.Rados", spec: PoolSpec, uuid: str) -> str:
    """Return the key by which workers log in at a peer.  Raise NotFound if none is stored."""
    _check_uuid(uuid)
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        _find(list_peers(ioctx, spec), spec, uuid)
        with explaining(f"peer {uuid}: can't read its key"):
            key = _attributes(ioctx, uuid).get("key")
    if not key:
        raise NotFound(f"peer {uuid}: no key is stored for it; store one by: ceph rbd-mirror pool "
                       f"peer set {spec} {uuid} key-file -i FILE")
    return key


def login_of_source(ioctx: "rados.Ioctx", spec: PoolSpec) -> Optional[Token]:
    """Return how to log in at the peer to replay from; None if that is not stored here.

    Peers are entered in the pool's default namespace.
    """
    with in_default_namespace(ioctx):
        for peer in sources(list_peers(ioctx, spec)):
            stored = _attributes(ioctx, peer.uuid)
            if stored.get("key") and stored.get("mon_host"):
                return Token("", peer.client_name[len("client."):], stored["key"],
                             stored["mon_host"])
    return None


def see_image(ioctx: "rados.Ioctx", spec: PoolSpec, global_id: str,
              look: LookAtImages) -> Union[Sight, str]:
    """Look at an image where it is replayed from; return why that is not possible, if it is not."""
    login = login_of_source(ioctx, spec)
    if login is None:
        return "the pool has no peer that can be looked at from here"
    try:
        sight = look(login, spec.pool, namespaces.remote(ioctx, spec), (global_id,))
    except DeadlineExceeded:
        return "the peer site does not answer"
    if sight.errno:
        return f"the peer site can't be looked at ({errno.errorcode.get(sight.errno, 'EIO')})"
    if global_id not in sight.images:
        return "the peer site has no such mirrored image"
    return sight


def _check_uuid(uuid: str) -> None:
    if not _UUID.fullmatch(uuid):
        raise InvalidArgument(f"peer {uuid!r}: that is no uuid; "
                              "see: ceph rbd-mirror pool info POOL")


def _checked_key(cluster: "rados.Rados", text: str, client: str) -> str:
    """Return a cephx key without the end of its line; the message holds no part of it.

    Raise NotSupported for one that no worker can log in with.
    """
    key = text.strip()
    try:
        cephx.key_type(key)
    except MalformedData:
        raise InvalidArgument("key file: it holds no cephx key in base64; get one at the peer "
                              f"site by: ceph auth get-key {client}") from None
    keys.check(cluster, key, client)
    return key


def _find(peers: Sequence[Peer], spec: PoolSpec, uuid: str) -> Peer:
    for peer in peers:
        if peer.uuid == uuid:
            return peer
    raise NotFound(f"peer {uuid}: pool '{spec}' has none such; "
                   f"see: ceph rbd-mirror pool info {spec}")


def _require_no_source(peers: Sequence[Peer], spec: PoolSpec) -> None:
    """Ceph replays a pool from one peer."""
    found = sources(peers)
    if found:
        raise InvalidArgument(
            f"pool '{spec}': it has a peer to replay from already, {found[0].site_name!r}, and "
            f"there can be but one; first run: ceph rbd-mirror pool peer remove {spec} "
            f"{found[0].uuid}")


def _attributes(ioctx: "rados.Ioctx", uuid: str) -> Dict[str, str]:
    try:
        return dict(rbd.RBD().mirror_peer_get_attributes(ioctx, uuid))
    except rbd.ImageNotFound:  # how python-rbd spells ENOENT
        return {}


def _store(ioctx: "rados.Ioctx", uuid: str, attributes: Dict[str, str]) -> None:
    kept = {name: value for name, value in attributes.items() if value}
    if kept or _attributes(ioctx, uuid):
        rbd.RBD().mirror_peer_set_attributes(ioctx, uuid, kept)
