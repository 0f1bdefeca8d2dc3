"""Which namespace of the peer's pool a pool or namespace here is mirrored with.

That is the one of the same name, unless another was given when mirroring was enabled.
"""

import errno
from typing import Dict, Optional

import rados
import rbd

from ..errors import InvalidArgument, NotSupported
from . import librbd
from .access import explaining, in_default_namespace
from .modes import MIRRORED, read_mode
from .specs import PoolSpec


def remote(ioctx: "rados.Ioctx", spec: PoolSpec) -> str:
    """Return the peer's namespace that `spec`, which is open, is mirrored with."""
    if not librbd.has_remote_namespaces():
        return spec.namespace
    with explaining(f"pool '{spec}': can't read which namespace of the peer it is mirrored with"):
        return str(rbd.RBD().mirror_remote_namespace_get(ioctx))


def check(ioctx: "rados.Ioctx", spec: PoolSpec, mode: str, wanted: Optional[str]) -> str:
    """Return which namespace of the peer `spec` is to be mirrored with; None stands for its own.

    `mode` is the one that it has.  Raise NotSupported where librbd can't do it, InvalidArgument
    where the namespace can't be that one.
    """
    new = spec.namespace if wanted is None else wanted
    known = remote(ioctx, spec)
    if "/" in new or "@" in new:
        raise InvalidArgument(f"remote namespace {new!r}: there can't be one with a '/' or '@'; "
                              "name the peer's namespace alone, without its pool")
    if new != known and not librbd.has_remote_namespaces():
        raise NotSupported(f"pool '{spec}': librbd of this site can't mirror it with "
                           f"{_called(new)}, only with that of the same name; Ceph 20 and later "
                           "can, at both sites")
    if mode not in MIRRORED:
        _require_free(ioctx, spec, new)
    elif new != known:
        option = f"'{known}'" if not known else known
        raise InvalidArgument(
            f"pool '{spec}': it is mirrored with {_called(known)}; to leave it so, add: "
            f"--remote-namespace {option}; to change it, first run: "
            f"ceph rbd-mirror pool disable {spec}")
    return new


def change(ioctx: "rados.Ioctx", spec: PoolSpec, new: str) -> None:
    """Have `spec`, which is not mirrored yet, mirrored with this namespace of the peer."""
    if remote(ioctx, spec) == new:
        return
    with explaining(f"pool '{spec}': can't have it mirrored with {_called(new)}", {
            errno.EOPNOTSUPP: "the OSDs of this site are of an older release; "
                              "finish its upgrade first"}.get):
        rbd.RBD().mirror_remote_namespace_set(ioctx, new)


def _require_free(ioctx: "rados.Ioctx", spec: PoolSpec, wanted: str) -> None:
    """Raise InvalidArgument where another namespace here is mirrored with the same one."""
    for other, theirs in _others(ioctx, spec).items():
        if theirs == wanted:
            raise InvalidArgument(
                f"pool '{spec}': {_called(wanted)} is mirrored with '{other}' here already, and "
                "an image can have but one copy at a site; name another one by "
                f"--remote-namespace, or first run: ceph rbd-mirror pool disable {other}")


def _others(ioctx: "rados.Ioctx", spec: PoolSpec) -> Dict[PoolSpec, str]:
    """The mirrored namespaces of the pool but `spec`, and what each is mirrored with."""
    found = {}
    with in_default_namespace(ioctx):
        with explaining(f"pool {spec.pool!r}: can't list its namespaces"):
            names = ["", *rbd.RBD().namespace_list(ioctx)]
        for name in names:
            other = PoolSpec(spec.pool, name)
            ioctx.set_namespace(name)
            if other != spec and read_mode(ioctx, other) in MIRRORED:
                found[other] = remote(ioctx, other)
    return found


def _called(namespace: str) -> str:
    return f"the peer's namespace {namespace!r}" if namespace else "the peer's default namespace"
