"""Pools of many small images, looked at through their headers, as opening each takes long."""

from concurrent.futures import ThreadPoolExecutor
from typing import List

import rbd
from rados import Ioctx

from mirror_mgr.cluster.omap import read_omap
from mirror_mgr.wire.constants import SnapState
from mirror_mgr.wire.header import ImageHeader, header_oid
from mirror_mgr.wire.snapshot import MirrorNamespace

SIZE = 4 << 20


def fill(ioctx: Ioctx, images: int) -> None:
    """Make so many images in snapshot mode."""
    def make(number: int) -> None:
        rbd.RBD().create(ioctx, f"image{number}", SIZE)
        with rbd.Image(ioctx, f"image{number}") as image:
            image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)

    with ThreadPoolExecutor(100) as threads:
        list(threads.map(make, range(images)))


def image_ids(ioctx: Ioctx) -> List[str]:
    return [entry["id"] for entry in rbd.RBD().list2(ioctx)]


def snapshot_times(ioctx: Ioctx, image_id: str) -> List[float]:
    """When its primary mirror snapshots were made, in seconds since the epoch."""
    header = ImageHeader.from_omap(read_omap(ioctx, header_oid(image_id)))
    return [snapshot.timestamp_ns / 1e9 for snapshot in header.mirror_snapshots
            if isinstance(snapshot.namespace, MirrorNamespace)
            and snapshot.namespace.state == SnapState.PRIMARY]
