"""A pool that site-b mirrors from site-a, in a lab of its own or in one that runs already."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Iterator, NamedTuple, Optional

from qa.releases import Releases
from qa.sites import Lab, Site
from qa.waiting import wait_for


class Mirrored(NamedTuple):
    """The two sites and the pool's name."""

    primary: Site
    copy: Site
    pool: str


def add_pool(lab: Lab, name: str) -> Mirrored:
    """Make a pool on both sites, with mirroring enabled (image mode) and peers both ways."""
    primary, copy = lab.sites["site-a"], lab.sites["site-b"]

    def enable(site: Site) -> None:
        site.create_pool(name)
        site.ceph("rbd-mirror", "pool", "enable", name, "image", "--site-name", site.name)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(enable, (primary, copy)))
    token = primary.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", name)
    copy.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", name, "-i", "-", input=token)
    return Mirrored(primary, copy, name)


def set_workers(site: Site, count: int) -> None:
    """Have the manager run so many, soon; a running manager 16 does not notice `config rm`."""
    site.ceph("config", "set", "mgr", "mgr/mirror_mgr/workers", str(count))


def remove_at_once(site: Site, at_once: bool = True) -> None:
    """Have copies go as soon as their primary is gone, or after the time that is the default."""
    for option, seconds in (("missing_image_seconds", 30), ("removed_copy_seconds", 3600)):
        site.ceph("config", "set", "mgr", f"mgr/mirror_mgr/{option}",
                  "0" if at_once else str(seconds))


def keep_workers_away(lab: Lab) -> None:
    """Have the managers run none, so that those started by hand have the pools."""
    for site in lab.sites.values():
        set_workers(site, 0)
    for site in lab.sites.values():
        wait_for(lambda site=site: not site.ceph_json("rbd-mirror", "worker", "ls"))


@contextmanager
def no_workers(lab: Lab) -> Iterator[None]:
    """The same, and have them run one each again."""
    keep_workers_away(lab)
    try:
        yield
    finally:
        for site in lab.sites.values():
            set_workers(site, 1)


@contextmanager
def mirrored_pool(
    directory: Optional[str], releases: Optional[Releases], osds: int = 1
) -> Iterator[Mirrored]:
    """A pool with no workers at it; `directory` has the lab to use, None stands for a new one.

    A new one has these releases, and so many OSDs at each site.
    """
    if directory:
        lab = Lab.attach(directory)
        keep_workers_away(lab)
        yield add_pool(lab, f"by-hand-{os.getpid()}")
        return
    with Lab(tempfile.mkdtemp(prefix="lab-"), osds=osds, releases=releases) as lab:
        keep_workers_away(lab)
        yield add_pool(lab, "by-hand")
