"""A client that keeps a ledger of what it wrote, so that any copy can be held against it."""

import hashlib
import random
import threading
from types import TracebackType
from typing import Dict, List, Optional, Set, Type

import rbd

from qa.images import opened
from qa.sites import Site

BLOCK = 4096


def content(block: int, version: int) -> bytes:
    """What a block holds after its `version`th write; zeroes at first."""
    if not version:
        return bytes(BLOCK)
    return hashlib.blake2b(b"%d %d" % (block, version)).digest() * (BLOCK // 64)


class Ledger:
    """What an image must hold: the version of each block, 0 where it is zeroes.

    `versions` counts all writes, so that a stale block tells its age.  What failed last may have
    been done or not.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.versions = 0
        self._held: Dict[int, int] = {}
        self._begun: Dict[int, int] = {}

    def write(self, image: rbd.Image, block: int) -> None:
        self.versions += 1
        self._begun = {block: self.versions}
        image.write(content(block, self.versions), block * BLOCK)
        self._held[block] = self.versions

    def discard(self, image: rbd.Image, first: int, count: int) -> None:
        self._begun = dict.fromkeys(range(first, first + count), 0)
        image.write_zeroes(first * BLOCK, count * BLOCK)
        for block in range(first, first + count):
            self._held.pop(block, None)

    def differences(self, image: rbd.Image) -> List[str]:
        """What an open image holds that is not in the ledger, a line each."""
        if image.size() != self.blocks * BLOCK:
            return [f"size {image.size()} instead of {self.blocks * BLOCK}"]
        data = image.read(0, image.size())
        return [
            f"block {block}: not version {self._held.get(block, 0)} of {self.versions}"
            for block in range(self.blocks)
            if data[block * BLOCK:(block + 1) * BLOCK] not in self._possible(block)
        ]

    def _possible(self, block: int) -> Set[bytes]:
        held = self._held.get(block, 0)
        return {content(block, version) for version in (held, self._begun.get(block, held))}


class Client:
    """Writes to an image from a thread, until it is stopped in order: all is flushed then.

    As a context manager it writes inside the block; an error of the thread is raised at its end.
    """

    def __init__(self, site: Site, pool: str, name: str, ledger: Ledger,
                 rng: random.Random) -> None:
        self._site = site
        self._pool = pool
        self._name = name
        self._ledger = ledger
        self._rng = rng
        self._enough = threading.Event()
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self._enough.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            with opened(self._site, self._pool, self._name, read_only=False) as image:
                while not self._enough.wait(0.005):
                    self._operation(image)
                image.flush()
        except BaseException as error:
            self._error = error

    def _operation(self, image: rbd.Image) -> None:
        block = self._rng.randrange(self._ledger.blocks)
        if self._rng.random() < 0.1:
            count = self._rng.randint(1, min(64, self._ledger.blocks - block))
            self._ledger.discard(image, block, count)
        else:
            self._ledger.write(image, block)
        if self._rng.random() < 0.05:
            image.flush()
