"""All that the scheduler knows, and what follows from it; no I/O.

What is stored is in `book`, `theirs` and `records`; what is there is in `images`.  `arrange` brings
the agenda in line with them whenever they change.
"""

from typing import Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Set, Tuple

from ..model import HealthItem
from . import rbd_support
from .agenda import Agenda, Due
from .discovery import Image, PoolView
from .entries import Book, Entry, changed
from .levels import ImageKey, Level, levels_of
from .model import (
    NO_PEER,
    OURS,
    PAUSED,
    RUNNING,
    SCHEDULED,
    THEIRS,
    ImageView,
    LevelView,
)
from .records import Record
from .rules import MINUTE, Rule
from .store import Part

SCHEDULER_LATE = "scheduler-late"
SNAPSHOTS_FAILING = "snapshots-failing"
NO_SCHEDULE = "no-schedule"
TWO_SCHEDULES = "two-schedules"
DAMAGED_SCHEDULE = "damaged-schedule"

ADOPTED_SECONDS = 90  # rbd_support reads its schedules every 60 s: until then it knows old ones

NO_PEER_CURE = ("the pool has no peer that a snapshot could be of use to; "
                "run: ceph rbd-mirror pool peer bootstrap create")


class _Adopted(NamedTuple):
    """What rbd_support had at a level, and when it was taken over."""

    rules: Tuple[Rule, ...]
    at: int


class State:
    """Used by one thread at a time."""

    def __init__(self) -> None:
        self.book = Book({})
        self.theirs: Dict[Level, Tuple[Rule, ...]] = {}
        self.readable: Dict[Level, Tuple[Rule, ...]] = {}
        self.damaged: Tuple[str, ...] = ()
        self.pools: Dict[int, PoolView] = {}
        self.images: Dict[ImageKey, Image] = {}
        self.records: Dict[ImageKey, Record] = {}
        self.unsaved: Set[ImageKey] = set()
        self.agenda = Agenda()
        self.busy: Dict[ImageKey, Due] = {}
        self._adopted: Dict[Level, _Adopted] = {}

    # What comes in

    def set_parts(self, parts: Mapping[Optional[int], Part]) -> None:
        """Take what is stored, by pool; None stands for what holds for all."""
        self.book = Book({level: entry for part in parts.values()
                          for level, entry in part.ours.items()})
        self.theirs = {level: rules for part in parts.values()
                       for level, rules in part.theirs.items()}
        self.readable = {level: rules for part in parts.values()
                         for level, rules in part.readable.items() if rules}
        self.damaged = tuple(f"{self.place(pool)}: {where}: {wrong}"
                             for pool, part in parts.items()
                             for where, wrong in part.damaged.items())

    def set_entries(self, changes: Mapping[Level, Entry]) -> None:
        """Change some entries; those that are empty are removed."""
        self.book = Book(changed(self.book.entries, changes))

    def set_pools(self, pools: Mapping[int, PoolView]) -> None:
        self.pools = dict(pools)
        self.images = {image.key: image for pool in pools.values() for image in pool.images}

    def forget(self, images: FrozenSet[ImageKey]) -> None:
        """Drop what there is of images that are gone."""
        for image in images:
            self.records.pop(image, None)
            self.unsaved.discard(image)
        self.set_entries({Level.of_image(image): Entry() for image in images})

    def known(self, pool_id: int) -> Set[ImageKey]:
        """Return the images of a pool that something is stored of."""
        found = {image for image in self.records if image.pool_id == pool_id}
        found.update(ImageKey(pool_id, level.namespace or "", level.image_id)
                     for level in self.book.entries
                     if level.pool_id == pool_id and level.image_id)
        return found

    def put_record(self, image: ImageKey, record: Record) -> None:
        self.records[image] = record
        self.unsaved.add(image)

    def to_store(self, image: ImageKey) -> Record:
        """Return the record to be stored: whoever reads it repeats a turn that is not over."""
        busy = self.busy.get(image)
        due = busy.before if busy else self.agenda.handled(image) or 0
        self.records[image] = self.records[image].until(due)
        return self.records[image]

    def adopted(self, level: Level, now: int) -> None:
        """Keep in mind what rbd_support may go on with for a while."""
        self._adopted[level] = _Adopted(self.theirs.pop(level, ()), now)

    # What follows

    def arrange(self, now: float) -> None:
        """Bring the agenda in line with images and schedules."""
        for image in self.images.values():
            rules = self._rules(image)
            if not rules:
                self._leave(image.key)
            elif image.key not in self.agenda:
                self._enter(image.key, rules, now)
            elif rules != self.agenda.rules(image.key):
                self.agenda.put(image.key, rules, self._handled(image.key, now), now)
        for key in [key for key in self.agenda if key not in self.images]:
            self._leave(key)

    def take(self, now: float, lead: float) -> List[Due]:
        """Return the turns to be had now; one whose image is still busy is skipped."""
        found = []
        for due in self.agenda.take(now, lead):
            busy = self.busy.get(due.image)
            if busy is None:
                self.busy[due.image] = due
                found.append(due)
                continue
            self._skip(busy, due)
        return found

    def _skip(self, busy: Due, due: Due) -> None:
        count = due.missed + 1
        self.busy[due.image] = due._replace(before=busy.before, missed=busy.missed,
                                            skipped=busy.skipped + count)
        self.change(due.image, lambda record: record.skip(count))

    def put_back(self, due: Due, now: float) -> None:
        """Have a turn that came to nothing be due again, with what was skipped because of it."""
        busy = self.busy.pop(due.image, due)
        self.change(due.image, lambda record: record.skip(-busy.skipped))
        self.agenda.put_back(busy, now)

    def change(self, image: ImageKey, note: Callable[[Record], Record]) -> None:
        """Note something down about an image, unless it is gone."""
        if image in self.images:
            self.put_record(image, note(self.records.get(image, Record())))

    def left_to_rbd_support(self, due: Due, now: float, offset: int) -> bool:
        """Tell whether rbd_support makes a snapshot for the same due time.

        `offset` is how many seconds the manager's local time is ahead of UTC.
        """
        known = {}
        for level in levels_of(due.image):
            adopted = self._adopted.get(level)
            if level in self.theirs:
                known[level] = self.theirs[level]
            elif adopted is not None and now - adopted.at < ADOPTED_SECONDS:
                known[level] = adopted.rules
        rules = rbd_support.covering(known, levels_of(due.image)) or ()
        return rbd_support.is_due(rules, due.time, offset) or self._is_left(due, offset)

    def _is_left(self, due: Due, offset: int) -> bool:
        """Tell whether rbd_support has this due time left from before a level was adopted.

        What an image waits for by then, it forgets only when no schedule is left in the image's
        namespace.
        """
        levels = levels_of(due.image)
        adopted = next((self._adopted[level] for level in levels if level in self._adopted), None)
        if adopted is None or not adopted.rules:
            return False
        namespace = levels[1]
        last = rbd_support.next_due(adopted.rules, adopted.at + ADOPTED_SECONDS, offset)
        return (due.time // MINUTE * MINUTE <= last
                and rbd_support.is_due(adopted.rules, due.time, offset)
                and any(other.covers(namespace) or namespace.covers(other)
                        for other in self.theirs))

    def adoptable(self) -> Dict[Level, Tuple[Rule, ...]]:
        """Return what can be read of rbd_support's entries, also of those that are damaged."""
        return {level: self.theirs.get(level, ()) + self.readable.get(level, ())
                for level in {**self.theirs, **self.readable}}

    def _rules(self, image: Image) -> Tuple[Rule, ...]:
        """Return the rules that the image runs by at present."""
        if not image.is_primary or not self.has_peer(image):
            return ()
        applied = self.book.applied(image.key)
        return applied.rules if applied and applied.paused_at is None else ()

    def has_peer(self, image: Image) -> bool:
        return self.pools[image.key.pool_id].has_peer

    def _enter(self, image: ImageKey, rules: Tuple[Rule, ...], now: float) -> None:
        """An image that had its turns until now goes on from there, also after a failover."""
        record = self.records.get(image, Record())
        if not record.due:
            record = record.until(int(now))
            self.put_record(image, record)
        self.agenda.put(image, rules, record.due, now)

    def _leave(self, image: ImageKey) -> None:
        """What is due from now on is none of the image's, however long that lasts."""
        if image in self.agenda:
            self.agenda.drop(image)
        record = self.records.get(image)
        if record is not None and record.due:
            self.put_record(image, record.until(0))

    def _handled(self, image: ImageKey, now: float) -> int:
        return max(int(now), self.agenda.handled(image) or 0)

    # What is told

    def place(self, pool_id: Optional[int]) -> str:
        name = self._pool_name(Level(pool_id))
        return f"pool '{name}'" if name else "all pools"

    def damaged_theirs(self) -> Tuple[str, ...]:
        """Return which entries of rbd_support can't be read."""
        return tuple(text for text in self.damaged
                     if rbd_support.OBJECT in text or rbd_support.OPTIONS in text)

    def listing(self, within: Level, recursive: bool) -> Tuple[LevelView, ...]:
        """Return the schedules at a level, and with `recursive` those that apply to it or below."""
        owners = self._owners()
        shown = [self._level_view(level, entry, owner)
                 for owner, entries in owners.items() for level, entry in entries.items()
                 if level == within or (recursive and within.covers(level))]
        if recursive:
            shown += [view for view in self._inherited(within, owners) if view not in shown]
        return tuple(sorted(shown, key=lambda view: (
            view.pool or "", view.namespace or "", view.image or "", view.owner)))

    def _owners(self) -> Dict[str, Dict[Level, Entry]]:
        theirs = {level: Entry(rules) for level, rules in self.adoptable().items()}
        return {OURS: self.book.entries, THEIRS: theirs}

    def _inherited(self, within: Level,
                   owners: Mapping[str, Dict[Level, Entry]]) -> List[LevelView]:
        """The schedules that apply to a level that has none."""
        found = []
        for owner, entries in owners.items():
            above = [level for level, entry in entries.items() if level.covers(within)
                     and (owner == THEIRS or entry.rules)]
            if above:
                level = max(above, key=_depth)
                found.append(self._level_view(level, entries[level], owner))
        return found

    def _level_view(self, level: Level, entry: Entry, owner: str) -> LevelView:
        return LevelView(self._pool_name(level), level.namespace, self.image_name(level), owner,
                         entry.rules, entry.paused)

    def _pool_name(self, level: Level) -> Optional[str]:
        if level.pool_id is None:
            return None
        pool = self.pools.get(level.pool_id)
        return pool.name if pool else str(level.pool_id)

    def image_name(self, level: Level) -> Optional[str]:
        if level.pool_id is None or level.namespace is None or level.image_id is None:
            return None
        image = self.images.get(ImageKey(level.pool_id, level.namespace, level.image_id))
        if image is not None:
            return image.spec.rpartition("/")[2]
        return self.book.get(level).name or level.image_id

    def level_name(self, level: Level) -> str:
        return LevelView(self._pool_name(level), level.namespace, self.image_name(level),
                         OURS, ()).name

    def scheduled(self, within: Level) -> List[Image]:
        """Return the primary images of a level that have a schedule, in order of their specs."""
        return [image for image in sorted(self.images.values(), key=lambda image: image.spec)
                if image.is_primary and within.covers(Level.of_image(image.key))
                and self.book.applied(image.key)]

    def status(self, within: Level) -> Tuple[ImageView, ...]:
        """Return the scheduled images of a level, those that are due next first."""
        views = [self._image_view(image) for image in self.scheduled(within)]
        return tuple(sorted(views, key=lambda view: (view.next_due is None, view.next_due or 0)))

    def _image_view(self, image: Image) -> ImageView:
        applied = self.book.applied(image.key)
        assert applied is not None
        state, why = SCHEDULED, ""
        if image.key in self.busy:
            state = RUNNING
        elif applied.paused_at is not None:
            state, why = PAUSED, f"paused at {self.level_name(applied.paused_at)}"
        elif not self.has_peer(image):
            state, why = NO_PEER, NO_PEER_CURE
        return ImageView(
            image.spec, self.level_name(applied.level), applied.rules,
            self.agenda.next_of(image.key), state, why, self.records.get(image.key, Record()))

    def health(self, warn_no_schedule: bool) -> List[HealthItem]:
        """Return what is wrong, by code and subject."""
        items = [HealthItem(DAMAGED_SCHEDULE, text, f"{text}; it is left out") for text
                 in self.damaged]
        for image in self.images.values():
            if not image.is_primary:
                continue
            record = self.records.get(image.key)
            ours = self.book.applied(image.key)
            theirs = rbd_support.covering(self.theirs, levels_of(image.key))
            if ours and record is not None and record.is_failing:
                items.append(HealthItem(SNAPSHOTS_FAILING, image.spec, (
                    f"image '{image.spec}': {record.in_a_row} mirror snapshots in a row failed: "
                    f"{record.error}")))
            if ours and theirs:
                items.append(HealthItem(TWO_SCHEDULES, image.spec, (
                    f"image '{image.spec}': it is scheduled here and by rbd_support; run: "
                    "ceph rbd-mirror snapshot schedule adopt")))
            elif not ours and not theirs and warn_no_schedule:
                items.append(HealthItem(NO_SCHEDULE, image.spec, (
                    f"image '{image.spec}': no schedule makes mirror snapshots of it; see: "
                    "ceph rbd-mirror snapshot schedule add")))
        return items


def _depth(level: Level) -> int:
    return sum(word is not None for word in (level.pool_id, level.namespace, level.image_id))
