"""Writes image statuses to `rbd_mirroring` of both sites, as the C++ daemon does.

A status counts as "up" while the client that wrote it watches the object: so each namespace of both
sites is watched here, and what the watch tells (an image enabled, disabled, promoted) is passed on.
"""

import asyncio
import logging
import time
from typing import Callable, Dict, List, Optional, Tuple

from ..cluster.pool import Pool, Watch
from ..errors import Fenced, MirrorError, OutOfSpace
from ..waiting import heard
from ..wire import cls_rbd
from ..wire.header import MIRRORING
from ..wire.mirror import SiteStatus
from .status import ImageStatus

log = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0
_AT_ONCE = 64


class StatusBoard:
    """The statuses of one namespace at one site.

    `mirror_uuid` is "" for the own site, else our pool's, under which the other site shows them.
    """

    def __init__(self, pool: Pool, mirror_uuid: str, news: Callable[[], None]) -> None:
        self._pool = pool
        self._mirror_uuid = mirror_uuid
        self._news = news
        self._watch: Optional[Watch] = None
        self._wanted: Dict[str, ImageStatus] = {}
        self._written: Dict[str, Tuple[ImageStatus, str, float]] = {}
        self._changed = asyncio.Event()
        self.error: Optional[str] = None

    def set(self, global_id: str, status: ImageStatus) -> None:
        self._wanted[global_id] = status
        self._changed.set()

    def remove(self, global_id: str) -> None:
        self._wanted.pop(global_id, None)
        self._written.pop(global_id, None)

    async def run(self) -> None:
        """Until cancelled; raise Fenced when this client was blocklisted."""
        try:
            while True:
                self._changed.clear()
                try:
                    await self._ensure_watch()
                    await self._write_due()
                    self.error = None
                except Fenced:
                    raise
                except MirrorError as error:
                    self.error = str(error)
                    await asyncio.sleep(1.0)
                except Exception as error:
                    log.exception("statuses of images: please report this as a bug")
                    self.error = f"internal error: {error}"
                    await asyncio.sleep(REFRESH_SECONDS / 6)
                await heard(self._changed, REFRESH_SECONDS / 6)
        finally:
            await self._unwatch()

    async def _ensure_watch(self) -> None:
        if self._watch is None:
            try:
                self._watch = await self._pool.watch(
                    MIRRORING, lambda payload: self._news(), self._lost)
            except OutOfSpace:
                return  # a status that does not count as "up" is better than none
            self._news()

    def _lost(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.ensure_future(watch.close())
        self._changed.set()

    async def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()

    async def _write_due(self) -> None:
        due = [(gid, status) for gid, status in self._wanted.items() if self._is_due(gid, status)]
        errors: List[BaseException] = []
        for start in range(0, len(due), _AT_ONCE):
            written = await asyncio.gather(*(
                self._write(gid, status) for gid, status in due[start:start + _AT_ONCE]),
                return_exceptions=True)
            errors += [one for one in written if one is not None]
            if len(errors) >= _AT_ONCE:
                break  # it is no matter of single images
        for error in sorted(errors, key=lambda one: not isinstance(one, Fenced))[:1]:
            raise error

    def _is_due(self, global_id: str, status: ImageStatus) -> bool:
        written = self._written.get(global_id)
        return (written is None or written[1] != status.description or written[0] != status
                or time.monotonic() - written[2] > REFRESH_SECONDS * 0.8)

    async def _write(self, global_id: str, status: ImageStatus) -> None:
        description = status.description
        await self._pool.call(MIRRORING, cls_rbd.mirror_image_status_set(global_id, SiteStatus(
            self._mirror_uuid, status.state, description, time.time_ns(), True)))
        self._written[global_id] = (status, description, time.monotonic())
