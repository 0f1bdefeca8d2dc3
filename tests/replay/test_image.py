"""What one image of another site may have us read is bounded."""

import asyncio
from typing import Dict, List, Optional

import pytest

from mirror_mgr.errors import MalformedData, NotFound
from mirror_mgr.replay import image as product
from mirror_mgr.replay.image import Image
from mirror_mgr.wire import image_state
from mirror_mgr.wire.constants import Feature
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import ImageHeader, image_state_oid
from mirror_mgr.wire.image_state import ImageState
from mirror_mgr.wire.object_map import ObjectMap


class Objects:
    """A pool with these objects; `reads` are the lengths that were asked for."""

    def __init__(self, objects: Dict[str, bytes]) -> None:
        self.objects = objects
        self.reads: List[int] = []

    async def read(self, oid: str, length: int, offset: int = 0) -> Optional[bytes]:
        self.reads.append(length)
        data = self.objects.get(oid)
        return None if data is None else data[:length]


class Endless(Objects):
    """Has any object that is asked for."""

    async def read(self, oid: str, length: int, offset: int = 0) -> Optional[bytes]:
        return await super().read(oid, length) or b""


def state(blobs: List[bytes]) -> Dict[str, bytes]:
    return {image_state_oid("1", 7, index): blob for index, blob in enumerate(blobs)}


def read(pool: Objects) -> List[bytes]:
    return asyncio.run(Image(pool, "1").image_state_blobs(7))  # type: ignore[arg-type]


def head(count: int) -> bytes:
    return Encoder().struct(1, 1, Encoder().u32(count)).done()


def test_an_image_state_of_several_objects() -> None:
    blobs = image_state.encode(ImageState("name", Feature.LAYERING, metadata={
        "a": bytes(300)}), 100)
    assert read(Objects(state(blobs))) == blobs
    with pytest.raises(NotFound, match="part of the image state"):
        read(Objects(state(blobs[:-1])))


def test_an_image_state_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_MOST_STATE_BYTES", 1000)
    pool = Objects(state([head(3), bytes(600), bytes(600)]))
    with pytest.raises(MalformedData, match="rbd_mirror_snapshot.1.7.2.*more than 1000"):
        read(pool)
    assert max(pool.reads) <= 1001


def test_an_image_state_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_MOST_STATE_BYTES", 1000)
    pool = Endless(state([head(2 ** 32 - 1)]))
    with pytest.raises(MalformedData):
        read(pool)
    assert len(pool.reads) <= 1000


def test_an_object_map_of_an_impossible_size_is_not_asked_for() -> None:
    header = ImageHeader(2 ** 63, 12, Feature.OBJECT_MAP, "rbd_data.1")
    with pytest.raises(MalformedData, match="256000000"):
        asyncio.run(Image(Objects({}), "1").load_map(header))  # type: ignore[arg-type]


class Maps(Objects):
    """Has one object map of so many objects."""

    def __init__(self, count: int) -> None:
        super().__init__({})
        self._data = ObjectMap.filled(count, 1).encode()

    async def call(self, oid: str, call: object, reply: int) -> bytes:
        return self._data


@pytest.mark.parametrize(("count", "trusted"), [(3, False), (4, True), (5, True)])
def test_a_map_that_is_too_short_is_not_trusted(count: int, trusted: bool) -> None:
    header = ImageHeader(4 << 12, 12, Feature.OBJECT_MAP, "rbd_data.1")
    found = asyncio.run(Image(Maps(count), "1").load_map(header))  # type: ignore[arg-type]
    assert (found is not None) == trusted
