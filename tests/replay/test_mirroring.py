"""Which namespaces of a pool are replayed, from which of the peer's."""

import asyncio

import pytest

from mirror_mgr.replay.mirroring import Pairs, pair, read_mirroring, read_pairs
from mirror_mgr.wire.constants import MirrorMode
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.mirror import MirrorPool
from tests.worker.sites import FakeConnection, FakePool, mirroring

IMAGE, POOL, DISABLED, INIT_ONLY = (
    MirrorMode.IMAGE, MirrorMode.POOL, MirrorMode.DISABLED, MirrorMode.INIT_ONLY)


def mirrored(source=None, mode=IMAGE):
    return MirrorPool(mode=mode, remote_namespace=source)


@pytest.mark.parametrize("found, sources", [
    ({"": mirrored()}, {"": ""}),
    ({"": mirrored(), "ns": mirrored(mode=POOL)}, {"": "", "ns": "ns"}),
    ({"": mirrored(mode=DISABLED), "ns": mirrored()}, {"ns": "ns"}),
    ({"": mirrored(mode=INIT_ONLY), "ns": mirrored("")}, {"ns": ""}),
    ({"": mirrored("ns"), "ns": mirrored("")}, {"": "ns", "ns": ""}),
    ({"": mirrored(mode=INIT_ONLY), "ns": mirrored("other", DISABLED)}, {}),
])
def test_pairs(found, sources):
    assert pair(found) == Pairs(sources, {})


@pytest.mark.parametrize("found, sources, refused", [
    ({"": mirrored("ns"), "a": mirrored("ns"), "ns": mirrored()}, {"ns": "ns"}, {"", "a"}),
    ({"b": mirrored("ns"), "a": mirrored("ns"), "c": mirrored()}, {"a": "ns", "c": "c"}, {"b"}),
    ({"": mirrored("ns"), "a": mirrored("ns"), "ns": mirrored(mode=DISABLED)}, {"": "ns"}, {"a"}),
])
def test_no_two_are_replayed_from_the_same_one(found, sources, refused):
    pairs = pair(found)
    assert (pairs.sources, set(pairs.refused)) == (sources, refused)
    for reason in pairs.refused.values():
        assert "'ns'" in reason and "one copy" in reason


def test_where_the_copies_of_a_namespace_are():
    pairs = pair({"": mirrored("old"), "new": mirrored("")})
    assert [pairs.copy_of(source) for source in ("old", "", "new")] == ["", "new", None]


def test_what_a_site_says():
    site = FakeConnection("local")
    names = [f"n{number:04}" for number in range(2000)]
    site.pool(2).namespaces = names
    site.pool(2).omap_of[MIRRORING] = mirroring(INIT_ONLY)
    site.pool(2, names[-1]).omap_of[MIRRORING] = mirroring(source="")
    assert asyncio.run(read_pairs(site, 2)) == Pairs({names[-1]: ""}, {})


def test_a_pool_without_namespaces():
    site = FakeConnection("local")
    site.pool(2).omap_of[MIRRORING] = mirroring()
    assert asyncio.run(read_pairs(site, 2)) == Pairs({"": ""}, {})


def test_a_pool_that_was_never_mirrored():
    assert asyncio.run(read_mirroring(FakePool())) == MirrorPool()
    assert asyncio.run(read_pairs(FakeConnection("local"), 2)) == Pairs({}, {})
