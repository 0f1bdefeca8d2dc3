"""Looks at a peer site from a process of its own, which can be killed when librados hangs.

Run as a program it reads one JSON object from stdin, secret included, and prints one.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional

from ..errors import DeadlineExceeded, MirrorError
from . import child
from .token import Token

CONNECT_SECONDS = 8
GRACE_SECONDS = 4  # to start an interpreter, and to say that the time is up


@dataclass(frozen=True)
class Sight:
    """What was seen.

    :ivar errno: 0, or why the site could not be looked at
    :ivar pool_mode: the mirroring mode of the pool there; None if there is no such pool
    :ivar primary: whether the image is primary there; None if it is not mirrored there
    """

    errno: int = 0
    error: str = ""
    fsid: str = ""
    site_name: str = ""
    pool_mode: Optional[int] = None
    primary: Optional[bool] = None


def look(how: child.Start, token: Token, pool: str, namespace: str = "",
         global_id: str = "") -> Sight:
    """Look at the site that a token leads to: a pool there, and an image if one is named.

    Raise DeadlineExceeded if nothing answers there.
    """
    request = {"client_id": token.client_id, "key": token.key, "mon_host": token.mon_host,
               "pool": pool, "namespace": namespace, "global_id": global_id}
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
        return Sight(**json.loads(out.splitlines()[-1]))  # librados may have had its say before
    except (ValueError, TypeError, IndexError):
        raise MirrorError(f"{how.interpreter[0]} ended with {process.returncode} and no answer; "
                          "does it have python3-rados and python3-rbd?") from None


def main() -> None:
    print(json.dumps(asdict(_look(json.load(sys.stdin)))))


def _look(request: Dict[str, Any]) -> Sight:
    import rados
    import rbd

    cluster = None
    try:
        # As librbd does: no ceph.conf, which is that of the other site.
        cluster = rados.Rados(rados_id=request["client_id"], conf={
            "mon_host": request["mon_host"],
            "key": request["key"],
            "client_mount_timeout": str(CONNECT_SECONDS),
            "rados_mon_op_timeout": str(CONNECT_SECONDS),
            "rados_osd_op_timeout": str(CONNECT_SECONDS),
            "log_file": "",
            "log_to_stderr": "false",
        })
        cluster.connect()
        return Sight(fsid=cluster.get_fsid(), site_name=rbd.RBD().mirror_site_name_get(cluster),
                     **_pool(cluster, request))
    except (rados.Error, rbd.Error) as error:
        return Sight(errno=abs(getattr(error, "errno", None) or 5), error=str(error))
    finally:
        if cluster is not None:
            cluster.shutdown()


def _pool(cluster: Any, request: Dict[str, Any]) -> Dict[str, Any]:
    import rados
    import rbd

    try:
        ioctx = cluster.open_ioctx(request["pool"])
    except rados.ObjectNotFound:
        return {}
    with ioctx:
        ioctx.set_namespace(request["namespace"])
        found = {"pool_mode": int(rbd.RBD().mirror_mode_get(ioctx))}
        for _, info in rbd.RBD().mirror_image_info_list(ioctx) if request["global_id"] else ():
            if info["global_id"] == request["global_id"]:
                found["primary"] = bool(info["primary"])
        return found


if __name__ == "__main__":
    main()
