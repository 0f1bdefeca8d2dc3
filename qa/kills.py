"""Kills the worker at a chosen write of a sync, and looks whether the next one finishes it."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import List, NamedTuple

import rbd

from qa.leftovers import leftovers
from qa.rounds import MIB, Layout, Rounds
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

PLAIN = Layout("small", order=20, size=8 * MIB)
CLONE = Layout("small-clone", order=20, size=11 * MIB, clone=2)


class Point(NamedTuple):
    """Where to kill: `when` is "before" or "after", `write` counts from one.

    `first` is the first sync of a new image, otherwise it is a later one.
    """

    first: bool
    when: str
    write: int


class SmallImage(Rounds):
    """An image whose changes are the same each time, so that its syncs make the same writes."""

    def change(self, count: object = None) -> None:
        with self.image(self.primary) as image:
            if "changed" not in self.history:
                self._begin(image)
            else:
                self._go_on(image)
                image.metadata_set("owner", "somebody")
        if "changed" in self.history:
            self._rename()
        self.history.append("changed")

    def _begin(self, image: rbd.Image) -> None:
        image.write(self.rng.randbytes(3 * MIB), 0)
        image.create_snap("one")
        image.write(self.rng.randbytes(MIB), 5 * MIB + 4096)
        image.discard(MIB, MIB)
        image.create_snap("two")
        image.protect_snap("two")
        image.write(self.rng.randbytes(70000), 100)

    def _go_on(self, image: rbd.Image) -> None:
        image.write(self.rng.randbytes(8192), 4096)
        image.discard(2 * MIB, MIB)
        image.create_snap("three")
        image.resize(10 * MIB)
        image.write(self.rng.randbytes(MIB), 9 * MIB)
        image.write_zeroes(512, 5000)
        image.create_snap("four")
        image.remove_snap("one")
        image.rename_snap("three", "drei")
        image.resize(6 * MIB + 12345)
        if self.layout.clone:
            image.resize(3 * MIB + 12345)
            image.create_snap("five")
            image.resize(7 * MIB)
            image.flatten()

    def _rename(self) -> None:
        new = f"{self.name}-renamed"
        with self._ioctx(self.primary) as ioctx:
            rbd.RBD().rename(ioctx, self.name, new)
        self.name = new


class Kills:
    """Images in `pool` to kill workers over; one worker at a time, all started by `workers`.

    A clone is flattened for its later sync.
    """

    def __init__(self, primary: Site, copy: Site, pool: str, workers: Workers,
                 layout: Layout = PLAIN) -> None:
        self._primary = primary
        self._copy = copy
        self._pool = pool
        self._workers = workers
        self._layout = layout
        self._count = 0
        self._prepared: List[SmallImage] = []

    def prepare(self, count: int) -> None:
        """Make images that are copied once and changed since, for later syncs."""
        images = [self._image() for _ in range(count)]
        self._workers.start()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self._copy_and_change, images))
        self._workers.stop()
        self._prepared += images

    def kill_at(self, point: Point) -> bool:
        """Kill a worker at this point and let another finish; return whether it came to the kill.

        Raise AssertionError when a snapshot differs afterwards or anything is left over.
        """
        if point.first:
            image = self._image()
            image.create()
        else:
            image = self._prepared.pop()
            image.snapshot()
        try:
            return self._kill_at(point, image)
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from None
        finally:
            image.close()

    def _kill_at(self, point: Point, image: SmallImage) -> bool:
        worker = self._workers.crashing(f"--{point.when}", str(point.write))
        wait_for(lambda: not worker.alive or self._is_done(image), image.describe, interval=0.5)
        died = not worker.alive
        if died:
            self._workers.bury()
            worker = self._workers.start()
            wait_for(lambda: self._is_done(image), lambda: "\n".join(
                [image.describe(), *self._leftovers(), *worker.log]), interval=0.5)
        self._workers.stop()
        image.compare()
        return died

    def _is_done(self, image: SmallImage) -> bool:
        return image.newest_primary_snapshot() in image.copied() and not self._leftovers()

    def _leftovers(self) -> List[str]:
        """What is left over at either site, but for mirror snapshots that prepared images await."""
        waiting = {image.name for image in self._prepared}
        return [what for site in (self._copy, self._primary) for what in leftovers(site, self._pool)
                if what.partition(":")[0] not in waiting]

    def _image(self) -> SmallImage:
        self._count += 1
        return SmallImage(self._primary, self._copy, self._pool, f"image{self._count}",
                          self._layout, random.Random(self._count))

    @staticmethod
    def _copy_and_change(image: SmallImage) -> None:
        image.create()
        image.wait_current()
        image.change()
