"""Looks at a pool of a site by librbd: which images there are, how they stand, what they hold."""

from typing import Dict, Iterator, List, NamedTuple, Optional

import rados
import rbd

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire.journal import ORPHAN, JournalHeader, journal_oid
from qa.administration.model import Seen
from qa.images import CHUNK, mirror_snapshots, user_snapshots
from qa.sites import Site

_MODES = {rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL: "journal", rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
          "snapshot"}
# An image that comes or goes while it is looked at.
_PASSING = (rbd.ImageNotFound, rbd.InvalidArgument, rados.ObjectNotFound)


class Copied(NamedTuple):
    """A complete mirror snapshot of a copy, and which of the primary's it holds."""

    global_id: str
    copy_id: str
    snapshot: int
    primary_uuid: str
    primary_snapshot: int


class Eye:
    """Looks at one site; only reads."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._cluster: Optional[rados.Rados] = None

    def close(self) -> None:
        """End the connection; the next look makes another."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None

    def pool(self, pool: str) -> rados.Ioctx:
        """The pool, for the caller to close."""
        if self._cluster is None:
            self._cluster = self.site.rados()
        return self._cluster.open_ioctx(pool)

    def look(self, pool: str) -> Dict[str, Seen]:
        """The images of the pool and of its trash, by id."""
        with self.pool(pool) as ioctx:
            # In this order, what is put into the trash meanwhile is in one of the lists or both.
            mirrored = dict(rbd.RBD().mirror_image_info_list(ioctx))
            names = {image["id"]: image["name"] for image in rbd.RBD().list2(ioctx)}
            trash = {image["id"]: image["name"] for image in rbd.RBD().trash_list(ioctx)}
            seen = {id: self._seen(ioctx, id, name, mirrored.get(id))
                    for id, name in names.items() if id not in trash}
            seen.update({id: Seen(id, name, trashed=True) for id, name in trash.items()})
            return seen

    def mirror_uuid(self, pool: str) -> str:
        """What the copies of the pool's images name as their primary."""
        with self.pool(pool) as ioctx:
            return str(rbd.RBD().mirror_uuid_get(ioctx))

    def _seen(self, ioctx: rados.Ioctx, id: str, name: str,
              info: Optional[Dict[str, object]]) -> Seen:
        if info is None:
            return Seen(id, name)
        mode = _MODES.get(info["mode"], "")
        enabled = info["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED
        primary = bool(info["primary"])
        demoted = enabled and not primary and (
            _orphan(ioctx, id) if mode == "journal" else _demoted(ioctx, id))
        return Seen(id, name, False, str(info["global_id"]), mode, enabled, primary, demoted)

    def data(self, pool: str, id: str, snapshot: Optional[int] = None) -> Optional[bytes]:
        """All that the image holds, or its snapshot with this id; None where that is gone."""
        try:
            with self.pool(pool) as ioctx, rbd.Image(ioctx, image_id=id, read_only=True) as image:
                if snapshot is not None:
                    image.set_snap_by_id(snapshot)
                return _data(image)
        except _PASSING:
            return None

    def user_snapshots(self, pool: str, id: str) -> Dict[str, bytes]:
        """What the user snapshots of an image hold, by name."""
        found = {}
        with self.pool(pool) as ioctx, rbd.Image(ioctx, image_id=id, read_only=True) as image:
            for name in user_snapshots(image):
                image.set_snap(name)
                found[name] = _data(image)
        return found

    def copied(self, pool: str, sight: Dict[str, Seen]) -> List[Copied]:
        """The complete mirror snapshots of the pool's copies."""
        with self.pool(pool) as ioctx:
            return [copied for seen in sight.values()
                    if seen.enabled and not seen.primary and seen.mode == "snapshot"
                    for copied in _copied(ioctx, seen)]


def _copied(ioctx: rados.Ioctx, seen: Seen) -> Iterator[Copied]:
    try:
        with rbd.Image(ioctx, image_id=seen.id, read_only=True) as image:
            for snapshot in mirror_snapshots(image):
                if snapshot.complete and snapshot.primary_id is not None:
                    facts = image.snap_get_mirror_namespace(snapshot.id)
                    yield Copied(str(seen.global_id), seen.id, snapshot.id,
                                 facts["primary_mirror_uuid"], snapshot.primary_id)
    except _PASSING:
        return


def _demoted(ioctx: rados.Ioctx, id: str) -> bool:
    try:
        with rbd.Image(ioctx, image_id=id, read_only=True) as image:
            newest = mirror_snapshots(image)[-1:]
    except _PASSING:
        return False
    return any(snapshot.demoted and snapshot.complete for snapshot in newest)


def _orphan(ioctx: rados.Ioctx, id: str) -> bool:
    omap: Dict[str, bytes] = {}
    try:
        with rados.ReadOpCtx() as op:
            found, _ = ioctx.get_omap_vals(op, "", "", 1024)
            ioctx.operate_read_op(op, journal_oid(id))
            omap.update(found)
        last = JournalHeader.from_omap(omap).last_tag
    except (rados.ObjectNotFound, MalformedData):
        return False
    return last is not None and last.owner == ORPHAN


def _data(image: rbd.Image) -> bytes:
    size = image.size()
    return b"".join(image.read(at, min(CHUNK, size - at)) for at in range(0, size, CHUNK))
