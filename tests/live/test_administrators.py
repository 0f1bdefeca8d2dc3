"""Random administrators at two sites: no image is lost, and each primary gets its copy.

$MIRROR_MGR_SEED repeats a run; `qa/administrators` is for hours of it.
"""

import os
import random

import pytest

from qa.administration.administrators import Administrators
from qa.administration.by_hand import run
from qa.sites import Site

SECONDS = 60.0
SEED = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))


@pytest.mark.parametrize("number", range(2))
def test_nothing_is_lost_whatever_administrators_type(
        site_a: Site, site_b: Site, pool: str, number: int) -> None:
    seed = SEED + number
    print(f"seed {seed}")
    people = Administrators((site_a, site_b), pool, random.Random(seed))
    try:
        run(people, SECONDS)
    finally:
        people.close()
