"""The workers of ours at one pool: who is there, who is gone, and which images are this one's.

They meet at an object of the pool.  Each watches it, enters itself into the roster that the object
holds, and claims slots there.  The roster is only changed from the version that was read, so a slot
has one owner at any time.  A worker leaves a slot when what it did there has ended; one that is
gone is blocklisted before its slots are given away, so that nothing of its can land later.

Whoever holds the pool's leader lock calls the roll.  The others take that as the sign that no
rbd-mirror daemon leads the pool.
"""

import asyncio
import logging
from typing import Any, Callable, Collection, Dict, FrozenSet, List, Optional, Set, Tuple

from ..cluster.operation import VERSION_DIFFERS, Operation
from ..cluster.pool import Pool, Watch
from ..errors import MalformedData, MirrorError, NotReady
from .roster import Member, Roster

log = logging.getLogger(__name__)

ROSTER = "rbd_mirror_mgr"

# What workers say to each other, with the id of the one who says it.
LED = "led"          # the pool's leader is there
COUNT = "count"      # it is, and asks who else is
LEFT = "left"        # it leaves the lead
WHO = "who"          # who is there?
HERE = "here"
CHANGED = "changed"  # the roster

_MOST_BYTES = 1 << 20
_ATTEMPTS = 30
_ANSWER_MS = 2500
_FAREWELL_MS = 1000
# A worker that is merely slow must not be shot: this often in a row it may not answer.
_SILENCES = 3


class Team:
    """This worker's place among those at the pool; `changed` is called when it may have changed.

    `dead` are addresses of clients that are known to be gone.
    """

    def __init__(self, pool: Pool, changed: Callable[[], None],
                 dead: Collection[str] = ()) -> None:
        self.id = pool.connection.instance_id
        self.lost = asyncio.Event()
        self.led_at = float("-inf")
        self.vacant = asyncio.Event()
        self._pool = pool
        self._versions = pool.fork()
        self._changing = asyncio.Lock()
        self._changed = changed
        self._dead = dead
        self._watch: Optional[Watch] = None
        self._heard: Set[int] = set()
        self._silences: Dict[int, int] = {}
        self._saying: Set["asyncio.Task[Any]"] = set()

    @property
    def attending(self) -> bool:
        return self._watch is not None

    async def attend(self) -> None:
        """Watch the roster, from here to :meth:`close` or until `lost`."""
        if self._watch is None:
            await self._pool.operate(ROSTER, Operation().create())
            self._watch = await self._pool.watch(ROSTER, self._notified, self._watch_lost)
            self.lost.clear()

    async def close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()
        await asyncio.gather(*self._saying, return_exceptions=True)
        self._versions.close()

    # --- this worker's share ----------------------------------------------------------------------

    async def join(self) -> None:
        """Enter the roster.  Raise NotReady while the others could not tell that we live."""
        if self._watch is None:
            raise NotReady("the watch on the roster of workers was lost")
        me = Member(self.id, self._watch.handle, self._pool.connection.address)
        roster = await self._change(lambda known: known.joined(me))
        await self._bury([one for one in roster.members if one.address in self._dead])

    async def share(self, alone: Optional[bool] = None) -> FrozenSet[int]:
        """Claim what is free and return the slots to look after.

        `alone` is whether all are for this worker, or for another; None where they are for
        everybody.  What else belongs to us is for others: :meth:`free` it once nothing is done
        there any more.  Raise NotReady when the others gave us up.
        """
        roster = await self._change(lambda known: known.claimed(self.id, alone))
        if roster.member(self.id) is None:
            raise NotReady("this worker is not on the roster any more")
        return roster.slots(self.id) - roster.surplus(self.id, alone)

    async def free(self, kept: FrozenSet[int]) -> None:
        """Let the others have all slots but these."""
        await self._change(lambda known: known.freed(self.id, known.slots(self.id) - kept))

    async def leave(self) -> None:
        """Leave the roster, with all slots.

        Where that fails the watch ends, by which the others can tell.
        """
        try:
            await self._change(lambda known: known.without([self.id]))
        except MirrorError as error:
            log.warning("%s: can't leave: %s", ROSTER, error)
            self._watch_lost()

    # --- who is there -----------------------------------------------------------------------------

    async def call_roll(self) -> bool:
        """As the leader: say so, and give away what belongs to workers that are gone.

        Return whether some are in doubt: then call again soon.
        """
        self.led_at = _now()
        # Read before they are called: who is on the roster watched it before that.
        members = (await self._read())[0].members
        answered = await self._ask(COUNT if self._silences else LED)
        if answered is not None:
            self._silences.clear()
            await self._bury([one for one in members
                              if one.id != self.id and (one.id, one.handle) not in answered])
            return False
        silent = {one.id for one in members} - self._heard - {self.id}
        self._silences = {one: self._silences.get(one, -1) + 1 for one in silent}
        gone = [one for one in members if self._silences.get(one.id, 0) >= _SILENCES]
        await self._bury(gone)
        return True

    async def answers(self, member_id: int) -> bool:
        """Whether a worker that should watch the roster does."""
        for _ in range(_SILENCES):
            answered = await self._ask(WHO)
            if answered is not None:
                return member_id in {client for client, _ in answered}
            if member_id in self._heard:
                return True
        return False

    async def farewell(self) -> bool:
        """As the leader that was: have another one follow; whether there is one."""
        answered = await self._pool.answering(ROSTER, self._word(LEFT), _FAREWELL_MS)
        return answered is None or any(client != self.id for client, _ in answered)

    def hear_of_leader(self) -> None:
        """A worker of ours leads, whether or not it has called the roll yet."""
        self.led_at = _now()
        self.vacant.clear()

    async def _ask(self, word: str) -> Optional[Set[Tuple[int, int]]]:
        """As Pool.answering; who was heard of while it took is in `_heard`."""
        self._heard.clear()
        return await self._pool.answering(ROSTER, self._word(word), _ANSWER_MS)

    async def _bury(self, gone: List[Member]) -> None:
        """Give away what belongs to these, once nothing of theirs can land any more."""
        roster, _ = await self._read() if gone else (Roster(), 0)
        # Who left in order meanwhile ended its watch only after that.
        gone = [one for one in gone if one in roster.members]
        for one in gone:
            log.warning("worker %d at %s is gone: its images move", one.id, one.address)
            await self._pool.connection.blocklist(one.address)
        if gone:
            await self._change(lambda known: known.without(one.id for one in gone))
            self._changed()

    # --- the roster -------------------------------------------------------------------------------

    async def _read(self) -> Tuple[Roster, int]:
        async with self._changing:
            return await self._read_now()

    async def _read_now(self) -> Tuple[Roster, int]:
        data, version = await self._versions.read_versioned(ROSTER, _MOST_BYTES)
        try:
            return Roster.decode(data), version
        except MalformedData as error:
            raise MalformedData(
                f"{error}; end all workers of the pool, and remove its object {ROSTER}") from None

    async def _change(self, change: Callable[[Roster], Roster]) -> Roster:
        """Change the roster, and tell the others, unless it is right already; return it."""
        async with self._changing:
            for _ in range(_ATTEMPTS):
                roster, version = await self._read_now()
                wanted = change(roster)
                if wanted == roster:
                    return roster
                try:
                    await self._pool.operate(ROSTER, Operation().expect_version(version).write_full(
                        wanted.encode()))
                except MirrorError as error:
                    if error.errno not in VERSION_DIFFERS:
                        raise
                else:
                    self._say(CHANGED)
                    return wanted
        raise NotReady("the roster of workers changes too often")

    # --- the watch --------------------------------------------------------------------------------

    def _notified(self, payload: bytes) -> None:
        word, _, sender = payload.decode("ascii", "replace").partition(" ")
        if not sender.isdigit():
            return
        self._heard.add(int(sender))
        if word in (LED, COUNT):
            self.hear_of_leader()
        if word in (WHO, COUNT):
            self._say(HERE)
        elif word == LEFT:
            self.vacant.set()
        elif word == CHANGED:
            self._changed()

    def _watch_lost(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.ensure_future(watch.close())
        self.lost.set()

    def _word(self, word: str) -> bytes:
        return f"{word} {self.id}".encode()

    def _say(self, word: str) -> None:
        """Tell the others; nobody waits for those that are gone."""
        saying = asyncio.ensure_future(
            self._pool.answering(ROSTER, self._word(word), _ANSWER_MS))
        self._saying.add(saying)
        saying.add_done_callback(self._said)

    def _said(self, saying: "asyncio.Task[Any]") -> None:
        self._saying.discard(saying)
        if not saying.cancelled() and saying.exception() is not None:
            log.info("%s: %s", ROSTER, saying.exception())


def _now() -> float:
    return asyncio.get_running_loop().time()
