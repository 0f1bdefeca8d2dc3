"""What an image must hold, block by block.  Pure."""

import hashlib
from typing import Dict, FrozenSet, Iterable, List, Set

BLOCK = 4096
_ZEROES = b""


def stamped(number: int) -> bytes:
    """A block that no other write has."""
    return hashlib.blake2b(b"%d" % number).digest() * (BLOCK // 64)


class Contents:
    """The blocks of an image; one whose write was not acknowledged may be the old or the new."""

    def __init__(self, blocks: Dict[int, bytes]) -> None:
        self._blocks = blocks
        self._unsure: Dict[int, Set[bytes]] = {}

    @classmethod
    def of(cls, data: bytes) -> "Contents":
        """What an image holds that was read whole."""
        return cls({number: digest for number, digest in enumerate(_digests(data))
                    if digest != _ZEROES})

    def copy(self) -> "Contents":
        """The same, to go on by itself."""
        other = Contents(dict(self._blocks))
        other._unsure = {block: set(digests) for block, digests in self._unsure.items()}
        return other

    def begin(self, block: int, data: bytes) -> None:
        """Note that a write is on its way: from now on both may be there."""
        self._unsure.setdefault(block, set()).add(_digest(data))

    def acknowledge(self, block: int, data: bytes) -> None:
        """Note that the write is done."""
        self._blocks[block] = _digest(data)
        self._unsure.pop(block, None)

    def differences(self, data: bytes) -> List[int]:
        """The blocks of an image that are not what they must be."""
        return [number for number, digest in enumerate(_digests(data))
                if digest not in self._allowed(number)]

    def _allowed(self, block: int) -> FrozenSet[bytes]:
        return frozenset({self._blocks.get(block, _ZEROES), *self._unsure.get(block, ())})


def _digests(data: bytes) -> Iterable[bytes]:
    return (_digest(data[at:at + BLOCK]) for at in range(0, len(data), BLOCK))


def _digest(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=8).digest() if block.strip(b"\0") else _ZEROES
