"""Renaming a copy, cut off anywhere and begun again."""

import asyncio

import pytest

from mirror_mgr.errors import AlreadyExists
from mirror_mgr.replay.image import Copy
from mirror_mgr.replay.state import rename
from mirror_mgr.wire.encoding import Decoder, Encoder
from tests.replay.fake_rados import Killed


class FakePool:
    """The directory and the id objects of a pool; its client dies once `lives` writes are done."""

    def __init__(self, **ids):
        self.ids = {f"rbd_id.{name}": image_id for name, image_id in ids.items()}
        self.directory = {image_id: name for name, image_id in ids.items()}
        self.lives = 100

    def _write(self):
        self.lives -= 1
        if self.lives < 0:
            raise Killed

    async def read(self, oid, length):
        return Encoder().string(self.ids[oid]).done() if oid in self.ids else None

    async def operate(self, oid, op):
        self._write()
        if oid in self.ids:
            raise AlreadyExists(oid)
        self.ids[oid] = Decoder(op.steps[1][3]).string()

    async def remove(self, oid):
        self._write()
        self.ids.pop(oid, None)

    async def call(self, oid, call):
        self._write()
        arguments = Decoder(call.data)
        old, new, image_id = arguments.string(), arguments.string(), arguments.string()
        assert self.directory[image_id] == old
        self.directory[image_id] = new


@pytest.mark.parametrize("lives", range(4))
def test_a_rename_that_was_cut_off_is_finished(lives):
    pool = FakePool(old="1f")
    copy = Copy(pool, "1f")
    pool.lives = lives
    try:
        asyncio.run(rename(copy, "old", "new"))
    except Killed:
        pool.lives = 100
        asyncio.run(rename(copy, pool.directory["1f"], "new"))
    assert (pool.ids, pool.directory) == ({"rbd_id.new": "1f"}, {"1f": "new"})


def test_another_image_keeps_its_name():
    pool = FakePool(old="1f", new="2e")
    with pytest.raises(AlreadyExists):
        asyncio.run(rename(Copy(pool, "1f"), "old", "new"))
    assert pool.directory == {"1f": "old", "2e": "new"}
    assert pool.ids == {"rbd_id.old": "1f", "rbd_id.new": "2e"}
