"""Looks at a peer site from a process of its own, which can be killed when librados hangs.

Run as a program it reads one JSON object from stdin, secret included, and prints one.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import DeadlineExceeded, MalformedData, MirrorError
from ..wire import cls_rbd
from ..wire.constants import ImageMode, MirrorImageState, MirrorMode, SnapState
from ..wire.header import DIRECTORY, MIRRORING, ImageHeader, header_oid
from ..wire.mirror import MODE, MirrorPool
from . import child
from .forks import Mark, marks
from .token import Token

CONNECT_SECONDS = 8
GRACE_SECONDS = 4  # to start an interpreter, and to say that the time is up


class SeenImage(NamedTuple):
    """A mirrored image at the peer site, and its complete mirror snapshots in ascending order.

    `changed` is as `headers.changed_bytes` gives it.  That takes reading object maps: it is there
    only if no other image was asked for.  So is `spec`, what commands call it there.
    """

    primary: bool
    marks: Tuple[Mark, ...] = ()
    changed: Tuple[Tuple[int, int], ...] = ()
    spec: str = ""


@dataclass(frozen=True)
class Sight:
    """What was seen.

    :ivar errno: 0, or why the site could not be looked at
    :ivar pool_mode: the mirroring mode of the pool there; None if there is no such pool
    :ivar mirror_uuid: the pool's own there
    :ivar images: those that were asked for and are mirrored there, by global id
    """

    errno: int = 0
    error: str = ""
    fsid: str = ""
    site_name: str = ""
    pool_mode: Optional[int] = None
    mirror_uuid: str = ""
    images: Dict[str, SeenImage] = field(default_factory=dict)


# Looks at a pool, a namespace and the images with these global ids at a peer site.
LookAtImages = Callable[[Token, str, str, Sequence[str]], Sight]


def look(how: child.Start, token: Token, pool: str, namespace: str = "",
         global_ids: Sequence[str] = ()) -> Sight:
    """Look at the site that a token leads to: a pool there, and the images that are named.

    Raise DeadlineExceeded if nothing answers there.
    """
    request = {"client_id": token.client_id, "key": token.key, "mon_host": token.mon_host,
               "pool": pool, "namespace": namespace, "global_ids": list(global_ids)}
    process = child.start(how, __name__)
    try:
        out, _ = process.communicate(json.dumps(request).encode(),
                                     CONNECT_SECONDS + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded("no answer") from None
    finally:
        process.kill()
        process.wait()
    try:
        return _decode(json.loads(out.splitlines()[-1]))  # librados may have had its say before
    except (ValueError, TypeError, IndexError):
        raise MirrorError(f"{how.interpreter[0]} ended with {process.returncode} and no answer; "
                          "does it have python3-rados and python3-rbd?") from None


def _decode(seen: Dict[str, Any]) -> Sight:
    images = {global_id: SeenImage(primary, tuple(
        Mark(mark[0], SnapState(mark[1]), *mark[2:]) for mark in marks),
        tuple((snap_id, count) for snap_id, count in changed), spec)
        for global_id, (primary, marks, changed, spec) in seen.pop("images", {}).items()}
    return Sight(images=images, **seen)


def main() -> None:
    print(json.dumps(asdict(_look(json.load(sys.stdin)))))


def _look(request: Dict[str, Any]) -> Sight:
    import rados
    import rbd

    from ..cluster import keys

    cluster = None
    entity = f"client.{request['client_id']}"
    try:
        # As librbd does: no ceph.conf, which is that of the other site.
        cluster = rados.Rados(name=entity, conf={
            "mon_host": request["mon_host"],
            "key": request["key"],
            "client_mount_timeout": str(CONNECT_SECONDS),
            "rados_mon_op_timeout": str(CONNECT_SECONDS),
            "rados_osd_op_timeout": str(CONNECT_SECONDS),
            "log_file": "",
            "log_to_stderr": "false",
        })
        keys.require_readable(cluster, entity)
        cluster.connect()
        return Sight(fsid=cluster.get_fsid(), site_name=rbd.RBD().mirror_site_name_get(cluster),
                     **_pool(cluster, request))
    except MirrorError as error:
        return Sight(errno=error.errno, error=error.message)
    except (rados.Error, rbd.Error) as error:
        return Sight(errno=abs(getattr(error, "errno", None) or 5), error=str(error))
    finally:
        if cluster is not None:
            cluster.shutdown()


def _pool(cluster: Any, request: Dict[str, Any]) -> Dict[str, Any]:
    """What is asked for in the pool and namespace of those names.

    Images may be elsewhere: pools can be renamed, and the two sites need not agree about which
    namespaces are mirrored with each other.

    Who asks for none is about to mirror from there.  Raise NotSupported where that is not possible.
    """
    import rados
    import rbd

    from ..cluster.abilities import require_ping

    asked = request["pool"], request["namespace"]
    wanted = frozenset(request["global_ids"])
    try:
        named = _namespace_named(cluster, *asked, wanted)
    except rados.ObjectNotFound:
        named = {}
    if named and not wanted:
        with cluster.open_ioctx(request["pool"]) as ioctx:
            require_ping(ioctx)
    if not wanted or named.get("images"):
        return named
    for name in sorted(cluster.list_pools(), key=lambda name: name != request["pool"]):
        try:
            for namespace in _namespaces(cluster, name, first=request["namespace"]):
                if (name, namespace) == asked:
                    continue
                found = _namespace_named(cluster, name, namespace, wanted)
                if found["images"]:
                    return found
        except (rados.Error, rbd.Error):  # nothing is mirrored there, or this user may not look
            continue
    return named


def _namespaces(cluster: Any, pool: str, first: str) -> List[str]:
    import rbd

    with cluster.open_ioctx(pool) as ioctx:
        return sorted(["", *rbd.RBD().namespace_list(ioctx)], key=lambda name: name != first)


def _namespace_named(cluster: Any, name: str, namespace: str,
                     wanted: FrozenSet[str]) -> Dict[str, Any]:
    """Raise rados.ObjectNotFound where there is no such pool."""

    with cluster.open_ioctx(name) as ioctx:
        ioctx.set_namespace(namespace)
        images = _images(ioctx, wanted)
        if len(wanted) == 1:
            images = {global_id: seen._replace(spec="/".join(filter(None, (
                name, namespace, seen.spec)))) for global_id, seen in images.items()}
        mode = _mode(ioctx)
        ioctx.set_namespace("")
        return {"pool_mode": mode, "mirror_uuid": _mirror_uuid(ioctx), "images": images}


def _mirror_uuid(ioctx: Any) -> str:
    import rbd

    try:
        return str(rbd.RBD().mirror_uuid_get(ioctx))
    except rbd.ImageNotFound:  # it was never mirrored
        return ""


def _mode(ioctx: Any) -> int:
    """As it is written: an older librbd fails at a mode that it does not know."""
    import rados

    from ..cluster.omap import read_omap

    try:
        return int(MirrorPool.from_omap(read_omap(ioctx, MIRRORING, MODE)).mode)
    except rados.ObjectNotFound:
        return int(MirrorMode.DISABLED)


def _images(ioctx: Any, wanted: FrozenSet[str]) -> Dict[str, SeenImage]:
    import rados

    from ..cluster.omap import read_omap

    if not wanted:
        return {}
    try:
        mirroring = MirrorPool.from_omap(read_omap(ioctx, MIRRORING))
    except rados.ObjectNotFound:
        return {}
    if mirroring.unreadable:
        raise MalformedData(f"{MIRRORING}: what it says of image "
                            f"{min(mirroring.unreadable)} does not decode")
    return {image.global_id: _image(ioctx, image_id, image.mode, alone=len(wanted) == 1)
            for image_id, image in mirroring.images.items()
            if image.global_id in wanted and image.state == MirrorImageState.ENABLED}


def _image(ioctx: Any, image_id: str, mode: ImageMode, alone: bool) -> SeenImage:
    """An image in snapshot mode by its header, which takes one round trip."""
    import rbd

    from ..cluster.omap import read_omap
    from .headers import changed_bytes

    if mode == ImageMode.SNAPSHOT:
        header = ImageHeader.from_omap(read_omap(ioctx, header_oid(image_id)))
        changed = changed_bytes(ioctx, image_id, header) if alone else {}
        found = marks(header)
        return SeenImage(bool(found) and found[-1].state == SnapState.PRIMARY, found,
                         tuple(changed.items()), _name(ioctx, image_id) if alone else "")
    with rbd.Image(ioctx, image_id=image_id, read_only=True) as image:
        return SeenImage(bool(image.mirror_image_get_info()["primary"]), spec=image.get_name())


def _name(ioctx: Any, image_id: str) -> str:
    _, data = ioctx.execute(DIRECTORY, *cls_rbd.dir_get_name(image_id))
    return cls_rbd.decode_dir_get_name(data)


if __name__ == "__main__":
    main()
