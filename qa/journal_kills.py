"""Kills the worker at a chosen write of what it does to a copy in journal mode as a whole."""

import random
from typing import Callable, Dict, List, NamedTuple

import rbd

from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.leftovers import leftovers
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

LAYOUT = Layout("small", features=JOURNAL_LAYOUTS[0].features, order=20, size=4 * MIB)
CREATION, RESYNC, REMOVAL = "creation", "resync", "removal"


class Point(NamedTuple):
    """Where to kill: `when` is "before" or "after", `write` counts from one."""

    work: str
    when: str
    write: int


class JournalKills:
    """Images in `pool` to kill workers over; one worker at a time, all started by `workers`.

    `finish` starts who carries on after a kill, and `stop` ends it; `tidy`: who leaves nothing
    over, which a daemon does of what it finds half made.
    """

    def __init__(self, primary: Site, copy: Site, pool: str, workers: Workers,
                 finish: Callable[[], object], stop: Callable[[], None],
                 tidy: bool = True) -> None:
        self._primary = primary
        self._copy = copy
        self._pool = pool
        self._workers = workers
        self._finish = finish
        self._stop = stop
        self._tidy = tidy
        self._count = 0

    def kill_at(self, point: Point) -> bool:
        """Kill a worker at this point and have the work finished; whether it came to the kill.

        Raise AssertionError when the copy differs afterwards or anything is left over.
        """
        image = self._image()
        image.create()
        if point.work != CREATION:
            self._workers.start()
            image.wait_current()
            self._workers.stop()
        begin: Dict[str, Callable[[], object]] = {
            CREATION: lambda: None,
            RESYNC: lambda: self._copy.rbd("mirror", "image", "resync", image.spec),
            REMOVAL: lambda: self._primary.rbd("mirror", "image", "disable", image.spec)}
        before = self._id(image)
        begin[point.work]()
        try:
            return self._kill_at(point, image, before)
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from None
        finally:
            image.close()

    def _kill_at(self, point: Point, image: JournalRounds, before: str) -> bool:
        def is_done() -> bool:
            if point.work == REMOVAL:
                return not self._id(image) and not self._leftovers()
            return (self._id(image) not in ("", before) and image.is_current()
                    and not self._leftovers())

        worker = self._workers.crashing(f"--{point.when}", str(point.write))
        wait_for(lambda: not worker.alive or is_done(), lambda: self._describe(image),
                 interval=0.3)
        died = not worker.alive
        if died:
            self._workers.bury()
            self._workers.fence()
            self._finish()
            wait_for(is_done, lambda: self._describe(image), interval=0.3)
            if point.work != REMOVAL:
                image.compare()
            self._stop()
        else:
            self._workers.stop()
        if point.work != REMOVAL:
            self._primary.rbd("mirror", "image", "disable", image.spec)
            self._clear(image)
        return died

    def _clear(self, image: JournalRounds) -> None:
        self._workers.start()
        wait_for(lambda: not self._id(image) and not self._leftovers(),
                 lambda: self._describe(image), interval=0.3)
        self._workers.stop()

    def _describe(self, image: JournalRounds) -> str:
        log = self._workers.current.log if self._workers.current else []
        return "\n".join([image.describe(), *self._leftovers(), *log[-40:]])

    def _leftovers(self) -> List[str]:
        if not self._tidy:
            return []
        return [what for site in (self._copy, self._primary)
                for what in leftovers(site, self._pool)]

    def _id(self, image: JournalRounds) -> str:
        try:
            return image.image_id(self._copy)
        except rbd.ImageNotFound:
            return ""

    def _image(self) -> JournalRounds:
        self._count += 1
        return JournalRounds(self._primary, self._copy, self._pool, f"image{self._count}", LAYOUT,
                             random.Random(self._count))
