"""One image's demands harm no other: a petabyte without an object map beside a small one."""

import os
from contextlib import contextmanager
from typing import Iterator

import pytest
import rados
import rbd

from qa.images import mirror_snapshots
from qa.replayers import usage
from qa.sites import Site
from qa.waiting import wait_for
from qa.workers import Workers

PETABYTE = 1 << 50
MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("no_workers")


@contextmanager
def closed_later(site: Site) -> Iterator[rados.Rados]:
    cluster = site.rados()
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_a_petabyte_keeps_no_other_image_waiting(site_a: Site, site_b: Site, pool: str) -> None:
    with closed_later(site_a) as cluster, cluster.open_ioctx(pool) as ioctx:
        for name, size in (("huge", PETABYTE), ("small", 8 * MIB)):
            rbd.RBD().create(ioctx, name, size, features=rbd.RBD_FEATURE_LAYERING)
            with rbd.Image(ioctx, name) as image:
                image.write(os.urandom(MIB), 0)
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
    with Workers(site_b, site_a, pool) as workers, closed_later(site_b) as cluster, \
            cluster.open_ioctx(pool) as ioctx:
        worker = workers.start()

        def complete(name: str) -> object:
            """Whether the newest mirror snapshot of a copy is; None while there is none."""
            try:
                with rbd.Image(ioctx, name, read_only=True) as image:
                    return [s.complete for s in mirror_snapshots(image)][-1:]
            except rbd.ImageNotFound:
                return None

        wait_for(lambda: complete("huge") == [False], lambda: "\n".join(worker.log))
        wait_for(lambda: complete("small") == [True], lambda: "\n".join(worker.log))
        wait_for(lambda: any(image.sync and image.sync.bytes_done >= MIB
                             for image in worker.images.values()), lambda: str(worker.images))
        assert usage(worker.pid).peak_rss < 256 * MIB
        assert complete("huge") == [False]
