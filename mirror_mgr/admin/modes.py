"""The mirroring mode of a pool or namespace: one of `words.POOL_MODES`."""

import errno

import rados
import rbd

from ..errors import InvalidArgument
from .access import explaining
from .specs import PoolSpec
from .words import POOL_MODES, word

MIRRORED = ("image", "pool")
"""The modes in which images are mirrored."""


def read_mode(ioctx: "rados.Ioctx", spec: PoolSpec) -> str:
    with explaining(f"pool '{spec}': can't read its mirroring mode"):
        return word(POOL_MODES, rbd.RBD().mirror_mode_get(ioctx))


def set_mode(ioctx: "rados.Ioctx", spec: PoolSpec, mode: str) -> None:
    with explaining(f"pool '{spec}': can't set its mirroring mode to {mode}", {
            errno.EINVAL: "librbd refuses because of an image in it; "
                          "the manager's log says which"}.get):
        rbd.RBD().mirror_mode_set(ioctx, POOL_MODES[mode])


def require_enabled(ioctx: "rados.Ioctx", spec: PoolSpec) -> None:
    """Raise InvalidArgument unless the pool or namespace is mirrored."""
    if read_mode(ioctx, spec) == "disabled":
        raise InvalidArgument(f"pool '{spec}': mirroring is not enabled; "
                              f"run: ceph rbd-mirror pool enable {spec} image")
