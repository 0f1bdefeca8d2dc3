"""Failover and back, again and again under load, each time held against the client's ledger."""

import random
import time
from contextlib import ExitStack
from typing import Dict

from qa.images import opened
from qa.ledger import BLOCK, Client, Ledger
from qa.scenarios.stage import Stage
from qa.sites import Site


def play(stage: Stage, times: int = 10, images: int = 3, mib: int = 16,
         seconds: float = 3.0) -> None:
    """`times` failovers of `images` images, each after some seconds of writes and snapshots."""
    ledgers = {f"disk{number}": Ledger(mib * 256) for number in range(images)}
    for name in ledgers:
        stage.create(stage.site_a, name, mib)
    here, there = stage.site_a, stage.site_b
    for turn in range(1, times + 1):
        _use(stage, here, ledgers, seconds)
        start = time.monotonic()
        stage.fail_over(here, there)
        taken = time.monotonic() - start
        _verify(stage, there, ledgers)
        written = sum(ledger.versions for ledger in ledgers.values())
        stage.say(f"{turn}: {there.name} took over in {taken:.1f} s with all of {written} writes")
        here, there = there, here
    for name in ledgers:
        stage.wait_equal(here, there, name)
    stage.say("both sites are equal, and nothing was ever resynced")


def _use(stage: Stage, site: Site, ledgers: Dict[str, Ledger], seconds: float) -> None:
    with ExitStack() as clients:
        for name, ledger in ledgers.items():
            rng = random.Random(stage.rng.random())
            clients.enter_context(Client(site, stage.pool, name, ledger, rng))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            stage.snapshot(site, stage.rng.choice(list(ledgers)))


def _verify(stage: Stage, site: Site, ledgers: Dict[str, Ledger]) -> None:
    for name, ledger in ledgers.items():
        with opened(site, stage.pool, name) as image:
            found = ledger.differences(image)
        assert not found, f"{name} at {site.name}: {len(found)} of {ledger.blocks} blocks of " \
                          f"{BLOCK} bytes are wrong: {found[:5]}"
