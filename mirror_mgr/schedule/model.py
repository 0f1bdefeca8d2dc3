"""What the scheduler tells commands, health and panel."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from .rbd_support import Adoption
from .records import Record, Sum, total
from .rules import Rule

SCHEDULED = "scheduled"
RUNNING = "running"
PAUSED = "paused"
NO_PEER = "no peer"

OURS = "mirror_mgr"
THEIRS = "rbd_support"


@dataclass(frozen=True)
class LevelView:
    """The schedules of one owner at one level.

    :ivar pool: None stands for all
    :ivar namespace: likewise, and "" for the default one
    :ivar image: likewise; its id where the name is not known
    :ivar owner: `OURS` or `THEIRS`
    :ivar paused: since when, in seconds since the epoch, or 0
    """

    pool: Optional[str]
    namespace: Optional[str]
    image: Optional[str]
    owner: str
    rules: Tuple[Rule, ...]
    paused: int = 0

    @property
    def name(self) -> str:
        """What users call the level."""
        words = [word for word in (self.pool, self.namespace, self.image) if word]
        return "/".join(words) or "all pools"


class Adopted(NamedTuple):
    """What was, or with `dry_run` would be, taken over from rbd_support.

    :ivar names: of the levels
    :ivar left: entries that can't be read: where, and what is wrong
    """

    dry_run: bool
    adoptions: Tuple[Adoption, ...]
    names: Tuple[str, ...]
    left: Tuple[str, ...]


class Listing(NamedTuple):
    """Schedules of one level, or with `recursive` of all that are of account to it."""

    recursive: bool
    levels: Tuple[LevelView, ...]


@dataclass(frozen=True)
class ImageView:
    """One scheduled image.

    :ivar next_due: seconds since the epoch, None while it is paused or waits for a peer
    :ivar state: `SCHEDULED`, `RUNNING`, `PAUSED` or `NO_PEER`
    :ivar why: in a sentence, where it is not `SCHEDULED`
    """

    image: str
    level: str
    rules: Tuple[Rule, ...]
    next_due: Optional[int]
    state: str
    why: str
    record: Record


@dataclass(frozen=True)
class LevelSum:
    """All images that the schedules of one level apply to."""

    level: str
    rules: Tuple[Rule, ...]
    next_due: Optional[int]
    sum: Sum


class Status(NamedTuple):
    """Of images, or with `summed` of the schedules that apply to them."""

    summed: bool
    images: Tuple[ImageView, ...]


def sums(images: Iterable[ImageView]) -> Tuple[LevelSum, ...]:
    """Sum up images by the level whose schedules apply to them."""
    by_level: Dict[str, List[ImageView]] = {}
    for image in images:
        by_level.setdefault(image.level, []).append(image)
    return tuple(LevelSum(
        level, found[0].rules,
        min((image.next_due for image in found if image.next_due is not None), default=None),
        total(image.record for image in found)) for level, found in by_level.items())
