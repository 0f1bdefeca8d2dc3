"""Copies whose primary is gone: confirming that they may go, and taking them back into use."""

import time
from typing import Any, Callable, List, Mapping, Optional

import rados
import rbd

from ..cluster.omap import read_omap
from ..errors import AlreadyExists, InvalidArgument, NotSupported
from ..wire.constants import Feature
from ..worker import removal_rules as rules
from .access import explaining, open_image, open_pool
from .specs import ImageSpec, PoolSpec

# Makes an ordinary image of a copy, given its pool and id.
MakeWritable = Callable[[PoolSpec, str], None]


def confirm(cluster: "rados.Rados", spec: PoolSpec) -> int:
    """Let go the copies of a pool or namespace that are held; return how many those are.

    A pool's own namespaces are meant too.
    """
    with open_pool(cluster, spec) as ioctx:
        found = 0
        for namespace in [spec.namespace] if spec.namespace else ["", *_namespaces(ioctx)]:
            ioctx.set_namespace(namespace)
            found += _confirm(ioctx, spec)
        return found


def _namespaces(ioctx: "rados.Ioctx") -> List[str]:
    return list(rbd.RBD().namespace_list(ioctx))


def _confirm(ioctx: "rados.Ioctx", spec: PoolSpec) -> int:
    records = _records(ioctx)
    held = sum(record.held and records.confirmed < record.since
               for record in records.missing.values())
    if held and rules.CONFIRMED in records.later:
        raise NotSupported(f"pool '{spec}': {records.later[rules.CONFIRMED]}")
    if held:
        with explaining(f"pool '{spec}': can't confirm the removal of copies"), \
                rados.WriteOpCtx() as op:
            ioctx.set_omap(op, (rules.CONFIRMED,), (rules.encode_confirmed(time.time()),))
            ioctx.operate_write_op(op, rules.OBJECT)
    return held


def _records(ioctx: "rados.Ioctx") -> rules.Records:
    try:
        return rules.Records.from_omap(read_omap(ioctx, rules.OBJECT))
    except rados.ObjectNotFound:
        return rules.Records({})


def restore(cluster: "rados.Rados", spec: ImageSpec, name: Optional[str],
            make_writable: MakeWritable) -> ImageSpec:
    """Take a copy out of the trash and make an ordinary image of it; return which it is then.

    `spec` names it by what it was called, or by its id; `name` is what it is to be called, where
    that is to be another name.  One that is out of the trash already, but still a copy that nobody
    can write to, is made an ordinary image too.  May be repeated.
    """
    with open_pool(cluster, spec.pool_spec) as ioctx:
        found = _out_of_trash(ioctx, spec, name)
        if found is None:
            _refuse_others(ioctx, spec)
            found = spec
        image_id = _read_only_id(ioctx, found)
    if image_id is not None:
        make_writable(spec.pool_spec, image_id)
    elif found == spec:
        raise InvalidArgument(f"image '{spec}': the trash has no such copy, and the image of that "
                              "name is an ordinary one already")
    return found


def _out_of_trash(ioctx: "rados.Ioctx", spec: ImageSpec,
                  name: Optional[str]) -> Optional[ImageSpec]:
    """None where the trash has no such copy."""
    copies = [entry for entry in _in_trash(ioctx, spec) if entry["source"] == "MIRRORING"]
    if not copies:
        return None
    if len(copies) > 1:
        ids = ", ".join(sorted(entry["id"] for entry in copies))
        raise InvalidArgument(f"image '{spec}': the trash has several of that name; name one by "
                              f"its id: {ids}")
    [entry] = copies
    wanted = ImageSpec(spec.pool, spec.namespace, name or entry["name"])
    with explaining(f"image '{wanted}': can't be restored"):
        try:
            rbd.RBD().trash_restore(ioctx, entry["id"], wanted.name)
        except rbd.ImageExists:
            raise AlreadyExists(
                f"image '{wanted}' exists; restore the other under a new name: ceph rbd-mirror "
                f"image restore {spec} NEWNAME") from None
    return wanted


def _in_trash(ioctx: "rados.Ioctx", spec: ImageSpec) -> List[Mapping[str, Any]]:
    with explaining(f"pool '{spec.pool_spec}': can't list its trash"):
        return [entry for entry in rbd.RBD().trash_list(ioctx)
                if spec.name in (entry["id"], entry["name"])]


def _refuse_others(ioctx: "rados.Ioctx", spec: ImageSpec) -> None:
    """Raise InvalidArgument where all that is called so is what somebody moved to the trash."""
    with explaining(f"pool '{spec.pool_spec}': can't list its images"):
        if spec.name in rbd.RBD().list(ioctx):
            return
    for entry in _in_trash(ioctx, spec):
        raise InvalidArgument(
            f"image '{spec}' is in the trash, but not as a copy whose primary is gone; take it out "
            f"with: rbd trash restore {ImageSpec(spec.pool, spec.namespace, entry['id'])}")


def _read_only_id(ioctx: "rados.Ioctx", spec: ImageSpec) -> Optional[str]:
    """The id of an image that is a copy still, though it is mirrored no more; None of an ordinary.

    Raise InvalidArgument for one that is mirrored.
    """
    with open_image(ioctx, spec, read_only=True) as image, explaining(f"image '{spec}'"):
        if image.mirror_image_get_info()["state"] != rbd.RBD_MIRROR_IMAGE_DISABLED:
            raise InvalidArgument(
                f"image '{spec}': it is mirrored; to use it here promote it, or end its mirroring "
                f"first: ceph rbd-mirror image disable {spec} --force")
        return str(image.id()) if image.features() & Feature.NON_PRIMARY else None
