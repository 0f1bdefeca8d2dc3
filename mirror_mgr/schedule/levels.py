"""Where a schedule can be: everywhere, at a pool, at a namespace, at an image; pure.

The keys are those of ``rbd_support``'s object ``rbd_mirror_snapshot_schedule`` (release 16):
``POOL_ID[/NAMESPACE[/IMAGE_ID]]``, with an empty namespace for the default one.
"""

import re
from functools import lru_cache
from typing import Dict, Mapping, NamedTuple, Optional, Tuple, TypeVar

from ..errors import MalformedData

T = TypeVar("T")

_KEY = re.compile(r"([0-9]{1,18})(?:/([^/]*)(?:/([^/@]+))?)?")


class ImageKey(NamedTuple):
    """An image, whatever it is called."""

    pool_id: int
    namespace: str
    image_id: str


class Level(NamedTuple):
    """What a schedule is for.

    :ivar pool_id: None stands for all pools
    :ivar namespace: None stands for the whole pool, "" for its default namespace
    :ivar image_id: None stands for all images
    """

    pool_id: Optional[int] = None
    namespace: Optional[str] = None
    image_id: Optional[str] = None

    @property
    def key(self) -> str:
        words = [str(word) for word in (self.pool_id, self.namespace, self.image_id)
                 if word is not None]
        return "/".join(words)

    @classmethod
    def of_image(cls, image: ImageKey) -> "Level":
        return cls(*image)

    def covers(self, other: "Level") -> bool:
        """Tell whether `other` is this level or one below it."""
        return all(mine is None or mine == theirs for mine, theirs in (
            (self.pool_id, other.pool_id), (self.namespace, other.namespace),
            (self.image_id, other.image_id)))


EVERYWHERE = Level()


def levels_of(image: ImageKey) -> Tuple[Level, ...]:
    """Return the levels that an image belongs to, the most specific first."""
    return (Level(*image), Level(image.pool_id, image.namespace), Level(image.pool_id), EVERYWHERE)


def by_pool(found: Mapping[Level, T]) -> Dict[Optional[int], Dict[Level, T]]:
    """Return what there is of levels pool by pool, each of which stores its own."""
    parts: Dict[Optional[int], Dict[Level, T]] = {}
    for level, value in found.items():
        parts.setdefault(level.pool_id, {})[level] = value
    return parts


@lru_cache(maxsize=1 << 15)
def parse_key(key: str) -> Level:
    """Given the key of an entry in a pool's object, return its level; raise MalformedData."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise MalformedData(f"schedule entry {key!a}: its key names no pool, namespace or image")
    return Level(int(match[1]), match[2], match[3])
