"""Looks at a peer site from a process of its own, which can be killed when librados hangs.

Run as a program it reads one JSON object from stdin, secret included, and prints one.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional

from ..errors import DeadlineExceeded, MirrorError
from .token import Token

CONNECT_SECONDS = 8
GRACE_SECONDS = 4  # to start an interpreter, and to say that the time is up


@dataclass(frozen=True)
class Sight:
    """What was seen.

    :ivar errno: 0, or why the site could not be looked at
    :ivar pool_mode: the mirroring mode of the pool there; None if there is no such pool
    """

    errno: int = 0
    error: str = ""
    fsid: str = ""
    site_name: str = ""
    pool_mode: Optional[int] = None


def look(words: List[str], environment: Mapping[str, str], token: Token, pool: str) -> Sight:
    """Given how to start this module as a program, look at the site that a token leads to.

    Raise DeadlineExceeded if nothing answers there.
    """
    request = {"client_id": token.client_id, "key": token.key, "mon_host": token.mon_host,
               "pool": pool}
    child = subprocess.Popen(words, env=dict(environment), cwd="/", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=True)
    try:
        out, _ = child.communicate(json.dumps(request).encode(), CONNECT_SECONDS + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded("no answer") from None
    finally:
        child.kill()
        child.wait()
    try:
        return Sight(**json.loads(out.splitlines()[-1]))  # librados may have had its say before
    except (ValueError, TypeError, IndexError):
        raise MirrorError(f"{words[0]} ended with {child.returncode} and no answer; "
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
                     pool_mode=_pool_mode(cluster, request["pool"]))
    except (rados.Error, rbd.Error) as error:
        return Sight(errno=abs(getattr(error, "errno", None) or 5), error=str(error))
    finally:
        if cluster is not None:
            cluster.shutdown()


def _pool_mode(cluster: Any, pool: str) -> Optional[int]:
    import rados
    import rbd

    try:
        ioctx = cluster.open_ioctx(pool)
    except rados.ObjectNotFound:
        return None
    with ioctx:
        return int(rbd.RBD().mirror_mode_get(ioctx))


if __name__ == "__main__":
    main()
