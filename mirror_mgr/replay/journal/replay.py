"""Follows the primary's journal: takes entry by entry, and makes the copy what they say."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, Optional, Tuple, Union

from ...errors import MalformedData, MirrorError, NotReady
from ...waiting import heard
from ...wire import journal_event as events
from ...wire.header import ImageHeader
from ...wire.journal import (
    IMAGE_CLIENT,
    LOCAL_OWNER,
    ORPHAN,
    ClientState,
    JournalHeader,
    ObjectPosition,
    Positions,
    Tag,
)
from ...wire.journal_entry import Crc
from ..budget import Budget
from ..hold import Hold
from ..image import Copy
from ..scan import Link
from .operations import Operations
from .order import Placed
from .pending import Pending
from .reader import Reader
from .store import ImageJournal
from .tags import last_change_of_roles, translated, was_promoted_again
from .target import Target
from .window import FIRST_BYTES, Window, parts, repeats

# How often it is looked whether all was replayed; how long at most is slept before an entry is old.
_LOOK_SECONDS = 0.02
_LONGEST_SLEEP = 1.0
# A position is noted so often under load, and when nothing came for so long.
_COMMIT_SECONDS = 1.0
_IDLE_SECONDS = 0.2
_EVENTS_AT_ONCE = 256
_RATE_SECONDS = 30.0
_NS = 10**9


class Rate:
    """Entries and bytes a second, over the last half minute."""

    def __init__(self) -> None:
        self._counted: Deque[Tuple[float, int, int]] = deque()

    def add(self, now: float, entries: int, size: int) -> None:
        self._counted.append((now, entries, size))

    def a_second(self, now: float) -> Tuple[float, float]:
        """Entries, bytes."""
        while self._counted and self._counted[0][0] < now - _RATE_SECONDS:
            self._counted.popleft()
        return (sum(one[1] for one in self._counted) / _RATE_SECONDS,
                sum(one[2] for one in self._counted) / _RATE_SECONDS)


@dataclass
class Report:
    """How a replay does; read by the status.

    `time_ns` is when, by the primary's clock, the last entry was written that the copy has;
    `current`: there was none after it, at `looked_ns` by our clock.
    """

    position: Optional[ObjectPosition] = None
    time_ns: int = 0
    current: bool = False
    looked_ns: int = 0


@dataclass
class History:
    """What was replayed of an image, however often that began anew.

    `seconds` is how long all the `windows` took to be written.
    """

    entries: int = 0
    bytes: int = 0
    windows: int = 0
    seconds: float = 0.0


class JournalReplay:
    """Of one image, from the position that its client has in the primary's journal.

    `check` raises when there is a reason to stop that lies outside, as a promotion of the copy.
    `delay_seconds`, given the copy's header: how old an entry must be before it is replayed.
    """

    def __init__(self, copy: Copy, name: str, local: ImageJournal, remote: ImageJournal,
                 header: JournalHeader, last_tag: Tag, link: Link, hold: Hold, budget: Budget,
                 crc: Crc, check: Callable[[], None],
                 delay_seconds: Callable[[ImageHeader], int], history: History) -> None:
        client = header.clients[link.local_uuid]
        self.report = Report(client.front)
        self.rate = Rate()
        self._history = history
        since = last_change_of_roles(
            last_tag, header.image_tags, link.local_uuid, link.remote_uuid)
        self.reader = Reader(remote, header, client.positions, crc, budget, since)
        # All before this tag is here, noted or not.
        self._since = 0 if since is None else since
        self._local = local
        self._remote = remote
        self._link = link
        self._last_tag = last_tag
        self._hold = hold
        self._check_outside = check
        self._delay_seconds = delay_seconds
        self._delay_ns = 0
        self._budget = budget
        self._target = Target(copy, hold, budget)
        self._operations = Operations(self._target, name)
        self._pending = Pending()
        self._window: Optional[Window] = None
        self._writing: Optional["asyncio.Task[None]"] = None
        self._written_positions: Optional[Dict[int, ObjectPosition]] = None
        self._written_time_ns = 0
        self._submitted_at = 0.0
        self._tag: Optional[int] = None
        self._demoted = False
        self._ended = False
        self._stale_orphan = False
        # The last entry taken of each splay offset; those up to which all is durable; those noted.
        self._taken = {p.object_number % header.splay_width: p for p in client.positions}
        self._durable = dict(self._taken)
        self._noted = dict(self._taken)
        self._noted_at = 0.0
        self._came_at = time.monotonic()
        self._time_ns = 0
        # Whether more may be taken with nothing read before.
        self._at_hand = False

    @property
    def name(self) -> str:
        return self._operations.name

    @property
    def keeps_hidden(self) -> bool:
        return self._target.keeps_hidden

    async def caught_up(self) -> None:
        """Wait until all is replayed that is there now, or the replay ends."""
        self.report.current = False
        self.wake()
        while not self.report.current and not self._ended:
            await asyncio.sleep(_LOOK_SECONDS)

    async def run(self) -> None:
        """Return once a demotion of the primary was replayed; else until cancelled.

        Raise NotReady when another client needs the copy, MalformedData for a damaged journal.
        """
        await self._target.open()
        self._new_window()
        waking = asyncio.ensure_future(self._wake_when_needed())
        try:
            while not self._demoted:
                self._check()
                found = await self._next()
                if found is not None:
                    await self._handle(*found)
            await self._commit()
        finally:
            waking.cancel()
            await self._end()

    def wake(self) -> None:
        """There is a reason to look, now."""
        self.reader.notified()

    async def _wake_when_needed(self) -> None:
        """Whoever needs the copy is not to wait until a pause is over."""
        await self._hold.lost.wait()
        self.wake()

    async def _end(self) -> None:
        self._ended = True
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.gather(writing, return_exceptions=True)
            if not writing.cancelled() and writing.exception() is None:
                self._done(self._written_positions)
        try:
            await self._commit()
        except MirrorError:
            pass  # what is not noted is replayed once more
        await self._target.close()

    def _check(self) -> None:
        self._hold.check()
        self._check_outside()
        client = self.reader.header.clients.get(self._link.local_uuid)
        if client is None:
            raise NotReady("the primary's journal does not know this site any more")
        if client.state == ClientState.DISCONNECTED:
            raise NotReady("the primary has disconnected this site from its journal")

    # --- taking entries -------------------------------------------------------------------------

    async def _next(self) -> Optional[Tuple[Placed, events.Event]]:
        """As :meth:`_fill`; with nothing to take, have written what there is, and read on."""
        try:
            found = self._fill()
            if found is None:
                if self._window is not None and self._window.full:
                    await self._submit()
                elif self._at_hand:
                    await asyncio.sleep(0)
                else:
                    await self._wait_for_more()
            return found
        except MalformedData:
            # What came before the damage is whole.
            await self._drain()
            self._done(self._committable)
            raise

    @property
    def _committable(self) -> Optional[Dict[int, ObjectPosition]]:
        """What was taken by now; None while an operation has begun and not ended."""
        return None if self._pending else dict(self._taken)

    def _fill(self) -> Optional[Tuple[Placed, events.Event]]:
        """Collect data events; return what is something else, or has to wait, when it comes."""
        window, take = self._window, self.reader.order.take
        assert window is not None
        entries = size = 0
        self._at_hand = False
        try:
            for _ in range(_EVENTS_AT_ONCE):
                if window.full:
                    return None
                placed = take()
                if placed is None:
                    return None
                entry = placed.entry
                event, self._time_ns = self._decode(placed)
                if entry.tag_tid != self._tag or self._delay_ns or not _collect(window, event):
                    return placed, event
                self._note_taken(placed)
                entries += 1
                size += len(entry.data)
            self._at_hand = True
            return None
        finally:
            if entries:
                self._came(entries, size)

    def _decode(self, placed: Placed) -> Tuple[events.Event, int]:
        try:
            return events.decode(placed.entry.data)
        except MalformedData as error:
            raise MalformedData(
                f"entry {placed.entry.tag_tid}/{placed.entry.entry_tid} in "
                f"{self._remote.data_oid(placed.object_number)}: {error}") from None

    def _came(self, entries: int, size: int) -> None:
        self._came_at = time.monotonic()
        self.rate.add(self._came_at, entries, size)
        self._history.entries += entries
        self._history.bytes += size
        self.report.current = False

    def _note_taken(self, placed: Placed) -> None:
        self._taken[placed.object_number % self.reader.order.width] = placed.position

    async def _handle(self, placed: Placed, event: events.Event) -> None:
        self._came(1, len(placed.entry.data))
        if placed.entry.tag_tid != self._tag:
            await self._enter_tag(placed.entry.tag_tid)
        await self._wait_until_old()
        assert self._window is not None
        if _collect(self._window, event):
            self._note_taken(placed)
            return
        if isinstance(event, (events.Discard, events.WriteSame)):
            await self._do_in_parts(event)
        elif isinstance(event, events.CompareAndWrite):
            await self._compare_and_write(event)
        elif isinstance(event, events.Flush):
            self._note_taken(placed)
            if self._window.events:
                await self._submit()
            else:
                await self._settle()
                self._done(self._committable)
            return
        else:
            await self._drain()
            await self._operate(event)
        self._note_taken(placed)
        self._written_time_ns = self._time_ns
        self._done(self._committable)
        if isinstance(event, (events.OpFinish, events.CompareAndWrite)):
            # What depends on what is there must not be done again once more has come.
            await self._commit()

    async def _operate(self, event: events.Event) -> None:
        due: Optional[events.Operation] = None
        if isinstance(event, events.OpFinish):
            due = self._pending.finish(event)
        elif isinstance(event, events.DemotePromote):
            self._demoted = self._last_tag.owner == ORPHAN and not self._stale_orphan
        elif isinstance(event, events.OPERATIONS):
            due = self._pending.begin(event)
        if due is not None:
            await self._perform(due)

    async def _perform(self, operation: events.Operation) -> None:
        await self._operations.perform(operation)
        self._new_window()

    async def _do_in_parts(self, event: Union[events.Discard, events.WriteSame]) -> None:
        """One that is too long for one window."""
        size = self._target.header.size
        for part in (repeats(event, size) if isinstance(event, events.WriteSame)
                     else parts(event, self._target.striping, size)):
            assert self._window is not None
            _collect(self._window, part)
            await self._submit()
        await self._drain()

    async def _compare_and_write(self, event: events.CompareAndWrite) -> None:
        await self._drain()
        assert self._window is not None
        extents = self._window.extents(event)
        for extent in extents:
            self._window.exists(extent.number)
        await self._drain()
        await self._target.compare_and_write(extents, event)

    async def _enter_tag(self, tid: int) -> None:
        """Another owner goes on: what the one before left is ended, and our journal told of it."""
        await self._drain()
        for operation in self._pending.end_all():
            await self._perform(operation)
        header = self.reader.header
        tag = next((tag for tag in header.tags if tag.tid == tid), None)
        if tag is None:
            header = await self.reader.refresh()
            tag = next((tag for tag in header.tags if tag.tid == tid), None)
        if tag is None:
            raise MalformedData(f"{self._remote.oid} is damaged: tag {tid} is missing")
        known, last = tag.data.predecessor, in_order(self._taken)[:1]
        # Of another tag than the last it may be no entry: a forced promotion names a tag alone.
        if last and known.valid and (known.mirror_uuid, known.tag_tid) == (
                LOCAL_OWNER, last[0].tag_tid):
            self._require_taken(known.tag_tid, known.entry_tid)
        data = translated(tag.data, self._link.local_uuid, self._link.remote_uuid)
        before = self._last_tag.data
        # The copy's own demotion, which was replayed at the other site: nobody is to stop for it.
        # Nor for one that is over there: who promoted the copy by it would have a second primary.
        self._stale_orphan = data.mirror_uuid == ORPHAN and (
            before.mirror_uuid == ORPHAN and before.predecessor.mirror_uuid == ""
            or was_promoted_again(tag, header.tags))
        if data != before and not self._stale_orphan:
            # Noted first: from a demotion on the copy may be promoted, and what is replayed once
            # more after a failback would overwrite what was written here in between.
            self._done(self._committable)
            await self._commit()
            self._last_tag = await self._local.allocate(data, self._last_tag.tag_class)
        self._tag = tid

    def _require_taken(self, tag_tid: int, entry_tid: int) -> None:
        """An entry that the primary has committed, and all before it, must have been found."""
        last = in_order(self._taken)[:1]
        if (last and tag_tid >= self._since
                and (last[0].tag_tid, last[0].entry_tid) < (tag_tid, entry_tid)):
            raise MalformedData(
                f"entries after {last[0].tag_tid}/{last[0].entry_tid} up to {tag_tid}/{entry_tid} "
                f"are missing in the data of {self._remote.oid}")

    async def _wait_until_old(self) -> None:
        """Where a delay is wanted: until the entry just read is as old as that."""
        while self._delay_ns and self._time_ns + self._delay_ns > time.time_ns():
            await self._drain()
            await self._commit()
            left = (self._time_ns + self._delay_ns - time.time_ns()) / _NS
            await heard(self._hold.lost, max(0.0, min(left, _LONGEST_SLEEP)))
            self._check()

    async def _wait_for_more(self) -> None:
        """All that was read is taken: write it, unless there is much more, and look for that."""
        assert self._window is not None
        is_idle = self._writing is None or self._writing.done()
        if self._window.events and is_idle and not self.reader.is_behind:
            await self._submit()
        await self._commit_if_due()
        # Read before the entries are.
        committed = self.reader.header.front(IMAGE_CLIENT)
        looked_ns = time.time_ns()
        if await self.reader.more():
            return
        if committed is not None:
            self._require_taken(committed.tag_tid, committed.entry_tid)
        if self._writing is not None:
            await self._settle()
            return
        if self._window.events:
            return
        idle = time.monotonic() - self._came_at
        if idle > _IDLE_SECONDS:
            await self._commit()
            self.report.current, self.report.looked_ns = True, looked_ns
        await self.reader.rest(idle)

    # --- writing --------------------------------------------------------------------------------

    def _new_window(self) -> None:
        """A larger one after one that was full: behind, what an object's change costs is shared by
        more events."""
        before, self._window = self._window, self._target.window()
        wanted = 2 * before.most_bytes if before is not None and before.full else FIRST_BYTES
        self._window.most_bytes = min(wanted, self._budget.share)
        self._delay_ns = self._delay_seconds(self._target.header) * _NS

    async def _submit(self) -> None:
        """Have the window written while the next one is collected."""
        await self._settle()
        assert self._window is not None
        self._check()
        self._written_positions = self._committable
        self._written_time_ns = self._time_ns
        self._writing = self._target.begin(self._window)
        self._submitted_at = time.monotonic()
        self._new_window()
        await self._commit_if_due()

    async def _settle(self) -> None:
        """Wait for the window that is being written."""
        writing = self._writing
        if writing is not None:
            await asyncio.shield(writing)
            self._writing = None
            self._history.windows += 1
            self._history.seconds += time.monotonic() - self._submitted_at
            self._done(self._written_positions)

    async def _drain(self) -> None:
        """Have all written that was collected."""
        await self._settle()
        assert self._window is not None
        if self._window.objects:
            await self._submit()
            await self._settle()

    def _done(self, positions: Optional[Dict[int, ObjectPosition]]) -> None:
        """All up to these positions is durable; None: it is, but must not be noted yet."""
        self.report.time_ns = self._written_time_ns
        if positions is not None:
            self._durable = positions

    # --- the position ---------------------------------------------------------------------------

    async def _commit_if_due(self) -> None:
        if time.monotonic() - self._noted_at > _COMMIT_SECONDS:
            await self._commit()

    async def _commit(self) -> None:
        if self._durable == self._noted:
            return
        positions = in_order(self._durable)
        await self._remote.commit(self._link.local_uuid, positions)
        self._noted = dict(self._durable)
        self._noted_at = time.monotonic()
        self.report.position = positions[0]


def in_order(positions: Dict[int, ObjectPosition]) -> Positions:
    """The newest entry first, as a client's positions are kept."""
    return tuple(sorted(positions.values(), key=lambda p: (p.tag_tid, p.entry_tid), reverse=True))


def _collect(window: Window, event: events.Event) -> bool:
    """Put a data event into the window, if it is one that can be."""
    if isinstance(event, events.Write):
        window.write(event)
    elif isinstance(event, events.WriteSame) and window.takes(event):
        window.write_same(event)
    elif isinstance(event, events.Discard) and window.takes(event):
        window.discard(event)
    else:
        return False
    return True
