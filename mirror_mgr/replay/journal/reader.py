"""Reads a journal that is being written to, and misses nothing of it."""

import asyncio
import time
from copy import copy
from typing import Optional

from ...cluster.pool import Pool
from ...errors import NotFound
from ...waiting import heard
from ...wire.journal import JournalHeader, Positions
from ...wire.journal_entry import LONGEST, Crc
from ..budget import Budget
from .order import Order, Stream
from .store import ImageJournal

_SMALLEST_READ = 64 << 10
_LARGEST_READ = 1 << 20
# What was read and not yet taken is, of all splay offsets, about as much as a window.
_SHARES_A_WINDOW = 2
# A change of the header is notified; should that get lost, it is found after as many seconds, or
# where nothing comes.
_LOOK_SECONDS, _IDLE_LOOK_SECONDS = 5.0, 30.0
_IDLE_AFTER_SECONDS = 10.0
# Between two looks for news, in seconds: a tenth of the time that nothing came, within these; or
# while nobody has the image open for writing.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_PAUSE_WITHOUT_WRITER = 10.0


class Reader:
    """Feeds an :class:`~.order.Order`, from which the entries are taken.

    `header` is the journal's as it was read last, `positions` where the reading begins, or the tag
    `since` if that is later.
    """

    def __init__(self, journal: ImageJournal, header: JournalHeader, positions: Positions,
                 crc: Crc, budget: Budget, since: Optional[int] = None) -> None:
        self.header = header
        self.order = Order(header.splay_width, header.minimum_set, positions, crc,
                           journal.data_oid, since, min(header.longest_entry, LONGEST))
        self._journal = journal
        self._pool: Pool = journal.data_pool(header)
        self._budget = budget
        self._chunk = _SMALLEST_READ
        self._busy = True
        self._news = asyncio.Event()
        self._news.set()
        self._stale = False
        self._idle = False
        self._writer_until = 0.0
        self._looked = time.monotonic()

    def notified(self) -> None:
        """The journal's header was changed."""
        self._stale = True
        self._news.set()

    async def rest(self, idle: float) -> None:
        """When nothing came for so many seconds: wait for a while, or until the header is changed.

        A client that begins to write changes it; who has begun already writes without a word.
        """
        pause = max(_SHORTEST_PAUSE, min(idle / 10, _LONGEST_PAUSE))
        self._idle = idle > _IDLE_AFTER_SECONDS
        if self._idle and not await self._has_writer():
            pause = _PAUSE_WITHOUT_WRITER
        await heard(self._news, pause)

    async def _has_writer(self) -> bool:
        """Asked anew only so often while there is one."""
        now = time.monotonic()
        if now >= self._writer_until:
            if not await self._journal.has_writer():
                return False
            self._writer_until = now + _PAUSE_WITHOUT_WRITER
        return True

    async def look(self) -> None:
        """Read the journal's header again if it may have changed."""
        if self._stale or self._is_look_due:
            await self.refresh()

    @property
    def _is_look_due(self) -> bool:
        longest = _IDLE_LOOK_SECONDS if self._idle else _LOOK_SECONDS
        return time.monotonic() - self._looked > longest

    @property
    def is_behind(self) -> bool:
        """Whether the last read found more than it could take."""
        return self._chunk > _SMALLEST_READ

    async def more(self) -> bool:
        """Read on; False when there is nothing new by now.

        Raise MalformedData for a journal that is damaged, when nothing whole is left before that.
        """
        if await self._more():
            return True
        self.order.check()
        return False

    async def _more(self) -> bool:
        waiting = self.order.waiting
        indexes = range(self.order.width) if self._busy else (waiting,)
        found = await asyncio.gather(*(self._read_on(index) for index in indexes))
        self._busy = any(found)
        if self._has_next() or self._busy:
            return True
        if not await self._look():
            return False
        return await self._read_new_tag()

    async def refresh(self) -> JournalHeader:
        """Read the journal's header again."""
        self._stale = False
        header = await self._journal.header()
        if header is None:
            raise NotFound(f"{self._journal.oid}: the journal is gone")
        self._looked = time.monotonic()
        self.header = header
        return header

    def _has_next(self) -> bool:
        entry = self.order.front(self.order.waiting)
        return entry is not None and entry.tag_tid == self.order.tag

    async def _look(self) -> bool:
        """Whether there may be news elsewhere than where the next entry is to be.

        A tag ends without a word, so where the last entries were is no hint.
        """
        if not (self._news.is_set() or self._begins() or self._is_look_due):
            return False
        self._news.clear()
        await self.refresh()
        return True

    def _begins(self) -> bool:
        front = self.order.front(self.order.waiting)
        return front is not None or self.order.begins_tag() is not None

    async def _read_new_tag(self) -> bool:
        """With a header read just now: objects that ended, and a tag that began."""
        waiting = self.order.waiting
        await self._read_on(0)
        tag = await self._next_tag()
        # The last entry of the old tag may have come between the two reads.
        await self._read_on(waiting)
        if self._has_next():
            return True
        if tag is None:
            return False
        self.order.begin(tag)
        return True

    async def _next_tag(self) -> Optional[int]:
        """The tag that begins next; entries of this one may stand before its beginning.

        A client that died may have written some, but not those before them in other objects.
        """
        if self.order.front(0) is None:
            return None
        ahead = copy(self.order.streams[0])
        while True:
            entry = ahead.front()
            tag = self.order.begun_by(entry)
            if tag is not None:
                return tag
            if entry is not None:
                ahead.take()
            elif not await self._read_or_leave(ahead):
                return None

    async def _read_on(self, index: int) -> bool:
        """Read a splay offset until it has an entry to offer, or no more is there for now."""
        stream = self.order.streams[index]
        if self.order.front(index) is not None:
            return stream.buffered < self._chunk // 2 and await self._read(stream)
        progress = False
        # Of entries that are larger than a read, only one is needed at a time.
        is_next = index in (0, self.order.waiting)
        while (self.order.front(index) is None and (is_next or stream.buffered < _LARGEST_READ)
               and await self._read_or_leave(stream)):
            progress = True
        return progress

    async def _read_or_leave(self, stream: Stream) -> bool:
        """Read on in a stream's object, or in the next; False when no more is there for now.

        An object may be left for the next only when a newer set was being written to before the
        read that found its end.
        """
        active = self.header.active_set
        if await self._read(stream):
            return True
        if self.order.set_of(stream) >= active:
            return False
        stream.leave(self.order.width)
        return True

    async def _read(self, stream: Stream) -> bool:
        number, chunk = stream.number, self._chunk
        data: Optional[bytes] = await self._pool.read(
            self._journal.data_oid(number), chunk, stream.read_to)
        wanted = min(2 * chunk, _LARGEST_READ,
                     self._budget.share // (_SHARES_A_WINDOW * self.order.width))
        self._chunk = max(_SMALLEST_READ, wanted if data and len(data) == chunk else 0)
        if not data:
            return stream.at_end()
        stream.feed(data)
        return True
