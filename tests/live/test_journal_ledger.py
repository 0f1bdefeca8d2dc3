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

BLOCK, GROUP = 4096, 6
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
            while not self.stop.is_set() and (self.groups + 1) * GROUP < len(self.places):
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


@pytest.fixture
def ledger(site_a: Site, site_b: Site, pool: str) -> Iterator[Ledger]:
    ledger = Ledger(site_a, site_b, pool, "ledger", LEDGER, random.Random())
    yield ledger
    ledger.close()


@pytest.mark.parametrize("killed", [False, True])
def test_no_group_without_those_before(site_b: Site, site_a: Site, pool: str, ledger: Ledger,
                                       killed: bool) -> None:
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        ledger.create()
        ledger.wait_current()
        writer = threading.Thread(target=ledger.write)
        writer.start()
        try:
            wait_for(lambda: ledger.found(site_b)[0] == GROUP, ledger.describe)
            time.sleep(ledger.rng.random() * 2)
            if killed:
                workers.kill()
            site_b.rbd("mirror", "image", "promote", "--force", ledger.spec)
        finally:
            ledger.stop.set()
            writer.join()
        counts = ledger.found(site_b)
        whole = counts.index(0) if 0 in counts else len(counts)
        print(f"{ledger.groups} groups written, {whole} came over: {counts[:whole][-3:]}")
        assert whole
        assert all(count == GROUP for count in counts[:whole - 1]), counts
        assert not any(counts[whole:]), counts


def test_the_oracle_itself(site_a: Site, ledger: Ledger) -> None:
    """At the primary everything is there."""
    ledger.primary.rbd("create", "--size", "64M", ledger.spec)
    writer = threading.Timer(1.0, ledger.stop.set)
    writer.start()
    ledger.write()
    assert ledger.found(site_a) == [GROUP] * ledger.groups + [0]
