"""Who owned an image when, by the tags of the journals of both sites.  Pure."""

from typing import List, Optional, Sequence

from ...wire.constants import MirrorImageState
from ...wire.journal import (
    LOCAL_OWNER,
    ORPHAN,
    ObjectPosition,
    Predecessor,
    Tag,
    TagData,
)
from ...wire.mirror import MirrorImage


def translated(data: TagData, local_uuid: str, remote_uuid: str) -> TagData:
    """A tag of the other site's journal as ours says it."""
    before = data.predecessor
    return TagData(_translated(data.mirror_uuid, local_uuid, remote_uuid), Predecessor(
        _translated(before.mirror_uuid, local_uuid, remote_uuid),
        before.valid, before.tag_tid, before.entry_tid))


def _translated(owner: str, local_uuid: str, remote_uuid: str) -> str:
    return {LOCAL_OWNER: remote_uuid, local_uuid: LOCAL_OWNER}.get(owner, owner)


def is_primary(last: Optional[Tag], image: Optional[MirrorImage]) -> bool:
    """Whether a site has the primary, given its journal's last tag and then what it mirrors.

    A copy on its way into the trash has a journal of its own as well, but is mirrored no more.
    """
    return last is not None and last.owner == LOCAL_OWNER and is_mirrored(image)


def is_mirrored(image: Optional[MirrorImage]) -> bool:
    """Whether an image's mirroring neither has ended nor is about to."""
    return image is not None and image.state == MirrorImageState.ENABLED


def is_linked(last: Tag, remote: Sequence[Tag], local_uuid: str, remote_uuid: str) -> bool:
    """Whether the copy is a past state of the primary; if not, both sites wrote (split-brain).

    `last` is the last tag of our journal, `remote` are those of the primary's, ascending.
    """
    if last.owner == remote_uuid:
        return bool(_since(last, remote, remote_uuid))
    return was_promoted_since(last, remote, local_uuid, remote_uuid)


def was_promoted_since(last: Tag, remote: Sequence[Tag], local_uuid: str,
                       remote_uuid: str) -> bool:
    """Whether the other site was promoted after the demotion that our last tag tells of.

    Though it may be demoted again, it has then what we have not.
    """
    if last.owner != ORPHAN:
        return False
    known = last.data.predecessor
    demoted: Optional[int] = None
    for tag in _since(last, remote, remote_uuid):
        before = tag.data.predecessor
        if tag.owner == ORPHAN and _is_same_demotion(known, before, local_uuid, remote_uuid):
            demoted = tag.tid
        elif (tag.owner == LOCAL_OWNER and demoted is not None and before.valid
              and before.mirror_uuid == ORPHAN and before.tag_tid == demoted):
            return True
        else:
            demoted = None
    return False


def was_promoted_again(demotion: Tag, remote: Sequence[Tag]) -> bool:
    """Whether the other site, which the demotion is one of, was promoted itself after it.

    `remote` are the tags of its journal that are known.
    """
    return any(tag.owner == LOCAL_OWNER and tag.data.predecessor.mirror_uuid == ORPHAN
               and tag.data.predecessor.tag_tid == demotion.tid for tag in remote)


def _since(last: Tag, remote: Sequence[Tag], remote_uuid: str) -> List[Tag]:
    """Tags of the other site that are not older than what our last one followed."""
    known = last.data.predecessor
    if not known.valid or known.mirror_uuid != remote_uuid:
        return list(remote)
    return [tag for tag in remote if tag.tid >= known.tag_tid]


def last_change_of_roles(last: Tag, remote: Sequence[Tag], local_uuid: str,
                         remote_uuid: str) -> Optional[int]:
    """The newest tag of the other site, of those that ours has, by which the primary changed.

    All before it is here: else nobody would have been promoted.  None where there was no change, or
    none is known any more.
    """
    known = next((tag.tid for tag in remote
                  if translated(tag.data, local_uuid, remote_uuid) == last.data), None)
    if known is None:
        return None
    changes = [tag.tid for tag in remote if tag.tid <= known and (
        tag.owner != LOCAL_OWNER or tag.data.predecessor.mirror_uuid == ORPHAN)]
    return changes[-1] if changes else None


def _is_same_demotion(ours: Predecessor, theirs: Predecessor, local_uuid: str,
                      remote_uuid: str) -> bool:
    """Whether an orphan tag of theirs tells of the demotion that ours tells of."""
    if not theirs.valid or theirs.tag_tid != ours.tag_tid:
        return False
    return ((theirs.mirror_uuid == local_uuid and ours.mirror_uuid == LOCAL_OWNER)
            or (theirs.mirror_uuid == LOCAL_OWNER and ours.mirror_uuid == remote_uuid))


def entries_behind(primary: Optional[ObjectPosition], mine: Optional[ObjectPosition],
                   tags: Sequence[Tag]) -> int:
    """How many entries the primary has committed that we have not.

    `tags` are those of the primary's journal; the last entry of a tag is its successor's
    predecessor.
    """
    if primary is None or mine is None or primary.tag_tid < mine.tag_tid:
        return 0
    by_tid = {tag.tid: tag for tag in tags}
    behind, tag_tid, entry_tid = 0, primary.tag_tid, primary.entry_tid
    while tag_tid > mine.tag_tid:
        behind += entry_tid
        tag = by_tid.get(tag_tid)
        before = tag.data.predecessor if tag is not None else Predecessor()
        if not before.valid or before.mirror_uuid not in (LOCAL_OWNER, ORPHAN):
            return behind
        tag_tid, entry_tid = before.tag_tid, before.entry_tid
    if tag_tid == mine.tag_tid and entry_tid > mine.entry_tid:
        behind += entry_tid - mine.entry_tid
    return behind
