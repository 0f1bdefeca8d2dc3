"""Random administrators at two sites: no image is lost, and each primary gets its copy.

$MIRROR_MGR_SEED repeats a run; `qa/administrators` is for hours of it.
"""

import os
import random
from typing import Iterator

import pytest

from qa.administration.administrators import Administrators
from qa.administration.by_hand import run
from qa.mirrored import remove_at_once
from qa.sites import Site

SECONDS = 60.0
SEED = int(os.environ.get("MIRROR_MGR_SEED", random.randrange(10**6)))


@pytest.fixture
def kept(site_a: Site, site_b: Site) -> Iterator[None]:
    """Copies whose primary is gone stay as long as they do at users' sites."""
    for site in (site_a, site_b):
        remove_at_once(site, False)
    yield
    for site in (site_a, site_b):
        remove_at_once(site)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("number", range(2))
def test_nothing_is_lost_whatever_administrators_type(
        site_a: Site, site_b: Site, pool: str, number: int) -> None:
    seed = SEED + number
    print(f"seed {seed}")
    people = Administrators((site_a, site_b), pool, random.Random(seed), peers_stay=True)
    try:
        run(people, SECONDS)
    finally:
        people.close()
