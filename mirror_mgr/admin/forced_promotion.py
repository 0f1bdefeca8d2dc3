"""Promotes images by force, from a process of its own.

librbd waits for a peer that does not answer, and release 16 crashes on an image that it can't roll
back: neither may happen in ceph-mgr.

Run as a program it reads one JSON object from stdin and prints a line for each image.
"""

import asyncio
import json
import sys
import threading
import time
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import rados

from ..cluster.connection import Connection
from ..errors import DeadlineExceeded, MirrorError, from_errno
from ..replay.abandon import abandon
from . import child, images, promotion
from .access import explaining, open_image, open_pool
from .specs import ImageSpec


def promote(how: child.Start, login: child.Login, specs: Sequence[ImageSpec],
            seconds: float) -> Dict[ImageSpec, MirrorError]:
    """Promote all images, and return what failed.

    What may crash has a process for itself, so that it does not take others with it.
    """
    end = time.monotonic() + seconds
    answers = _run(how, login, specs, end)
    if len(specs) > 1:
        for spec in [spec for spec in specs if spec not in answers]:
            answers.update(_run(how, login, [spec], end))
    late = time.monotonic() >= end
    errors = {spec: answers[spec] if spec in answers else _lost(spec, late) for spec in specs}
    return {spec: error for spec, error in errors.items() if error is not None}


def _lost(spec: ImageSpec, late: bool) -> MirrorError:
    if late:
        return DeadlineExceeded(f"image '{spec}': its promotion took too long and was ended; "
                                "look at its status and run the same again")
    return MirrorError(f"image '{spec}': librbd crashed while promoting it; run the same again, "
                       "and if it crashes again please report this as a bug")


def _run(how: child.Start, login: child.Login, specs: Sequence[ImageSpec],
         end: float) -> Dict[ImageSpec, Optional[MirrorError]]:
    """Return what a process said about each image until it ended, or was ended by the deadline."""
    process = child.start(how, __name__)
    timer = threading.Timer(max(0.0, end - time.monotonic()), process.kill)
    timer.start()
    try:
        request = json.dumps({"login": login._asdict(), "images": [
            [spec.pool, spec.namespace, spec.name] for spec in specs]})
        out, _ = process.communicate(request.encode())
        return dict(_answer(line, specs) for line in out.splitlines())
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def _answer(line: bytes, specs: Sequence[ImageSpec]) -> Tuple[ImageSpec, Optional[MirrorError]]:
    answer = json.loads(line)
    error = from_errno(answer["errno"], answer["message"]) if answer["errno"] else None
    return specs[answer["image"]], error


def main() -> None:
    request = json.load(sys.stdin)
    specs = [ImageSpec(*image) for image in request["images"]]
    numbers = {spec: number for number, spec in enumerate(specs)}
    login = child.Login(**request["login"])
    says = threading.Lock()

    def promote_and_say(spec: ImageSpec) -> None:
        error = None
        try:
            _promote(cluster, spec)
        except MirrorError as raised:
            error = raised
        with says:
            print(json.dumps({"image": numbers[spec], "errno": error.errno if error else 0,
                              "message": error.message if error else ""}), flush=True)

    cluster = rados.Rados(name=login.name, conffile=login.conf, conf={"keyring": login.keyring})
    cluster.connect()
    images.each(specs, promote_and_say)


def _promote(cluster: "rados.Rados", spec: ImageSpec) -> None:
    """Of an attempt before this one the image may be primary already."""
    with open_pool(cluster, spec.pool_spec) as ioctx:
        with open_image(ioctx, spec, read_only=True) as image, explaining(f"image '{spec}'"):
            if image.mirror_image_get_info()["primary"]:
                return
            image_id = image.id()
            crashes = may_crash(list(image.list_snaps()))
        if crashes:
            _take_back(cluster, ioctx.get_pool_id(), spec, image_id)
        with open_image(ioctx, spec) as image:
            promotion.promote_opened(image, spec, force=True)


def _take_back(cluster: "rados.Rados", pool_id: int, spec: ImageSpec, image_id: str) -> None:
    pool = Connection(cluster, "local").pool(pool_id, spec.namespace)
    try:
        asyncio.run(abandon(pool, image_id))
    except MirrorError as error:
        raise type(error)(f"image '{spec}': can't be promoted: {error}", error.errno) from None


def may_crash(snapshots: Sequence[Mapping[str, Any]]) -> bool:
    """Given what rbd.Image.list_snaps says of an image, return whether librbd 16.2.15 would crash.

    It does on its way back from an incomplete mirror snapshot to the one before, when it meets a
    snapshot of another kind.
    """
    ordered = sorted(snapshots, key=lambda snapshot: snapshot["id"])
    while ordered and "mirror" not in ordered[-1]:
        ordered.pop()
    if not ordered or ordered.pop()["mirror"]["complete"]:
        return False
    return bool(ordered) and "mirror" not in ordered[-1]


if __name__ == "__main__":
    main()
