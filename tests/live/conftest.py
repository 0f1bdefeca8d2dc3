"""One pair of real clusters for all tests of a process, and a fresh mirrored pool for each test."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List

import pytest

from qa import mirrored
from qa.mirrored import add_pool, remove_at_once
from qa.sites import Lab, Site

LIVE = Path(__file__).parent
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Mark every test here as live."""
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two sites with mirror_mgr: those of a lab that runs in $MIRROR_MGR_LAB, or new ones.

    The logs of new ones are kept when the run fails to end all that it started.  Copies whose
    primary is gone go at once: the times that they are kept are for tests of that.
    """
    running = os.environ.get("MIRROR_MGR_LAB")
    if running:
        lab = Lab.attach(running)
        for site in lab.sites.values():
            remove_at_once(site)
        yield lab
        return
    directory = Path(tempfile.mkdtemp(prefix="lab-"))
    lab = Lab(directory)
    lab.up()
    for site in lab.sites.values():
        remove_at_once(site)
    try:
        yield lab
    finally:
        survivors = lab.stop()
    assert not survivors, f"outlived their manager: {survivors}; see {directory}"
    shutil.rmtree(directory)


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
