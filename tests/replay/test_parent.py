"""In which namespace here the copy of a clone's parent is."""

import asyncio

import pytest

from mirror_mgr.replay import parent
from mirror_mgr.wire.constants import MirrorMode
from mirror_mgr.wire.header import MIRRORING, ParentLink
from tests.worker.sites import FakeConnection, mirroring

POOL, OTHER_POOL = 2, 3
THERE, OTHER_POOL_THERE = 12, 13


def site(name, pool_id, **namespaces):
    found = FakeConnection(name)
    for namespace, omap in namespaces.items():
        found.pool(pool_id).namespaces.append(namespace)
        found.pool(pool_id, namespace).omap_of[MIRRORING] = omap
    return found


def place(pool, pool_id):
    pool.pool_id = pool_id
    return pool


@pytest.mark.parametrize("pool_id, namespace, here, found", [
    (THERE, "clones", POOL, "copies"),
    (THERE, "parents", POOL, "copied-parents"),
    (THERE, "same", POOL, "same"),
    (THERE, "", POOL, None),
    (THERE, "off", POOL, None),
    (THERE, "copied-parents", POOL, None),
    (OTHER_POOL_THERE, "clones", OTHER_POOL, None),
])
def test_it_is_the_one_that_is_mirrored_with_the_parent_s(pool_id, namespace, here, found):
    """Never one of the parent's own name that has the copies of another."""
    local = site("local", POOL, **{
        "copies": mirroring(source="clones"), "copied-parents": mirroring(source="parents"),
        "same": mirroring(), "parents": mirroring(source="copied-parents-there"),
        "off": mirroring(MirrorMode.DISABLED)})
    remote = FakeConnection("b")
    pool = place(local.pool(POOL, "copies"), POOL)
    pool.connection = local
    source = place(remote.pool(THERE, "clones"), THERE)
    link = ParentLink(pool_id, namespace, "id", 4, None)
    assert asyncio.run(parent._namespace_here(pool, source, link, here)) == found
