"""One pair of real clusters for all tests of a process, and a fresh mirrored pool for each test."""

import itertools
import os
from pathlib import Path
from typing import Iterator, List

import pytest

from qa import mirrored
from qa.mirrored import add_pool
from qa.sites import Lab, Site
from tests.live.labs import lab_with

LIVE = Path(__file__).parent
# The files that run with each release of Ceph, and between each two.
ACROSS = ("test_admin_socket", "test_clones", "test_exchange", "test_journal",
          "test_journal_clones", "test_keys", "test_namespaces", "test_parity", "test_rounds",
          "test_scenarios", "test_supervisor")
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Mark every test here as live, and where releases can differ also as across."""
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker(pytest.mark.live)
            if item.path.stem in ACROSS:
                item.add_marker(pytest.mark.across)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """Two sites with mirror_mgr."""
    with lab_with(osds=1, release=pytestconfig.option.release) as lab:
        yield lab


@pytest.fixture
def site_a(lab: Lab) -> Site:
    """The primary site."""
    return lab.sites["site-a"]


@pytest.fixture
def site_b(lab: Lab) -> Site:
    """The secondary site."""
    return lab.sites["site-b"]


@pytest.fixture
def pool(lab: Lab, site_a: Site, site_b: Site) -> Iterator[str]:
    """The name of a pool on both sites, with mirroring enabled (image mode) and peers both ways."""
    name = f"live-{os.getpid()}-{next(_numbers)}"
    add_pool(lab, name)
    yield name
    for site in (site_a, site_b):
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


@pytest.fixture(scope="module")
def no_workers(lab: Lab) -> Iterator[None]:
    """Keep the managers' own workers away: the tests run theirs by hand."""
    with mirrored.no_workers(lab):
        yield
