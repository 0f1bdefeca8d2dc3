"""Finds what a sync that was cut off left in a pool and nobody removed."""

import re
from typing import Dict, List, Set

import rbd
from rados import Ioctx, ReadOpCtx

from qa.images import mirror_snapshots
from qa.sites import Site

_OF_A_SNAPSHOT = re.compile(
    r"rbd_object_map\.(?P<map>\w+)\.(?P<hex>[0-9a-f]{16})$"
    r"|rbd_mirror_snapshot\.(?P<state>\w+)\.(?P<decimal>\d+)\.\d+$"
)
_OF_AN_IMAGE = re.compile(
    r"rbd_(header|object_map)\.(?P<id>\w+)$"
    r"|rbd_data\.(\d+\.)?(?P<data>\w+)\.[0-9a-f]{16}$"
    r"|journal\.(?P<journal>\w+)$"
    r"|journal_data\.\d+\.(?P<entries>\w+)\.\d+$"
)


def leftovers(site: Site, pool: str, namespace: str = "") -> List[str]:
    """Return what belongs to no image or snapshot, and mirror snapshots beyond an image's newest.

    Of a pool in which nothing is under way; empty when all is as it should be.
    """
    cluster = site.rados()
    try:
        with cluster.open_ioctx(pool) as ioctx:
            ioctx.set_namespace(namespace)
            images = {image["id"]: image["name"] for image in rbd.RBD().list2(ioctx)}
            snapshots = {id: _snapshots(ioctx, id) for id in images}
            found = [f"{images[id]}: {len(mirrors)} mirror snapshots"
                     for id, (_, mirrors) in snapshots.items() if len(mirrors) > 1]
            live = {id: snap_ids for id, (snap_ids, _) in snapshots.items()}
            found += [oid for oid in (entry.key for entry in ioctx.list_objects())
                      if not _belongs(oid, images, live)]
            return found + [f"image {id} is mirrored and does not exist"
                            for id in _mirrored(ioctx) - images.keys()]
    finally:
        cluster.shutdown()


def _snapshots(ioctx: Ioctx, image_id: str) -> "tuple[Set[int], List[object]]":
    with rbd.Image(ioctx, image_id=image_id, read_only=True) as image:
        return {snap["id"] for snap in image.list_snaps()}, list(mirror_snapshots(image))


def _belongs(oid: str, images: Dict[str, str], snapshots: Dict[str, Set[int]]) -> bool:
    if oid.startswith("rbd_id."):
        return oid[len("rbd_id."):] in images.values()
    match = _OF_A_SNAPSHOT.match(oid)
    if match:
        snap_id = int(match["hex"], 16) if match["hex"] else int(match["decimal"])
        return snap_id in snapshots.get(match["map"] or match["state"], set())
    match = _OF_AN_IMAGE.match(oid)
    return match is None or next(filter(None, match.groupdict().values())) in images


def _mirrored(ioctx: Ioctx) -> Set[str]:
    with ReadOpCtx() as op:
        entries, _ = ioctx.get_omap_vals(op, "", "image_", 1024)
        ioctx.operate_read_op(op, "rbd_mirroring")
        return {key[len("image_"):] for key, _ in entries}
