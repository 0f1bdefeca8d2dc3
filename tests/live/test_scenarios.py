"""A short selection of the scenarios, which qa/scenario plays in full."""

import random

from qa.scenarios import disaster, failovers, lives, two_way
from qa.scenarios.stage import Stage
from qa.sites import Lab


def stage(lab: Lab, pool: str) -> Stage:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    return Stage(lab, pool, random.Random(seed), print)


def test_failover_and_back_under_load(lab: Lab, pool: str) -> None:
    failovers.play(stage(lab, pool), times=3, images=2, seconds=2.0)


def test_a_lost_site(lab: Lab, pool: str) -> None:
    disaster.play(stage(lab, pool), images=2)


def test_lives_of_images(lab: Lab, pool: str) -> None:
    lives.play(stage(lab, pool))


def test_both_sites_have_primaries(lab: Lab, pool: str) -> None:
    two_way.play(stage(lab, pool), each=1, rounds=2)
