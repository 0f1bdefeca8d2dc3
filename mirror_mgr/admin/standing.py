"""How an image stands, in the words of `states`, from what its sites say of it.  Pure.

Workers write the word into the status in RADOS; of what an rbd-mirror daemon writes it follows, so
that it is the same whoever replays.
"""

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Dict, Optional, Sequence, Tuple

from .. import states
from ..model import SiteStatus, Standing, SyncProgress
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace
from ..worker.protocol import ImageReport

_IS_PRIMARY = "local image is primary"
_SPLIT_BRAIN = "split-brain"


def of_site(site: SiteStatus) -> Standing:
    """How the image stands at the site that this status is from."""
    up, _, word = site.state.partition("+")
    text, details = _split(site.description)
    copied = _time(details.get("local_snapshot_timestamp") or details.get("copied_timestamp"))
    if up != "up":
        return Standing(states.UNREPLAYED, _nobody(site), site.last_update, copied)
    if details.get("standing") in states.ALL:
        return Standing(details["standing"],
                        str(details.get("note") or details.get("unverified", "")),
                        _time(details.get("standing_since")), copied, _sync(details))
    if word == "replaying":
        return replace(_of_daemon_s_replay(text, details), copied=copied)
    state, reason = _of_text(word, text)
    return Standing(state, reason, sync=_first_copy(text) if state == states.SYNCING else None)


def of_copy(local: SiteStatus, header: Optional[ImageHeader],
            report: Optional[ImageReport], trouble: str = "") -> Standing:
    """How an image stands here where it is not primary.

    `report` is what one of our own workers said last, if it is one of ours that has the image;
    `trouble` is why none of them replays the pool.
    """
    found = of_site(local)
    if trouble and found.state == states.UNREPLAYED:
        found = replace(found, reason=trouble)
    since, copied = found.since, found.copied
    if report is not None and report.state == found.state:
        since = since or _time(report.since)
        copied = copied or _time(report.copied)
    return replace(found, since=since or _demoted_at(found, header),
                   copied=copied or _newest_copy(header, _SPLIT_BRAIN in local.description))


def of_primary(peers: Sequence[Tuple[SiteStatus, Standing]]) -> Standing:
    """How an image stands here where it is primary, given what each peer site says of its copy."""
    for site, copy in peers:
        if copy.state == states.PRIMARY:
            return Standing(states.SPLIT_BRAIN, f"it is primary at {_name(site)} as well")
        if copy.state == states.SPLIT_BRAIN:
            return Standing(states.SPLIT_BRAIN, f"the copy at {_name(site)} has changes of its own")
    if all(site.last_update is None for site, _ in peers):
        return Standing(states.PRIMARY, "no site tells of a copy of it")
    times = [copy.copied for _, copy in peers if copy.copied is not None]
    return Standing(states.PRIMARY, "; ".join(
        f"{_name(site)}: {copy.state}: {copy.reason}" for site, copy in peers
        if copy.state in (states.UNREPLAYED, states.ERROR)),
        copied=min(times) if len(times) == len(peers) else None)


def _split(description: str) -> Tuple[str, Dict[str, Any]]:
    """The text of a description and what follows it as JSON."""
    text, comma, rest = description.partition(", {")
    if not comma:
        return description, {}
    try:
        details = json.loads("{" + rest)
    except ValueError:
        return description, {}
    return text, details


def _nobody(site: SiteStatus) -> str:
    if site.last_update is None:
        return "no worker and no rbd-mirror daemon replays it"
    return "the worker or rbd-mirror daemon that replayed it is gone"


def _of_text(word: str, text: str) -> Tuple[str, str]:
    """What a daemon means by a state and its text (tools/rbd_mirror, releases 16 to 20)."""
    if word == "error":
        split, _, reason = text.partition(_SPLIT_BRAIN)
        return (states.ERROR, text) if split else (states.SPLIT_BRAIN, reason.lstrip(": "))
    if word == "unknown" and text.startswith("remote image"):
        return states.DEMOTED, text
    if word == "stopped":
        if text == _IS_PRIMARY:
            return states.PRIMARY, ""
        return (states.WAITING if text == "resync requested" else states.STOPPED), text
    return (states.SYNCING if word == "syncing" else states.WAITING), text


def _of_daemon_s_replay(text: str, details: Dict[str, Any]) -> Standing:
    behind = details.get("entries_behind_primary")
    if behind is not None:
        return (Standing(states.SYNCING, f"{behind} journal entries behind") if behind
                else Standing(states.UP_TO_DATE))
    if details.get("replay_state") == "syncing":
        return Standing(states.SYNCING, sync=_sync(details))
    here, there = (details.get(f"{site}_snapshot_timestamp") for site in ("local", "remote"))
    if here is None:
        return Standing(states.WAITING, "the primary has no mirror snapshot to copy yet"
                        if details else text)
    return Standing(states.UP_TO_DATE if here == there else states.SYNCING)


def _sync(details: Dict[str, Any]) -> Optional[SyncProgress]:
    if "syncing_percent" not in details:
        return None
    return SyncProgress(
        percent=float(details["syncing_percent"]),
        snapshot=_time(details.get("syncing_snapshot_timestamp")),
        bytes_done=details.get("syncing_bytes"),
        bytes_total=details.get("syncing_bytes_total"),
        bytes_per_second=details.get("bytes_per_second"),
        seconds_left=details.get("seconds_until_synced"))


def _first_copy(text: str) -> Optional[SyncProgress]:
    """Of a journal-mode image: "bootstrapping, IMAGE_SYNC/COPY_IMAGE 33%"."""
    percent = re.search(r" (\d+)%$", text)
    return SyncProgress(float(percent[1])) if percent else None


def _demoted_at(found: Standing, header: Optional[ImageHeader]) -> Optional[datetime]:
    newest = header.mirror_snapshots[-1] if header and header.mirror_snapshots else None
    if found.state != states.DEMOTED or newest is None:
        return None
    return _time(newest.timestamp_ns / 1e9)


def _newest_copy(header: Optional[ImageHeader], split_brain: bool) -> Optional[datetime]:
    """A little later than the primary was so: when the copy's own snapshot was made.

    In a split-brain what was changed here is no copy.
    """
    for snapshot in reversed(header.mirror_snapshots if header else ()):
        namespace = snapshot.namespace
        if isinstance(namespace, MirrorNamespace) and namespace.complete:
            is_copy = namespace.is_non_primary or not split_brain
            return _time(snapshot.timestamp_ns / 1e9) if is_copy else None
    return None


def _name(site: SiteStatus) -> str:
    return site.site_name or site.mirror_uuid


def _time(epoch: Optional[float]) -> Optional[datetime]:
    return datetime.fromtimestamp(epoch, timezone.utc) if epoch else None
