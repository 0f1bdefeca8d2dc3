"""A source image with a history and a copy of it, both in memory, for tests of the copier."""

import asyncio
import random
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from mirror_mgr.replay.budget import Budget
from mirror_mgr.replay.maps import Segment
from mirror_mgr.replay.objects import ObjectCopier, Progress, Source, copy_all
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.header import ImageHeader
from tests.replay.fake_rados import FakeRados, Killed

ORDER = 10
SIZE = 1 << ORDER
OBJECTS = 5

Contents = Dict[int, Optional[bytes]]


def header(prefix: str) -> ImageHeader:
    return ImageHeader(OBJECTS * SIZE, ORDER, Feature(0), prefix)


class Primary:
    """The source: `shown` has what each of its snapshots must show."""

    def __init__(self, rng: random.Random) -> None:
        self.rados = FakeRados(rng)
        self.header = header("rbd_data.source")
        self.shown: Dict[int, Contents] = {}
        self._rng = rng

    def contents(self, snap_id: Optional[int] = None) -> Contents:
        return {n: self.rados.content(self.header.data_object(n), snap_id)
                for n in range(OBJECTS)}

    def change(self, times: int) -> None:
        for _ in range(times):
            self.change_once()

    def change_once(self) -> None:
        rng = self._rng
        oid = self.header.data_object(rng.randrange(OBJECTS))
        exists = self.rados.content(oid) is not None
        offset = rng.randrange(SIZE)
        length = rng.randrange(1, 1 + min(rng.choice((5, 70, SIZE)), SIZE - offset))
        kind = rng.choice(("write", "write", "write", "zeros", "zero", "truncate", "remove",
                           "create", "whole", "rollback"))
        if kind == "write":
            self.apply(oid, ("write", offset, rng.randbytes(length)))
        elif kind == "zeros":
            self.apply(oid, ("write", offset, bytes(length)))
        elif kind == "zero":
            self.apply(oid, ("zero", offset, length))
        elif kind == "truncate":
            self.apply(oid, ("truncate", offset))
        elif kind == "create":
            self.apply(oid, ("create", False))
        elif kind == "whole":
            self.apply(oid, ("write", 0, rng.randbytes(SIZE)))
        elif kind == "remove" and exists:
            self.apply(oid, ("remove",))
        elif self.shown and exists:
            self.apply(oid, ("rollback", rng.choice(list(self.shown))))

    def apply(self, oid: str, step: Tuple) -> None:
        self.rados.operate(oid, [step], list(self.shown))

    def snapshot(self) -> int:
        snap_id = self.rados.new_snapshot()
        self.shown[snap_id] = self.contents()
        return snap_id

    def remove_snapshot(self, snap_id: int) -> None:
        del self.shown[snap_id]
        self.rados.remove_snapshot(snap_id)


class Secondary:
    """The copy: `shown` has what each of its finished snapshots must show."""

    def __init__(self, rng: random.Random, erasure_coded: bool = False) -> None:
        self.rados = FakeRados(rng, erasure_coded)
        self.header = header("rbd_data.copy")
        self.shown: Dict[int, Contents] = {}
        self.snap_ids: List[int] = []

    def contents(self, snap_id: Optional[int] = None) -> Contents:
        return {n: self.rados.content(self.header.data_object(n), snap_id)
                for n in range(OBJECTS)}

    def new_snapshot(self) -> int:
        self.snap_ids.append(self.rados.new_snapshot())
        return self.snap_ids[-1]

    def remove_snapshot(self, snap_id: int) -> None:
        self.snap_ids.remove(snap_id)
        self.shown.pop(snap_id, None)
        self.rados.remove_snapshot(snap_id)


class Replication:
    """One sync of `secondary` from the snapshot `start` of `primary` (0: none) to `ends`."""

    def __init__(self, primary: Primary, secondary: Secondary, start: int, ends: Sequence[int],
                 delta: bool = True, dirty: bool = False) -> None:
        self.primary = primary
        self.secondary = secondary
        self.start = start
        self.segments = [
            Segment(remote, secondary.new_snapshot(), OBJECTS * SIZE, OBJECTS, b"\1" * OBJECTS,
                    None) for remote in ends]
        self.check: Callable[[], None] = lambda: None
        self.budget = Budget(2 * SIZE)
        self.progress = Progress(0)
        self._delta = delta
        self._dirty = dirty
        self._done = 0
        self._begun = False

    def copier(self) -> ObjectCopier:
        source = Source(self.primary.rados.pool(), self.primary.header,
                        self.primary.rados.list_snaps if self._delta else None)
        return ObjectCopier(
            source, self.secondary.rados.pool(), self.secondary.header, self.start, self.segments,
            self.secondary.snap_ids, self.budget, self.check,
            fresh=self.start == 0 and not self._begun and not self._dirty, compare=self._dirty)

    def run(self, lives: Optional[int] = None) -> Optional[ObjectCopier]:
        """Copy, or go on with it; None when the process died, after that many writes."""
        rados = self.secondary.rados
        rados.lives = lives
        numbers = list(range(self._done, OBJECTS))
        self.progress = Progress(len(numbers))
        copier = self.copier()
        try:
            asyncio.run(copy_all(copier, numbers, self.progress))
        except Killed:
            return None
        finally:
            rados.lives = None
            self._done = max(0, self.progress.contiguous - 1)
            self._begun = True
            copier.close()
        return copier

    def finish(self) -> None:
        """Note what the copy must show from now on, however often it is written to later."""
        for segment in self.segments:
            self.secondary.shown[segment.local_snap] = self.primary.shown[segment.remote_snap]


def assert_same(primary: Primary, secondary: Secondary, end: Optional[int] = None) -> None:
    """Each finished snapshot of the copy shows its source, the copy itself the snapshot `end`."""
    for snap_id, expected in secondary.shown.items():
        assert not _differences(secondary.contents(snap_id), expected), f"local snapshot {snap_id}"
    if end is not None:
        assert not _differences(secondary.contents(), primary.shown[end])


def _differences(found: Contents, expected: Contents) -> List[str]:
    return [f"object {n}: {_told(found[n])} instead of {_told(expected[n])}"
            for n in expected if _shown(found[n]) != _shown(expected[n])]


def _shown(data: Optional[bytes]) -> Optional[bytes]:
    """An object as an image shows it: what is beyond its end is zeros as well."""
    return None if data is None else data.rstrip(b"\0")


def _told(data: Optional[bytes]) -> str:
    return "nothing" if data is None else f"{len(data)} bytes {data.hex()}"


