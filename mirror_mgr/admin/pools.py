"""Mirroring of a pool or namespace as a whole: switch it on and off, say how it is set up."""

from typing import Optional

import rados

from ..errors import InvalidArgument, MirrorError
from ..model import PoolInfo
from . import images, peers, sites
from .access import open_pool
from .modes import read_mode, set_mode
from .specs import PoolSpec


def enable(cluster: "rados.Rados", spec: PoolSpec, mode: str,
           site_name: Optional[str] = None) -> str:
    """Mirror the pool in ``image`` or ``pool`` mode, name the local site, and return the news.

    Raise InvalidArgument for another mode, NotFound for an unknown pool or namespace.
    """
    if mode not in ("image", "pool"):
        raise InvalidArgument(f"mode {mode!r}: must be 'image' or 'pool'")
    with open_pool(cluster, spec) as ioctx:
        before = read_mode(ioctx, spec)
        if before != mode:
            set_mode(ioctx, spec, mode)
    renamed = site_name is not None and sites.set_name(cluster, site_name)
    if before == mode:
        return "" if renamed else f"mirroring is already configured for {mode} mode"
    if before == "disabled":
        return ""
    return f"note: changing mirroring mode from {before} to {mode}"


def disable(cluster: "rados.Rados", spec: PoolSpec) -> str:
    """Disable mirroring on all images of the pool or namespace, then on itself.

    Return the news.  Raise, having changed nothing, Busy if the pool has peers still, and
    InvalidArgument if there are images that another site is the primary of.
    """
    with open_pool(cluster, spec) as ioctx:
        mode = read_mode(ioctx, spec)
        if mode == "disabled":
            return "mirroring is already disabled"
        peers.require_none(ioctx, spec)
        mirrored = images.all_primary(ioctx, spec)
        # In pool mode librbd refuses to disable single images.
        set_mode(ioctx, spec, "image")
        try:
            images.disable_all(ioctx, mirrored)
        except MirrorError:
            set_mode(ioctx, spec, mode)
            raise
        set_mode(ioctx, spec, "disabled")
    return ""


def info(cluster: "rados.Rados", spec: PoolSpec, with_mon_host: bool = False) -> PoolInfo:
    """Say how mirroring is configured; keys of peers are never part of it."""
    with open_pool(cluster, spec) as ioctx:
        mode = read_mode(ioctx, spec)
        if mode == "disabled" or spec.namespace:
            return PoolInfo(mode)
        return PoolInfo(mode, sites.name(cluster), peers.list_peers(ioctx, spec, with_mon_host))
