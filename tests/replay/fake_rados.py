"""RADOS pools in memory, with the OSD's rules about snapshots.

Whoever reads this against Ceph (release 16): ``PrimaryLogPG`` is what :meth:`FakeRados.operate`
(``make_writeable``, ``_delete_oid``, ``_rollback_to``), :meth:`FakeRados.content`
(``find_object_context``) and :meth:`FakeRados.remove_snapshot` (``trim_object``) are after; that
they are true, tests/live/test_fake_rados.py proves.  An overlap is a mask of one byte a byte, as
objects here are small.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from mirror_mgr.cluster.operation import Operation
from mirror_mgr.errors import AlreadyExists, InvalidArgument, NotFound
from mirror_mgr.wire.constants import NOSNAP
from mirror_mgr.wire.snapset import Clone, Snapset

Step = Tuple[Any, ...]
Ranges = List[Tuple[int, int]]


class Killed(Exception):
    """The process that writes is no more."""


@dataclass
class FakeClone:
    id: int
    snaps: List[int]
    data: bytes
    overlap: bytearray


@dataclass
class FakeObject:
    """`head` None with clones is what the OSD calls a whiteout."""

    head: Optional[bytearray] = None
    seq: int = 0
    clones: List[FakeClone] = field(default_factory=list)

    def copied(self) -> "FakeObject":
        return FakeObject(None if self.head is None else bytearray(self.head), self.seq, [
            FakeClone(c.id, list(c.snaps), c.data, bytearray(c.overlap)) for c in self.clones])

    def content(self, snap_id: Optional[int] = None) -> Optional[bytes]:
        clone = self.clone_of(snap_id)
        if clone is not None:
            return clone.data
        shows_head = snap_id is None or snap_id > self.seq
        return bytes(self.head) if shows_head and self.head is not None else None

    def clone_of(self, snap_id: Optional[int]) -> Optional[FakeClone]:
        """The clone that a snapshot shows; None where it shows the head or nothing."""
        if snap_id is None or snap_id > self.seq:
            return None
        for clone in self.clones:
            if clone.id >= snap_id:
                return clone if snap_id in clone.snaps else None
        return None


class FakeRados:
    """One pool.  It dies, for its only client, once `lives` further writes are done.

    `order` decides how long each call takes, so that calls of several tasks overtake each other.
    `erasure_coded`: an operation that such a pool does not carry out rightly is refused.
    """

    def __init__(self, order: Optional[random.Random] = None, erasure_coded: bool = False) -> None:
        self.erasure_coded = erasure_coded
        self.objects: Dict[str, FakeObject] = {}
        self.removed: Set[int] = set()
        self.lives: Optional[int] = None
        self.writes = 0
        self._order = order
        self._last_snap = 0

    def pool(self) -> "FakePool":
        return FakePool(self)

    def new_snapshot(self) -> int:
        self._last_snap += 1
        return self._last_snap

    def content(self, oid: str, snap_id: Optional[int] = None) -> Optional[bytes]:
        """What a read finds, now or at a snapshot."""
        found = self.objects.get(oid)
        return None if found is None else found.content(snap_id)

    def operate(self, oid: str, steps: Sequence[Step], context: Iterable[int] = ()) -> None:
        """Apply all steps to an object, or none; `context`: the snapshots that the client knows."""
        if not steps:
            raise InvalidArgument("no flags to tell a read from a write")
        if self.erasure_coded:
            assert not _is_mixed(steps), "the OSD aborts, or loses what is written"
        found = self.objects.get(oid, FakeObject()).copied()
        before = None if found.head is None else bytes(found.head)
        ranges = [_STEPS[name](found, *arguments) for name, *arguments in steps]
        if all(modified is None for modified in ranges):
            return
        _keep_clone(found, before, [i for i in context if i not in self.removed])
        for start, end in (extent for modified in ranges for extent in modified or ()):
            if found.clones:
                _clear(found.clones[-1].overlap, start, end)
        self._put(oid, found)

    def remove_snapshot(self, snap_id: int) -> None:
        self.removed.add(snap_id)
        for oid, found in list(self.objects.items()):
            for index, clone in reversed(list(enumerate(found.clones))):
                if snap_id in clone.snaps:
                    clone.snaps.remove(snap_id)
                    if not clone.snaps:
                        _drop_clone(found, index)
            self._put(oid, found)

    def snapset(self, oid: str) -> Optional[Snapset]:
        """What list_snaps answers."""
        found = self.objects.get(oid)
        if found is None:
            return None
        clones = [Clone(c.id, tuple(sorted(c.snaps)), _extents(c.overlap), len(c.data))
                  for c in found.clones]
        if found.head is not None:
            clones.append(Clone(NOSNAP, (), (), len(found.head)))
        return Snapset(found.seq, tuple(clones))

    async def list_snaps(self, oid: str) -> Optional[Snapset]:
        await self.turn()
        return self.snapset(oid)

    def _put(self, oid: str, found: FakeObject) -> None:
        if found.head is None and not found.clones:
            self.objects.pop(oid, None)
        else:
            self.objects[oid] = found

    async def turn(self) -> None:
        for _ in range(self._order.randrange(4) if self._order else 0):
            await asyncio.sleep(0)
        if self.lives is not None and self.lives < 0:
            raise Killed()

    def count_write(self) -> None:
        self.writes += 1
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise Killed()


# Each step changes the head and returns the ranges that the OSD counts as modified, or None where
# it leaves the object alone.

def _create(found: FakeObject, exclusive: bool) -> Optional[Ranges]:
    if found.head is not None and exclusive:
        raise AlreadyExists("object exists")
    found.head = bytearray() if found.head is None else found.head
    return []


def _write(found: FakeObject, offset: int, data: bytes) -> Optional[Ranges]:
    head = bytearray() if found.head is None else found.head
    head.extend(bytes(max(0, offset + len(data) - len(head))))
    head[offset:offset + len(data)] = data
    found.head = head
    return [(offset, offset + len(data))]


def _zero(found: FakeObject, offset: int, length: int) -> Optional[Ranges]:
    assert length > 0, "the OSD aborts"
    if found.head is None or offset >= len(found.head):
        return None
    if offset + length >= len(found.head):
        return _truncate(found, offset)
    found.head[offset:offset + length] = bytes(length)
    return [(offset, offset + length)]


def _truncate(found: FakeObject, size: int) -> Optional[Ranges]:
    if found.head is None:
        return None
    before = len(found.head)
    found.head = found.head[:size].ljust(size, b"\0")
    return [(size, max(size, before))]


def _remove(found: FakeObject) -> Optional[Ranges]:
    if found.head is None:
        raise NotFound("no such object")
    size = len(found.head)
    found.head = None
    return [(0, size)]


def _roll_back(found: FakeObject, snap_id: int) -> Optional[Ranges]:
    """What the clone shares with the head, as the overlaps tell, does not count as modified."""
    clone = found.clone_of(snap_id)
    if clone is None and found.head is None:
        return None
    if clone is None:
        return [] if snap_id > found.seq else _remove(found)
    size = len(found.head or b"")
    found.head = bytearray(clone.data)
    same = bytearray(clone.overlap)
    for newer in found.clones[found.clones.index(clone) + 1:]:
        _keep_common(same, newer.overlap)
    changed = bytes(not byte for byte in same.ljust(size, b"\0")[:size])
    return [(offset, offset + length) for offset, length in _extents(changed)]


_STEPS: Dict[str, Callable[..., Optional[Ranges]]] = {
    "create": _create, "write": _write, "zero": _zero, "truncate": _truncate, "remove": _remove,
    "rollback": _roll_back}


def _is_mixed(steps: Sequence[Step]) -> bool:
    """Whether something else is done to the bytes beside what may change where the object ends."""
    names = [name for name, *_ in steps if name in ("write", "zero", "truncate")]
    return len(names) > 1 and set(names) != {"write"}


def _keep_common(mask: bytearray, other: bytes) -> None:
    for place in range(len(mask)):
        if place >= len(other) or not other[place]:
            mask[place] = 0


def _keep_clone(found: FakeObject, before: Optional[bytes], context: Sequence[int]) -> None:
    """Keep what was there for the snapshots made since the last write."""
    seq = max(context, default=0)
    newer = sorted(i for i in context if i > found.seq)
    if before is not None and newer:
        found.clones.append(FakeClone(seq, newer, before, bytearray(b"\1" * len(before))))
    # A client with an older context writes with the object's own, which needs no new clone.
    found.seq = max(found.seq, seq)


def _drop_clone(found: FakeObject, index: int) -> None:
    """What the older neighbour shares with the newer one is what each shares with the dropped."""
    dropped = found.clones.pop(index)
    if index:
        _keep_common(found.clones[index - 1].overlap, dropped.overlap)


def _clear(mask: bytearray, start: int, end: int) -> None:
    end = min(end, len(mask))
    if start < end:
        mask[start:end] = bytes(end - start)


def _extents(mask: bytes) -> Tuple[Tuple[int, int], ...]:
    found = []
    start = mask.find(1)
    while start >= 0:
        end = mask.find(0, start)
        end = len(mask) if end < 0 else end
        found.append((start, end - start))
        start = mask.find(1, end)
    return tuple(found)


class FakeConnection:
    """One whose options nobody has set."""

    def conf_get(self, option: str) -> str:
        return ""


class FakePool:
    """What the copier uses of cluster.pool.Pool."""

    connection = FakeConnection()

    def __init__(self, rados: FakeRados, snap_id: Optional[int] = None,
                 context: Sequence[int] = ()) -> None:
        self.rados = rados
        self.closed = False
        self._snap_id = snap_id
        self._context = context

    def at_snapshot(self, snap_id: int) -> "FakePool":
        return FakePool(self.rados, snap_id)

    def with_snap_context(self, snap_ids: Sequence[int]) -> "FakePool":
        return FakePool(self.rados, None, tuple(snap_ids))

    def close(self) -> None:
        self.closed = True

    async def require_room(self) -> None:
        """There is always room."""

    async def read(self, oid: str, length: int, offset: int = 0) -> Optional[bytes]:
        await self.rados.turn()
        data = self.rados.content(oid, self._snap_id)
        return None if data is None else data[offset:offset + length]

    async def stat(self, oid: str) -> Optional[int]:
        await self.rados.turn()
        data = self.rados.content(oid, self._snap_id)
        return None if data is None else len(data)

    async def operate(self, oid: str, operation: Operation) -> None:
        await self.rados.turn()
        parts = operation.parts() if self.rados.erasure_coded else [operation]
        for part in parts:
            self.rados.count_write()
            self.rados.operate(oid, part.steps, self._context)
