"""After a forced promotion the copy is a state that a disk with a volatile cache could be in.

The client writes groups of records and flushes after each.  Whatever a copy has of a group, it has
everything of the groups before.
"""

import random
import threading
import time
from typing import Iterator, List

import pytest

from qa.journal_rounds import JOURNAL_LAYOUTS, JournalRounds
from qa.rounds import MIB, Layout
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

BLOCK, GROUP = 4096, 24
LEDGER = Layout("ledger", features=JOURNAL_LAYOUTS[0].features, order=18, size=64 * MIB)

pytestmark = pytest.mark.usefixtures("no_workers")


class Ledger(JournalRounds):
    """Each record is a block of its own, anywhere in the image, that holds its number."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.places: List[int] = list(range(LEDGER.size // BLOCK))
        self.rng.shuffle(self.places)
        self.stop = threading.Event()
        self.groups = 0

    def change(self, count: object = None) -> None:
        """Nothing: the ledger is what is written."""

    def write(self) -> None:
        """Write group after group until it is time to stop."""
        with self.image(self.primary) as image:
            while not self.stop.is_set() and (self.groups + 2) * GROUP <= len(self.places):
                for number in range(self.groups * GROUP, (self.groups + 1) * GROUP):
                    image.write((number + 1).to_bytes(8, "big") * (BLOCK // 8),
                                self.places[number] * BLOCK)
                image.flush()
                self.groups += 1

    def found(self, site: Site) -> List[int]:
        """How many records of each group are there; a record is there whole, or not at all."""
        counts = []
        with self.image(site) as image:
            content = image.read(0, LEDGER.size)
        for group in range(self.groups + 1):
            counts.append(0)
            for number in range(group * GROUP, (group + 1) * GROUP):
                place = self.places[number] * BLOCK
                record = content[place:place + BLOCK]
                assert record in (bytes(BLOCK), (number + 1).to_bytes(8, "big") * (BLOCK // 8))
                counts[-1] += any(record)
        return counts

    def check(self, site: Site) -> None:
        """What is there of a group, all groups before are there whole."""
        counts = self.found(site)
        begun = counts.index(0) if 0 in counts else len(counts)
        print(f"{self.groups} groups written, {begun} came over: {counts[:begun][-3:]}")
        assert begun, "nothing was replayed"
        assert all(count == GROUP for count in counts[:begun - 1]), counts
        assert not any(counts[begun:]), counts


@pytest.fixture
def ledgers(site_a: Site, site_b: Site, pool: str) -> Iterator[List[Ledger]]:
    ledgers = [Ledger(site_a, site_b, pool, f"ledger-{number}", LEDGER, random.Random())
               for number in range(len(ENDS))]
    yield ledgers
    for ledger in ledgers:
        ledger.close()


def promoted_under_load(workers: Workers, dice: random.Random) -> None:
    """The worker lives, and has to let go."""
    time.sleep(1 + dice.random() * 2)


def killed(workers: Workers, dice: random.Random) -> None:
    """Again and again, the last time for good."""
    for _ in range(2):
        time.sleep(dice.random() * 2)
        workers.kill()
        workers.start()
    # Until it is at the image again.
    wait_for(lambda: workers.current and workers.current.images)
    time.sleep(1 + dice.random() * 2)
    workers.kill()


def killed_within_a_window(workers: Workers, dice: random.Random) -> None:
    """Most of what a worker does is to write the objects of a window, all at once."""
    workers.stop()
    worker = workers.crashing("--before", str(dice.randrange(100, 400)))
    wait_for(lambda: not worker.alive)
    workers.bury()


ENDS = (promoted_under_load, killed, killed_within_a_window)


def test_no_group_without_those_before(site_b: Site, site_a: Site, pool: str,
                                       ledgers: List[Ledger]) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        for ledger in ledgers:
            ledger.create()
        for end, ledger in zip(ENDS, ledgers):
            ledger.wait_current()
            writer = threading.Thread(target=ledger.write)
            writer.start()
            try:
                wait_for(lambda ledger=ledger: ledger.found(site_b)[0] == GROUP, ledger.describe)
                end(workers, ledger.rng)
                site_b.rbd("mirror", "image", "promote", "--force", ledger.spec)
            finally:
                ledger.stop.set()
                writer.join()
            ledger.check(site_b)
            if workers.current is not None and not workers.current.alive:
                workers.start()


def test_the_oracle_itself(site_a: Site, ledgers: List[Ledger]) -> None:
    """At the primary everything is there."""
    ledger = ledgers[0]
    ledger.primary.rbd("create", "--size", "64M", ledger.spec)
    writer = threading.Timer(1.0, ledger.stop.set)
    writer.start()
    ledger.write()
    assert ledger.found(site_a) == [GROUP] * ledger.groups + [0]
