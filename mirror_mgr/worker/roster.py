"""Which workers of ours are at a pool, and which part of its images each of them replays.  Pure.

Every image falls into one of a fixed number of slots, and a slot belongs to one worker or to none.
Each worker claims what is free up to its fair share, and frees what it has beyond that: so shares
differ by one slot at most, and a worker more or less moves only the slots that it gets or had.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import FrozenSet, Iterable, Optional, Tuple

from .. import versions
from ..errors import MalformedData

SLOTS = 256
VERSION = 1


@dataclass(frozen=True)
class Member:
    """A worker: its RADOS instance id, the handle of its watch on the roster, its address."""

    id: int
    handle: int
    address: str


def slot_of(key: str) -> int:
    """The slot of an image, given its global id; the same on every host and in every run."""
    name = key.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % SLOTS


@dataclass(frozen=True)
class Roster:
    """`owners` has the id of a member, or None, for each slot."""

    members: Tuple[Member, ...] = ()
    owners: Tuple[Optional[int], ...] = (None,) * SLOTS

    def member(self, member_id: int) -> Optional[Member]:
        return next((one for one in self.members if one.id == member_id), None)

    def slots(self, member_id: int) -> FrozenSet[int]:
        """Those that belong to a member."""
        return frozenset(n for n, owner in enumerate(self.owners) if owner == member_id)

    def surplus(self, member_id: int, alone: Optional[bool] = None) -> FrozenSet[int]:
        """Those that a member is to free, as others have too few; `alone` as in `claimed`."""
        mine = sorted(self.slots(member_id))
        return frozenset(mine[self._share(member_id, alone):])

    def joined(self, member: Member) -> "Roster":
        """With this member, in the place of what was known of it before."""
        others = (one for one in self.members if one.id != member.id)
        return replace(self, members=tuple(sorted((*others, member), key=lambda one: one.id)))

    def without(self, gone: Iterable[int]) -> "Roster":
        """Without these members; what they had is free."""
        ids = frozenset(gone)
        return Roster(tuple(one for one in self.members if one.id not in ids),
                      tuple(None if owner in ids else owner for owner in self.owners))

    def claimed(self, member_id: int, alone: Optional[bool] = None) -> "Roster":
        """With as much of what is free as the member's share lacks.

        `alone` is whether all slots are for this member, or for another; None where they are for
        everybody.
        """
        lacking = self._share(member_id, alone) - len(self.slots(member_id))
        free = [n for n, owner in enumerate(self.owners) if owner is None]
        claimed = frozenset(free[:max(0, lacking)])
        return replace(self, owners=tuple(member_id if n in claimed else owner
                                          for n, owner in enumerate(self.owners)))

    def freed(self, member_id: int, slots: Iterable[int]) -> "Roster":
        """With those of these slots free that belong to the member."""
        freed = self.slots(member_id) & frozenset(slots)
        return replace(self, owners=tuple(None if n in freed else owner
                                          for n, owner in enumerate(self.owners)))

    def _share(self, member_id: int, alone: Optional[bool]) -> int:
        """How many slots a member should have; none for a stranger."""
        ids = sorted(one.id for one in self.members)
        if member_id not in ids:
            return 0
        if alone is not None:
            return SLOTS if alone else 0
        least, rest = divmod(SLOTS, len(ids))
        return least + (ids.index(member_id) < rest)

    def encode(self) -> bytes:
        return json.dumps({
            versions.KEY: VERSION,
            "members": [[one.id, one.handle, one.address] for one in self.members],
            "owners": self.owners}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Roster":
        """Nothing at all is a roster without members.

        Raise MalformedData, and NotSupported for one of later workers.
        """
        if not data:
            return cls()
        try:
            fields = json.loads(data)
            versions.require(fields, VERSION, "the roster of workers")
            roster = cls(tuple(Member(int(i), int(handle), str(address))
                               for i, handle, address in fields["members"]),
                         tuple(None if owner is None else int(owner)
                               for owner in fields["owners"]))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            raise MalformedData("the roster of workers does not decode") from None
        if len(roster.owners) != SLOTS:
            raise MalformedData(f"the roster of workers has {len(roster.owners)} slots")
        return roster
