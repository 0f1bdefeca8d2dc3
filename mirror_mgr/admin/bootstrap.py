"""Pairs two sites by a token."""

import errno
import os
from typing import Callable, Optional, Tuple

import rados
import rbd

from ..cluster import keys
from ..errors import DeadlineExceeded, InvalidArgument, NotFound, NotSupported, from_errno
from ..model import Peer
from . import librbd, sites, token
from .access import explaining, open_pool
from .modes import require_enabled
from .peer_probe import Sight
from .peers import list_peers, make_source, sources
from .specs import PoolSpec
from .token import Token
from .words import DIRECTIONS, POOL_MODES

Look = Callable[[Token, str], Sight]


def create_token(cluster: "rados.Rados", spec: PoolSpec,
                 site_name: Optional[str] = None) -> str:
    """Name the local site and return the token by which another one can pair with it.

    Raise InvalidArgument if the pool is not mirrored.
    """
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        if site_name is not None:
            sites.set_name(cluster, site_name)
        with explaining(f"pool '{spec}': can't create a bootstrap token", {
                errno.EEXIST: "the user client.rbd-mirror-peer exists with other caps; "
                              "it needs mon 'profile rbd-mirror-peer' and osd 'profile rbd'"}.get):
            return str(rbd.RBD().mirror_peer_bootstrap_create(ioctx))


def import_token(cluster: "rados.Rados", spec: PoolSpec, text: str, direction: str,
                 site_name: Optional[str], look: Look) -> None:
    """Pair the local site with the one that made the token `text`, in the pool of the same name.

    `look` is what looks at that site.  Everything that can be known to fail is found before
    anything is changed at either site.
    """
    if direction not in ("rx-only", "rx-tx"):
        raise InvalidArgument(f"direction {direction!r}: must be 'rx-only' or 'rx-tx'")
    leads_to = token.decode(text)
    with open_pool(cluster, spec) as ioctx:
        if leads_to.fsid == cluster.get_fsid():
            raise InvalidArgument("token: it is this site's own; import it at the other site")
        before = sites.name(cluster)
        sight = _look(look, leads_to, spec)
        _check(sight, leads_to, spec, before if site_name is None else site_name)
        _check_peers(list_peers(ioctx, spec), sight, spec)
        if site_name is not None:
            sites.set_name(cluster, site_name)
        try:
            with explaining(f"pool '{spec}': can't import the token"):
                rbd.RBD().mirror_peer_bootstrap_import(ioctx, DIRECTIONS[direction],
                                                       leads_to.encode())
            known = list_peers(ioctx, spec)
            if known and not sources(known):
                make_source(ioctx, known[0], leads_to)
        except Exception:
            if site_name is not None:
                sites.set_name(cluster, before)
            raise


def _look(look: Look, leads_to: Token, spec: PoolSpec) -> Sight:
    try:
        sight = look(leads_to, spec.pool)
    except DeadlineExceeded:
        raise _unreachable(leads_to) from None
    if sight.errno == errno.ETIMEDOUT:
        raise _unreachable(leads_to)
    if sight.errno in (errno.EACCES, errno.EPERM):
        raise from_errno(sight.errno, f"token: the monitors at {leads_to.mon_host} refuse user "
                         f"client.{leads_to.client_id} with its key; make a new token at that site"
                         f"{keys.hint(leads_to.key)}")
    if sight.errno == errno.EOPNOTSUPP:
        raise InvalidArgument(f"token: {sight.error}")
    if sight.errno:
        raise from_errno(sight.errno, f"token: can't connect to the monitors at "
                         f"{leads_to.mon_host}: {os.strerror(sight.errno)}; "
                         "make a new token at that site")
    return sight


def _unreachable(leads_to: Token) -> DeadlineExceeded:
    return DeadlineExceeded(f"token: no monitor answers at {leads_to.mon_host}; check that the "
                            "manager's host can reach the other site's monitors and OSDs")


def _check(sight: Sight, leads_to: Token, spec: PoolSpec, own_name: str) -> None:
    """Raise what librbd would, before it has changed anything."""
    if sight.fsid != leads_to.fsid:
        raise InvalidArgument(f"token: the cluster at {leads_to.mon_host} is {sight.fsid}, "
                              f"not {leads_to.fsid} that the token is for")
    if sight.site_name == own_name:
        raise InvalidArgument(f"site name {own_name!r}: the other site has the same; name this "
                              "one by --site-name")
    if sight.pool_mode is None:
        raise NotFound(f"pool '{spec}': the other site has no pool of this name")
    if sight.pool_mode == POOL_MODES["init-only"] and not librbd.has_init_only():
        raise NotSupported(f"pool '{spec}': it is in mode 'init-only' at the other site, which "
                           "librbd of this one does not have; run there: "
                           f"ceph rbd-mirror pool enable {spec} image")
    if sight.pool_mode == rbd.RBD_MIRROR_MODE_DISABLED:
        raise from_errno(errno.ENOSYS, f"pool '{spec}': mirroring is not enabled at the other "
                         f"site; run there: ceph rbd-mirror pool enable {spec} image")


def _check_peers(peers: Tuple[Peer, ...], sight: Sight, spec: PoolSpec) -> None:
    others = [peer.site_name for peer in peers
              if peer.site_name not in (sight.site_name, sight.fsid)]
    if others:
        raise InvalidArgument(f"pool '{spec}': it has a peer already, {others[0]!r}, and Ceph "
                              "mirrors a pool with one; remove that one first")
