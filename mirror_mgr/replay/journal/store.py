"""The journal of one image as objects: its header, and changes of it."""

import asyncio
from typing import Any, Callable, Optional, Set

from ...cluster.pool import Pool, Watch
from ...errors import AlreadyExists, MalformedData, MirrorError, NotFound
from ...wire import cls_journal, cls_lock
from ...wire.header import header_oid
from ...wire.journal import (
    IMAGE_CLIENT,
    ImageClientData,
    JournalHeader,
    PeerClientData,
    Positions,
    Tag,
    TagData,
    journal_data_oid,
    journal_oid,
)

_ESTALE = 116
# Of a journal whose data is where its header is.
_SAME_POOL = -1
_TRIES = 10
_MOST_HEADER_BYTES = 32 << 20
# Who is being told: a notification that nobody refers to could be collected on its way.
_telling: Set["asyncio.Task[None]"] = set()


class ImageJournal:
    """The journal of the image with this id."""

    def __init__(self, pool: Pool, image_id: str) -> None:
        self.pool = pool
        self.image_id = image_id
        self.oid = journal_oid(image_id)

    async def header(self) -> Optional[JournalHeader]:
        """None when there is no journal; raise MalformedData."""
        try:
            return JournalHeader.from_omap(
                await self.pool.omap(self.oid, _MOST_HEADER_BYTES))
        except NotFound:
            return None
        except MalformedData as error:
            raise MalformedData(f"{self.oid} is damaged: {error}") from None

    def data_pool(self, header: JournalHeader) -> Pool:
        if header.pool_id < 0:
            return self.pool
        return self.pool.connection.pool(header.pool_id, self.pool.namespace)

    def data_oid(self, number: int) -> str:
        return journal_data_oid(self.pool.pool_id, self.image_id, number)

    async def has_writer(self) -> bool:
        """Whether a client holds the image's lock.  One that takes it begins a tag, and tells."""
        try:
            return bool(cls_lock.decode_get_info(await self.pool.call(
                header_oid(self.image_id), cls_lock.get_info(cls_lock.IMAGE_LOCK))).lockers)
        except NotFound:
            return False

    async def watch(self, news: Callable[[], None], lost: Callable[[], None]) -> Watch:
        """Whoever changes a journal's header notifies it, with nothing in it."""
        return await self.pool.watch(self.oid, lambda payload: news(), lost)

    # --- clients --------------------------------------------------------------------------------

    async def register(self, client_id: str, data: PeerClientData) -> None:
        """Raise AlreadyExists when it is registered."""
        await self._change(cls_journal.client_register(client_id, data.encode()))

    async def unregister(self, client_id: str) -> None:
        try:
            await self._change(cls_journal.client_unregister(client_id))
        except NotFound:
            pass

    async def update(self, client_id: str, data: PeerClientData) -> None:
        await self._change(cls_journal.client_update_data(client_id, data.encode()))

    async def commit(self, client_id: str, positions: Positions) -> None:
        """Note that the client is done with all up to the first of these positions."""
        await self._change(cls_journal.client_commit(client_id, positions))

    # --- tags -----------------------------------------------------------------------------------

    async def allocate(self, data: TagData, tag_class: int) -> Tag:
        """Begin a new tag; another client may do so at the same time."""
        for _ in range(_TRIES):
            tid = cls_journal.decode_u64(
                await self.pool.call(self.oid, cls_journal.get_next_tag_tid()))
            try:
                await self._change(cls_journal.tag_create(tid, tag_class, data))
                break
            except MirrorError as error:
                if error.errno != _ESTALE:
                    raise
        return cls_journal.decode_get_tag(
            await self.pool.call(self.oid, cls_journal.get_tag(tid)))

    # --- the journal of a copy ------------------------------------------------------------------

    async def create(self, owner: str) -> None:
        """Make an empty journal, as this site's options want it.  May be repeated.

        `owner` is primary of its image.
        """
        connection = self.pool.connection
        conf = connection.conf_get
        name = conf("rbd_journal_pool")
        pool_id = connection.pool_id(name) if name else None
        if pool_id is None or pool_id == self.pool.pool_id:
            pool_id = _SAME_POOL
        try:
            await self.pool.call(self.oid, cls_journal.create(
                int(conf("rbd_journal_order")), int(conf("rbd_journal_splay_width")), pool_id))
        except AlreadyExists:
            pass
        header = await self.header()
        if header is not None and not header.tags:
            await self.allocate(TagData(owner), cls_journal.NEW_TAG_CLASS)
            header = await self.header()
        if header is not None and IMAGE_CLIENT not in header.clients:
            await self._change(cls_journal.client_register(
                IMAGE_CLIENT, ImageClientData(header.tags[-1].tag_class).encode()))

    async def remove(self) -> None:
        """Remove the journal with all that is in it.  May be repeated."""
        header = await self.header()
        if header is None:
            return
        data = self.data_pool(header)
        first = header.minimum_set * header.splay_width
        for number in range(first, (header.active_set + 1) * header.splay_width):
            await data.remove(self.data_oid(number))
        await self.pool.remove(self.oid)

    async def _change(self, call: Any) -> None:
        await self.pool.call(self.oid, call)
        task = asyncio.ensure_future(self.pool.notify(self.oid))
        _telling.add(task)
        task.add_done_callback(_told)


def _told(task: "asyncio.Task[None]") -> None:
    _telling.discard(task)
    if not task.cancelled():
        task.exception()  # the change itself is there; whoever reads the header sees it
