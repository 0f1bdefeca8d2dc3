"""Images as librbd opens them, for what only librbd does."""

from typing import Any

import rbd

from .faults import failed
from .pool import Pool


class Image:
    """An open image; close it after use."""

    def __init__(self, pool: Pool, image: Any, what: str) -> None:
        self._pool = pool
        self._image = image
        self._what = what

    async def is_primary(self) -> bool:
        """Tell whether it is mirrored with this site as its primary."""
        code, info = await self._pool.aio(self._image.aio_mirror_image_get_info)
        self._check(code, "can't tell whether it is primary")
        return bool(info["primary"]) and info["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED

    async def create_mirror_snapshot(self) -> int:
        """Take a mirror snapshot and return its id; raise InvalidArgument unless it is primary."""
        code, snap_id = await self._pool.aio(
            lambda done: self._image.aio_mirror_image_create_snapshot(0, done))
        self._check(code, "can't take a mirror snapshot")
        return int(snap_id)

    async def close(self) -> None:
        await self._pool.aio(self._image.aio_close)

    def _check(self, code: int, what: str) -> None:
        if code < 0:
            raise failed(code, f"{self._what}: {what}")


async def open_image(pool: Pool, image_id: str, what: str) -> Image:
    """Open the image with this id; `what` is what messages call it.

    Raise NotFound if there is none.
    """
    code, image = await pool.aio(
        lambda done: rbd.RBD().aio_open_image(done, pool.ioctx, image_id=image_id))
    if code < 0:
        raise failed(code, f"{what}: can't be opened")
    return Image(pool, image, what)
