"""Makes ordinary images of copies, from a process of its own.

What does that waits for OSDs, and may be at it for long.  Run as a program it reads one JSON object
from stdin and prints one.
"""

import asyncio
import json
import sys

import rados

from ..cluster.connection import Connection
from ..errors import MirrorError, from_errno
from ..replay.restore import make_writable as make_writable_here
from . import child
from .specs import PoolSpec


def make_writable(how: child.Start, login: child.Login, pool: PoolSpec, image_id: str) -> None:
    """Make an ordinary image of a copy that is not mirrored, as replay.restore does it."""
    process = child.start(how, __name__)
    try:
        out, _ = process.communicate(json.dumps({
            "login": login._asdict(), "pool": pool.pool, "namespace": pool.namespace,
            "image": image_id}).encode())
    finally:
        process.kill()
        process.wait()
    answer = json.loads(out) if out else {"errno": MirrorError.errno, "message": (
        "the process that restores it ended; run the same again")}
    if answer["errno"]:
        raise from_errno(answer["errno"],
                         f"image with id {image_id} in pool '{pool}': {answer['message']}")


def main() -> None:
    request = json.load(sys.stdin)
    login = child.Login(**request["login"])
    cluster = rados.Rados(name=login.name, conffile=login.conf, conf={"keyring": login.keyring})
    cluster.connect()
    pool_id = cluster.pool_lookup(request["pool"])
    pool = Connection(cluster, "local").pool(pool_id, request["namespace"])
    error = None
    try:
        asyncio.run(make_writable_here(pool, request["image"]))
    except MirrorError as raised:
        error = raised
    print(json.dumps({"errno": error.errno if error else 0,
                      "message": error.message if error else ""}), flush=True)


if __name__ == "__main__":
    main()
