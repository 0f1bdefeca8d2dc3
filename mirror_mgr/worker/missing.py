"""The copies of one namespace whose primary is gone: watched for a while, then to the trash."""

import logging
import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Set

from ..cluster.pool import Pool
from ..errors import Fenced, MirrorError, NotFound
from ..replay import create, trash
from ..replay.image import Copy, mirrored_as
from ..replay.journal.bootstrap import is_half_made
from ..replay.journal.store import ImageJournal
from ..replay.lanes import for_each
from ..replay.scan import Link
from ..replay.trash import Bond
from ..wire import cls_rbd
from ..wire.constants import Feature, ImageMode, MirrorImageState
from ..wire.header import DIRECTORY, MIRRORING, ImageHeader
from ..wire.journal import LOCAL_OWNER, ORPHAN
from ..wire.mirror import MirrorImage
from . import removal_rules as rules
from . import status
from .removal_rules import Record, Verdict
from .status import ImageStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A copy whose primary is gone and that is still there; `until` is in seconds of the epoch."""

    global_id: str
    image_id: str
    record: Record
    until: float
    status: ImageStatus


@dataclass(frozen=True)
class _Seen:
    """Of what the other site's list lacks, by global id.

    `gone`: copies whose primary is not there by name either, with their names here; `stays`: what
    is to be said of those that are nobody's copy; `there`: what is there by name.
    """

    gone: Dict[str, str]
    stays: Dict[str, ImageStatus]
    there: Set[str]


class MissingPrimaries:
    """Decides for the images that a worker has of a namespace.

    `publish` tells how a copy stands, `withdraw` that it stands so no longer.
    """

    def __init__(self, local: Pool, remote: Pool, link: Link, delays: rules.Delays,
                 publish: Callable[[str, ImageStatus], None],
                 withdraw: Callable[[str], None]) -> None:
        self.kept: Dict[str, Kept] = {}
        self._told: Dict[str, ImageStatus] = {}
        self._local = local
        self._remote = remote
        self._link = link
        self._delays = delays
        self._publish = publish
        self._withdraw = withdraw
        self._may_have_records = True

    async def look(self, missing: Mapping[str, MirrorImage], copies: int,
                   is_ours: Callable[[str], bool]) -> None:
        """Given what the other site's list lacks of this site's images, by their ids here.

        `copies`: how many images are mirrored here; `is_ours`: whether an image, by its global id,
        is this worker's.
        """
        if not (missing or self._may_have_records or self._told):
            return
        records = rules.Records.from_omap(await self._read())
        ours = {image.global_id: image_id for image_id, image in missing.items()
                if is_ours(image.global_id)}
        seen = _Seen({}, {}, set())
        if ours and await self._is_the_peer():
            seen = await self._look_closely({i: missing[i] for i in ours.values()})
            for gid in [gid for gid in seen.gone if records.is_later(gid)]:
                del seen.gone[gid]
                seen.stays[gid] = status.recorded_later(records.later[rules.MISSING + gid])
            records = await self._note(records, seen.gone, copies)
            await self._judge(records, {gid: ours[gid] for gid in seen.gone},
                              {gid: missing[ours[gid]].mode for gid in seen.gone})
        await self._forget(gid for gid in records.missing
                           if is_ours(gid) and (gid not in ours or gid in seen.there))
        for global_id in self.kept.keys() - seen.gone.keys():
            del self.kept[global_id]
            self._withdraw(global_id)
        self._tell(seen.stays)
        self._may_have_records = bool(records.missing)

    def _tell(self, stays: Mapping[str, ImageStatus]) -> None:
        for global_id in self._told.keys() - stays.keys() - self.kept.keys():
            self._withdraw(global_id)
        for global_id, found in stays.items():
            self._publish(global_id, found)
        self._told = dict(stays)

    # --- looking --------------------------------------------------------------------------------

    async def _is_the_peer(self) -> bool:
        """Whether the pool that was listed is the one that these copies are linked to."""
        pool = self._remote.connection.pool(self._remote.pool_id)
        try:
            found = cls_rbd.decode_mirror_uuid_get(
                await pool.call(MIRRORING, cls_rbd.mirror_uuid_get()))
        except NotFound:
            found = ""
        if found != self._link.remote_uuid:
            log.warning("the peer's pool is another one than before: none of its copies is removed")
        return found == self._link.remote_uuid

    async def _look_closely(self, missing: Mapping[str, MirrorImage]) -> _Seen:
        """Ask for each by its name, and look what is here of it.

        Whatever is wrong with one image keeps that image, and no other.
        """
        seen = _Seen({}, {}, set())

        async def look(image_id: str) -> None:
            image = missing[image_id]
            try:
                if await mirrored_as(self._remote, image.global_id) is not None:
                    seen.there.add(image.global_id)
                else:
                    await self._look_at_copy(image_id, image, seen)
            except NotFound:
                pass  # it goes just now
            except Fenced:
                raise
            except MirrorError as error:
                log.warning("image %s: it is kept: %s", image.global_id, error)

        await for_each(missing, look)
        return seen

    async def _look_at_copy(self, image_id: str, image: MirrorImage, seen: _Seen) -> None:
        copy = Copy(self._local.fork(), image_id)
        try:
            header = await copy.header()
            if image.state == MirrorImageState.CREATING:
                await self._discard(copy, header, image)
                return
            if header is None:
                return
            bond = await self._bond(copy, header, image.mode)
            if bond is Bond.COPY:
                seen.gone[image.global_id] = cls_rbd.decode_dir_get_name(await self._local.call(
                    DIRECTORY, cls_rbd.dir_get_name(image_id)))
            elif bond is not Bond.PRIMARY:
                seen.stays[image.global_id] = status.nobodys(demoted=bond is Bond.DEMOTED)
        finally:
            copy.pool.close()

    async def _bond(self, copy: Copy, header: ImageHeader, mode: ImageMode) -> Bond:
        if mode == ImageMode.SNAPSHOT:
            return trash.bond(header, self._link.remote_uuid)
        journal = await ImageJournal(copy.pool, copy.id).header()
        last = journal.last_tag if journal is not None else None
        if last is None or last.owner == LOCAL_OWNER:
            return Bond.PRIMARY
        if last.owner == self._link.remote_uuid:
            return Bond.COPY
        return Bond.DEMOTED if last.owner == ORPHAN else Bond.STRANGER

    async def _discard(self, copy: Copy, header: Optional[ImageHeader],
                       image: MirrorImage) -> None:
        """What somebody began to create and left, if it is no image that is being enabled here."""
        if image.mode == ImageMode.JOURNAL:
            if not is_half_made(header, await ImageJournal(copy.pool, copy.id).header(),
                                self._link):
                return
        elif header is not None and (
                not header.features & Feature.NON_PRIMARY or header.mirror_snapshots):
            return
        global_id = image.global_id
        log.info("image %s: removing a partial copy; its primary is no longer mirrored", global_id)
        try:
            name = cls_rbd.decode_dir_get_name(await copy.pool.call(
                DIRECTORY, cls_rbd.dir_get_name(copy.id)))
        except NotFound:
            name = ""
        if image.mode == ImageMode.JOURNAL:
            await trash.move_to_trash(copy, name or copy.id, global_id, 0, image.mode)
        elif name:
            await create.discard(copy.pool, copy.id, global_id, name)
        else:
            await create.forget(copy.pool, copy.id, global_id)

    # --- records --------------------------------------------------------------------------------

    async def _read(self) -> Dict[str, bytes]:
        try:
            return await self._local.omap(rules.OBJECT)
        except NotFound:
            return {}

    async def _note(self, known: rules.Records, gone: Mapping[str, str],
                    copies: int) -> rules.Records:
        """Note what is missing since now, and hold all back where that is too much at once."""
        now = time.time()
        missing = dict(known.missing)
        missing.update({gid: Record(now, name=name) for gid, name in gone.items()
                        if gid not in missing})
        if rules.are_many(len(missing) + len(known.later), copies):
            missing.update(rules.hold({gid: missing[gid] for gid in gone}, known.confirmed))
        changed = {gid: missing[gid] for gid in gone if known.missing.get(gid) != missing[gid]}
        if changed:
            await self._local.change_omap(rules.OBJECT, {
                rules.MISSING + gid: record.encode() for gid, record in changed.items()})
        return replace(known, missing=missing)

    async def _forget(self, global_ids: Iterable[str]) -> None:
        changes: Dict[str, Optional[bytes]] = {rules.MISSING + gid: None for gid in global_ids}
        if changes:
            await self._local.change_omap(rules.OBJECT, changes)

    # --- acting ---------------------------------------------------------------------------------

    async def _judge(self, records: rules.Records, ids: Mapping[str, str],
                     modes: Mapping[str, ImageMode]) -> None:
        now = time.time()
        going: List[str] = []
        for global_id, image_id in ids.items():
            record = records.missing[global_id]
            verdict = rules.judge(record, records.confirmed, now, self._delays.missing)
            if verdict is Verdict.REMOVE:
                going.append(global_id)
            else:
                self._keep(global_id, image_id, record, verdict)

        async def remove(global_id: str) -> None:
            record = records.missing[global_id]
            if await self._remove(ids[global_id], global_id, record.name, modes[global_id]):
                self.kept.pop(global_id, None)
                self._withdraw(global_id)
                await self._forget([global_id])

        await for_each(going, remove)

    def _keep(self, global_id: str, image_id: str, record: Record, verdict: Verdict) -> None:
        held = verdict is Verdict.HOLD
        until = rules.held_until(record) if held else record.since + self._delays.missing
        told = status.primary_gone(record.since, until, held, self._pool_spec)
        self.kept[global_id] = Kept(global_id, image_id, record, until, told)
        self._publish(global_id, told)

    @property
    def _pool_spec(self) -> str:
        name = self._local.connection.pool_name(self._local.pool_id) or str(self._local.pool_id)
        return "/".join(filter(None, (name, self._local.namespace)))

    async def _remove(self, image_id: str, global_id: str, name: str, mode: ImageMode) -> bool:
        """Put a copy into the trash; whether that is done."""
        log.info("image %s (%s): its primary is gone: into the trash", name, global_id)
        delay = max(int(self._delays.trash), trash.delay_seconds(self._local.connection))
        copy = Copy(self._local.fork(), image_id)
        try:
            await trash.move_to_trash(copy, name, global_id, delay, mode)
            return True
        except Fenced:
            raise
        except MirrorError as error:
            log.warning("image %s (%s): %s", name, global_id, error)
            return False
        finally:
            copy.pool.close()
