"""Random changes to an image that is mirrored by its journal, compared with its copy."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import rados
import rbd

from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import ObjectState
from mirror_mgr.wire.header import object_map_oid
from mirror_mgr.wire.journal import (
    JournalHeader,
    ObjectPosition,
    PeerClientData,
    PeerState,
    decode_client_data,
    journal_oid,
)
from qa import nativerbd
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for

_BASE = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
         | rbd.RBD_FEATURE_JOURNALING)
_MAPS = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF

JOURNAL_LAYOUTS = (
    Layout("plain", features=_BASE | _MAPS),
    Layout("small-objects-striped", features=_BASE | _MAPS, order=20, stripe_unit=65536,
           stripe_count=4),
    Layout("no-object-map", features=_BASE, namespace="ns"),
    Layout("data-pool", features=_BASE | _MAPS, data_pool=True, order=23),
    Layout("no-fast-diff", features=_BASE | rbd.RBD_FEATURE_OBJECT_MAP, order=18, size=12 * MIB),
    Layout("clone", features=_BASE | _MAPS | rbd.RBD_FEATURE_DEEP_FLATTEN, clone=2, order=20,
           size=16 * MIB, parent_mode="journal"),
    Layout("clone-format-1", features=_BASE | _MAPS, clone=1, order=21, size=16 * MIB),
    Layout("clone-of-clone-striped", features=_BASE, order=20, stripe_unit=65536, stripe_count=4,
           data_pool=True, namespace="ns", size=16 * MIB, clone=2, parents=2,
           parent_mode="journal"),
)


class Positions(NamedTuple):
    """The newest entries that the primary and a copy are done with."""

    primary: Optional[ObjectPosition]
    copy: Optional[ObjectPosition]


class JournalRounds(Rounds):
    """As Rounds, in journal mode: the copy follows by itself."""

    mode = "journal"

    def positions(self) -> Positions:
        """What the primary's journal has of both sites."""
        header = self.header(self.primary)
        fronts = {client_id: client.front for client_id, client in header.clients.items()}
        return Positions(fronts.pop("", None), next(iter(fronts.values()), None))

    def wait_current(self) -> None:
        """Wait until the copy has all that is in the journal; the image must be closed."""
        wait_for(self.is_current, self.describe, interval=0.1)

    def compare(self, maps: bool = True) -> None:
        """Raise AssertionError unless both sites show the same image and snapshots.

        `maps`: have their object maps name the same objects, cell by cell.  A striped copy may have
        some of zeros that the primary removed: librbd's journal has an event for each stripe unit
        of a discard.
        """
        found = {site: self._facts(site, maps) for site in (self.primary, self.copy)}
        theirs, ours = found[self.primary], found[self.copy]
        their_maps, our_maps = theirs.pop("maps"), ours.pop("maps")
        equal = ours == theirs and _agree(their_maps, our_maps, self.layout.stripe_count > 1)
        assert equal, (f"{self.spec} differs\n{self.describe()}\n{theirs} {their_maps}\n"
                       f"{ours} {our_maps}")

    def round(self) -> None:
        """Change, wait until it came over, compare everything."""
        self.change()
        self.wait_current()
        self.compare()

    def flush(self) -> None:
        """End the changes with a flush: a daemon notes what it replayed last only after one, or
        half a minute after it noted something before that."""
        with self.image(self.primary) as image:
            image.flush()
        self.history.append("flush")

    def describe(self) -> str:
        return f"{super().describe()}\n{self.positions()}\n{self.header(self.primary)}"

    def image_id(self, site: Site) -> str:
        with self.image(site) as image:
            return str(image.id())

    def data_objects(self, site: Site) -> List[str]:
        """The names of the image's data objects."""
        prefix = f"rbd_data.{self.image_id(site)}."
        with self._ioctx(site) as ioctx:
            return [entry.key for entry in ioctx.list_objects() if entry.key.startswith(prefix)]

    def is_current(self) -> bool:
        try:
            self.image_id(self.copy)
        except rbd.ImageNotFound:
            return False
        clients = self.header(self.primary).clients
        peers = [decode_client_data(client.data) for client in clients.values() if client.id]
        if [peer.state for peer in peers if isinstance(peer, PeerClientData)] != [
                PeerState.REPLAYING]:
            return False
        at = self.positions()
        return at.copy is not None and at.primary == at.copy

    def header(self, site: Site) -> JournalHeader:
        """The image's journal at a site."""
        image_id = self.image_id(site)
        with self._ioctx(site) as ioctx, rados.ReadOpCtx() as op:
            entries, _ = ioctx.get_omap_vals(op, "", "", 1024)
            ioctx.operate_read_op(op, journal_oid(image_id))
            return JournalHeader.from_omap(dict(entries))

    def _facts(self, site: Site, maps: bool) -> Dict[str, Any]:
        """Contents, snapshots with their protection, metadata and maps, for comparison."""
        with self._ioctx(site) as ioctx, rbd.Image(ioctx, self.name, read_only=True) as image:
            found: Dict[str, Any] = {"content": self.user_digests(image), "maps": []}
            image.set_snap(None)
            # A removal that was cut off leaves the primary one that no user sees.
            snapshots = sorted((s for s in image.list_snaps()
                                if s["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER),
                               key=lambda snap: snap["id"])
            found["snapshots"] = [(s["name"], s["size"], image.is_protected_snap(s["name"]))
                                  for s in snapshots]
            found["metadata"] = dict(image.metadata_list())
            found["limit"] = image.get_snap_limit()
            found["features"] = image.features() & ~(rbd.RBD_FEATURE_DATA_POOL
                                                     | rbd.RBD_FEATURE_OPERATIONS)
            if maps and image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
                found["maps"] = [_cells(ioctx, image.id(), snap_id)
                                 for snap_id in [None, *(s["id"] for s in snapshots)]]
        return found

    # --- more operations ------------------------------------------------------------------------

    def change(self, count: Optional[int] = None) -> None:
        super().change(count)
        if self.rng.random() < 0.5:
            self._change_natively()

    def _change_natively(self) -> None:
        """What python-rbd can't do."""
        conf = str(self.primary.directory / "ceph.conf")
        with self.image(self.primary) as image:
            blocks = image.size() // 512
            offsets = [self.rng.randrange(blocks) * 512 for _ in range(2)]
            held = [image.read(offset, 512) for offset in offsets]
        if not self.layout.features & rbd.RBD_FEATURE_OBJECT_MAP:
            # Of one that fails, librbd's own object map says that it wrote.
            held[0] = bytes(512)
        with nativerbd.opened(conf, self._pool, self.name, self.layout.namespace) as native:
            for offset, data in zip(offsets, held):
                done = native.compare_and_write(offset, data, self.rng.randbytes(512))
                self.history.append(f"compare-and-write {offset}~512 {done}")
            offset = self.rng.randrange(max(1, blocks - 16)) * 512
            native.write_same(offset, 4096, self.rng.randbytes(512))
            self.history.append(f"write-same {offset}~4096")

    def _operation(self) -> Callable[[rbd.Image], None]:
        choices: Tuple[Tuple[Callable[[rbd.Image], None], int], ...] = (
            (super()._operation(), 88), (self._flush, 10), (self._limit, 1),
            (self._remove_metadata, 1))
        return self.rng.choices([c[0] for c in choices], [c[1] for c in choices])[0]

    def _flush(self, image: rbd.Image) -> None:
        image.flush()
        self.history.append("flush")

    def _limit(self, image: rbd.Image) -> None:
        image.set_snap_limit(200)
        self.history.append("limit")

    def _remove_metadata(self, image: rbd.Image) -> None:
        for key, _ in list(image.metadata_list())[:1]:
            image.metadata_remove(key)
            self.history.append(f"remove metadata {key}")


def fail_over(rounds: JournalRounds, maps: bool = True) -> None:
    """Demote at the primary, let the copy catch up, promote there without force, compare."""
    rounds.primary.rbd("mirror", "image", "demote", rounds.spec)

    def promoted() -> bool:
        return rounds.copy.run("rbd", "mirror", "image", "promote", rounds.spec).returncode == 0

    wait_for(promoted, rounds.describe, interval=0.5)
    rounds.compare(maps)


def _agree(theirs: List[List[int]], ours: List[List[int]], zeros: bool) -> bool:
    """Whether maps name the same objects; `zeros`: ours may have more.

    What changed since the snapshot before is left to librbd's own check: a primary says so of what
    it flattens, and a copy of what is replayed once more after its first sync.
    """
    return len(theirs) == len(ours) and all(
        len(their_cells) == len(our_cells) and all(
            _state(our) == _state(their)
            or (zeros and (their, _state(our)) == (ObjectState.NONEXISTENT, ObjectState.EXISTS))
            for their, our in zip(their_cells, our_cells))
        for their_cells, our_cells in zip(theirs, ours))


def _state(cell: int) -> int:
    return ObjectState.EXISTS if cell == ObjectState.EXISTS_CLEAN else cell


def _cells(ioctx: rados.Ioctx, image_id: str, snap_id: Optional[int]) -> List[int]:
    call = cls_rbd.object_map_load()
    reply = ioctx.execute(object_map_oid(image_id, snap_id), call.cls, call.method, call.data,
                          1 << 20)[1]
    return list(cls_rbd.decode_object_map_load(reply).cells)
