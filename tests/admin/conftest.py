from typing import Iterator

import pytest

from . import fakes


@pytest.fixture
def site() -> Iterator[fakes.FakeSite]:
    """A site with pool p, namespace p/ns, and an image x in each of the two."""
    site = fakes.FakeSite("11111111-aaaa")
    pool = site.pools["p"] = fakes.FakePool()
    pool.modes["ns"] = fakes.DISABLED
    pool.images["", "x"] = fakes.FakeImage()
    pool.images["ns", "x"] = fakes.FakeImage()
    with pytest.MonkeyPatch.context() as patch:
        fakes.install(patch)
        yield site


@pytest.fixture
def copied(site: fakes.FakeSite) -> fakes.FakeImage:
    """A copy, p/x, in a pool with a peer that can be logged in at."""
    pool = site.pools["p"]
    pool.modes[""] = fakes.IMAGE
    uuid = pool.add_peer("b")
    pool.attributes[uuid] = {"key": "KEY", "mon_host": "10.0.0.2"}
    image = pool.images["", "x"]
    image.mirrored, image.primary = True, False
    return image
