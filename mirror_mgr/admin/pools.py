"""Mirroring of a pool or namespace as a whole: switch it on and off, say how it is set up."""

from contextlib import suppress
from dataclasses import replace
from typing import Optional

import rados
import rbd

from ..errors import InvalidArgument, MirrorError
from ..model import PoolInfo
from . import images, librbd, namespaces, peers, sites
from .access import explaining, open_pool
from .modes import MIRRORED, read_mode, set_mode
from .specs import PoolSpec

INIT_ONLY = "init-only"


def enable(cluster: "rados.Rados", spec: PoolSpec, mode: str, site_name: Optional[str] = None,
           remote_namespace: Optional[str] = None) -> str:
    """Mirror the pool in ``image`` or ``pool`` mode, name the local site, and return the news.

    With ``init-only`` the pool gets ready for peers, and for namespaces of it to be mirrored, while
    its default namespace is not.  `remote_namespace` is the peer's namespace that this one is
    mirrored with, where that is not the one of the same name.

    Raise InvalidArgument for another mode, NotFound for an unknown pool or namespace, NotSupported
    for what librbd can't do.
    """
    _check_mode(spec, mode, remote_namespace)
    with open_pool(cluster, spec) as ioctx:
        before = read_mode(ioctx, spec)
        if mode == INIT_ONLY:
            _require_unmirrored(ioctx, spec, before)
            with_namespace = namespaces.remote(ioctx, spec)
        else:
            with_namespace = namespaces.check(ioctx, spec, before, remote_namespace)
        if before != mode:
            _enable(ioctx, spec, before, mode, with_namespace)
    renamed = site_name is not None and sites.set_name(cluster, site_name)
    if before == mode:
        return "" if renamed else f"mirroring is already configured for {mode} mode"
    if before in MIRRORED and mode in MIRRORED:
        return f"note: changing mirroring mode from {before} to {mode}"
    return ""


def _check_mode(spec: PoolSpec, mode: str, remote_namespace: Optional[str]) -> None:
    if mode not in (*MIRRORED, INIT_ONLY):
        raise InvalidArgument(f"mode {mode!r}: must be 'image', 'pool' or '{INIT_ONLY}'")
    if mode != INIT_ONLY:
        return
    if not librbd.has_init_only():
        raise InvalidArgument(f"mode '{INIT_ONLY}': librbd of this site does not have it; Ceph 20 "
                              "and later do; enable the pool in mode 'image'")
    if spec.namespace:
        raise InvalidArgument(f"namespace '{spec}': mode '{INIT_ONLY}' is one of whole pools; "
                              "a namespace that is not to be mirrored needs none")
    if remote_namespace is not None:
        raise InvalidArgument(f"pool '{spec}': in mode '{INIT_ONLY}' its default namespace is not "
                              "mirrored, so there is no --remote-namespace for it")


def _require_unmirrored(ioctx: "rados.Ioctx", spec: PoolSpec, mode: str) -> None:
    """Raise InvalidArgument, as librbd would half-way, where images are mirrored."""
    mirrored = images.mirrored_images(ioctx, spec) if mode in MIRRORED else {}
    if mirrored:
        raise InvalidArgument(f"pool '{spec}': {images.some(sorted(map(str, mirrored)))} mirrored, "
                              f"and mode '{INIT_ONLY}' mirrors none; disable that first, on each "
                              "image by: ceph rbd-mirror image disable IMAGE")


def _enable(ioctx: "rados.Ioctx", spec: PoolSpec, before: str, mode: str,
            with_namespace: str) -> None:
    known = namespaces.remote(ioctx, spec)
    if before not in MIRRORED:
        namespaces.change(ioctx, spec, with_namespace)
    try:
        set_mode(ioctx, spec, mode)
    except MirrorError:
        # librbd goes from mode to mode by way of others.
        with suppress(MirrorError):
            set_mode(ioctx, spec, before)
            if before not in MIRRORED:
                namespaces.change(ioctx, spec, known)
        raise


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
        if mode == "disabled":
            return PoolInfo(mode)
        with explaining(f"pool '{spec}': can't read its mirror uuid"):
            found = PoolInfo(mode, mirror_uuid=str(rbd.RBD().mirror_uuid_get(ioctx)))
        if librbd.has_remote_namespaces():
            found = replace(found, remote_namespace=namespaces.remote(ioctx, spec))
        if spec.namespace:
            return found
        return replace(found, site_name=sites.name(cluster),
                       peers=peers.list_peers(ioctx, spec, with_mon_host))
