"""A primary that is rolled back to a snapshot: its object maps do not tell what that changed."""

import random
from typing import Iterator

import pytest

from qa.failover import fail_over
from qa.rounds import LAYOUTS, MIB, Rounds
from qa.sites import Site
from qa.workers import Workers

pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture
def rounds(site_a: Site, site_b: Site, pool: str) -> Iterator[Rounds]:
    rounds = Rounds(site_a, site_b, pool, "image", LAYOUTS[0], random.Random(1))
    with Workers(site_b, site_a, pool) as workers:
        workers.start()
        rounds.create()
        with rounds.image(site_a) as image:
            image.resize(16 * MIB)
            image.write(b"old" * 10000, 4 * MIB)
            image.create_snap("first")
            # Here the object counts as unchanged, and so it does after a rollback to here.
            image.create_snap("second")
        rounds.wait_copied(rounds.snapshot())
        yield rounds
    rounds.close()


def change_and_roll_back(rounds: Rounds, mirrored_between: bool) -> None:
    with rounds.image(rounds.primary) as image:
        image.write(b"new" * 10000, 4 * MIB + 8192)
        image.write(b"more", 9 * MIB)
        if not mirrored_between:
            image.create_snap("third")
    if mirrored_between:
        rounds.wait_copied(rounds.snapshot())
    with rounds.image(rounds.primary) as image:
        image.rollback_to_snap("second")
    rounds.wait_copied(rounds.snapshot())


@pytest.mark.parametrize("mirrored_between", [True, False], ids=["between-syncs", "within-a-sync"])
def test_what_a_rollback_changed_is_copied(rounds: Rounds, mirrored_between: bool) -> None:
    change_and_roll_back(rounds, mirrored_between)
    rounds.compare()
    fail_over(rounds)


def test_also_where_the_snapshot_is_gone(rounds: Rounds) -> None:
    with rounds.image(rounds.primary) as image:
        image.write(b"new" * 10000, 4 * MIB)
    rounds.wait_copied(rounds.snapshot())
    with rounds.image(rounds.primary) as image:
        image.rollback_to_snap("second")
        image.remove_snap("second")
        image.remove_snap("first")
    rounds.wait_copied(rounds.snapshot())
    rounds.compare()
