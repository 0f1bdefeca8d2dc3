"""How an image stands, in the words of `states`, from what its sites say of it.  Pure.

Workers write the word into the status in RADOS; of what an rbd-mirror daemon writes it follows, so
that it is the same whoever replays.
"""

import json
import math
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Optional, Sequence, Tuple

from .. import states
from ..model import SiteStatus, Standing, SyncProgress
from ..wire.constants import SnapState
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace
from ..worker.protocol import ImageReport, SyncReport

IS_PRIMARY = "local image is primary"
_SPLIT_BRAIN = "split-brain"
_DEMOTED = ("remote image demoted", "remote image is not primary")
_NOT_YET = "no worker and no rbd-mirror daemon has picked it up yet"
# So long nobody has to have picked up an image that was enabled.
_SETTLES = timedelta(seconds=30)
# utime_t goes no further.
_LAST_SECOND = 1 << 32
_MOST_BYTES = 1 << 63
_MOST_CHARACTERS = 500


def of_site(site: SiteStatus, fresh: bool = False) -> Standing:
    """How the image stands at the site that this status is from.

    `fresh`: it is mirrored since so short a time that nobody need have seen it yet.
    """
    up, _, word = site.state.partition("+")
    text, details = _split(site.description)
    copied = _time(details.get("local_snapshot_timestamp")) or _time(
        details.get("copied_timestamp"))
    if site.last_update is None and fresh:
        return Standing(states.WAITING, _NOT_YET)
    if up != "up":
        return Standing(states.UNREPLAYED, _nobody(site), site.last_update, copied)
    if details.get("standing") in states.ALL:
        reason = _text(details.get("note")) or _text(details.get("unverified"))
        if details["standing"] == states.SYNCING and not reason:
            reason = _behind(details)
        return Standing(details["standing"], reason, _time(details.get("standing_since")), copied,
                        _sync(details))
    if word == "replaying":
        return replace(_of_daemon_s_replay(text, details), copied=copied)
    state, reason = _of_text(word, text)
    return Standing(state, _text(reason),
                    sync=_first_copy(text) if state == states.SYNCING else None)


def of_copy(local: SiteStatus, header: Optional[ImageHeader], report: Optional[ImageReport],
            trouble: str = "", now: Optional[datetime] = None) -> Standing:
    """How an image stands here where it is not primary.

    `report` is what one of our own workers said last, if it is one of ours that has the image;
    `trouble` is why none of them replays the pool.
    """
    found = of_site(local, _is_fresh(header, now))
    if report is not None and local.last_update is None:
        found = of_report(report)
    elif trouble and found.state == states.UNREPLAYED:
        found = replace(found, reason=trouble)
    since, copied = found.since, found.copied
    if report is not None and report.state == found.state:
        since = since or _time(report.since)
        copied = _time(report.copied) or copied
    since = since or _demoted_at(found, header)
    copied = copied or _newest_copy(header, _SPLIT_BRAIN in local.description)
    return replace(found, reason=_with_resync(found, header), since=since, copied=copied,
                   none_since=None if copied else since)


def of_report(report: ImageReport) -> Standing:
    """How an image stands by what one of our own workers says of it."""
    state = report.state if report.state in states.ALL else states.WAITING
    since, copied = _time(report.since), _time(report.copied)
    return Standing(state, report.reason, since, copied,
                    _reported_sync(report.sync) if report.sync else None,
                    none_since=None if copied else since)


def of_peer(site: SiteStatus, header: Optional[ImageHeader], peer_uuid: str,
            now: datetime) -> Standing:
    """How the copy stands that a peer keeps of an image that is primary here.

    `peer_uuid` is the peer's entry in the pool, by which mirror snapshots wait for it.
    """
    found = of_site(site, _is_fresh(header, now))
    if found.copied is not None:
        return found
    return replace(found, none_since=_waits_since(header, peer_uuid))


def of_primary(peers: Sequence[Tuple[SiteStatus, Standing]]) -> Standing:
    """How an image stands here where it is primary, given what each peer site says of its copy."""
    copies = [copy for _, copy in peers]
    times = [copy.copied for copy in copies if copy.copied is not None]
    copied = min(times) if times and len(times) == len(copies) else None
    lacking = [copy.copied or copy.none_since for copy in copies]
    found = Standing(states.PRIMARY, copied=copied, none_since=None if copied else min(
        (time for time in lacking if time is not None), default=None))
    for site, copy in peers:
        if copy.state == states.PRIMARY:
            return replace(found, state=states.SPLIT_BRAIN,
                           reason=f"it is primary at {_name(site)} as well")
        if copy.state == states.SPLIT_BRAIN:
            return replace(found, state=states.SPLIT_BRAIN,
                           reason=f"the copy at {_name(site)} has changes of its own")
    if all(site.last_update is None for site, _ in peers):
        waits = any(copy.state == states.WAITING for copy in copies)
        return replace(found, reason=_NOT_YET if waits else "no site tells of a copy of it")
    return replace(found, reason="; ".join(
        f"{_name(site)}: {copy.state}: {copy.reason}" for site, copy in peers
        if copy.state in (states.UNREPLAYED, states.ERROR)))


def _split(description: str) -> Tuple[str, Dict[str, Any]]:
    """The text of a description and what follows it as JSON."""
    text, comma, rest = description.partition(", {")
    if not comma:
        return description, {}
    try:
        details = json.loads("{" + rest)
    except (ValueError, RecursionError):
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
    if word == "unknown" and text in _DEMOTED:
        return states.DEMOTED, text
    if word == "stopped":
        if text == IS_PRIMARY:
            return states.PRIMARY, ""
        return (states.WAITING if text == "resync requested" else states.STOPPED), text
    return (states.SYNCING if word == "syncing" else states.WAITING), text


def _of_daemon_s_replay(text: str, details: Dict[str, Any]) -> Standing:
    if _number(details.get("entries_behind_primary")) is not None:
        reason = _behind(details)
        return Standing(states.SYNCING if reason else states.UP_TO_DATE, reason)
    if details.get("replay_state") == "syncing":
        return Standing(states.SYNCING, sync=_sync(details))
    here, there = (_number(details.get(f"{site}_snapshot_timestamp"))
                   for site in ("local", "remote"))
    if here is None:
        return Standing(states.WAITING, "the primary has no mirror snapshot to copy yet"
                        if details else text)
    return Standing(states.UP_TO_DATE if here == there else states.SYNCING)


def _behind(details: Dict[str, Any]) -> str:
    """Of a journal."""
    entries = _number(details.get("entries_behind_primary"))
    return states.entries_behind(int(entries)) if entries else ""


def _sync(details: Dict[str, Any]) -> Optional[SyncProgress]:
    percent = _number(details.get("syncing_percent"))
    if percent is None:
        return None
    return SyncProgress(
        percent=min(100.0, float(percent)),
        snapshot=_time(details.get("syncing_snapshot_timestamp")),
        bytes_done=_whole(details.get("syncing_bytes")),
        bytes_total=_whole(details.get("syncing_bytes_total")),
        bytes_per_second=_number(details.get("bytes_per_second")),
        seconds_left=_number(details.get("seconds_until_synced")))


def _reported_sync(sync: SyncReport) -> SyncProgress:
    return SyncProgress(sync.percent, None, sync.bytes_done, sync.bytes_total,
                        sync.bytes_per_second, sync.seconds_left)


def _first_copy(text: str) -> Optional[SyncProgress]:
    """Of a journal-mode image: "bootstrapping, IMAGE_SYNC/COPY_IMAGE 33%"."""
    percent = re.search(r" (\d+)%$", text)
    return SyncProgress(min(100.0, float(percent[1]))) if percent else None


def _is_fresh(header: Optional[ImageHeader], now: Optional[datetime]) -> bool:
    """Whether mirroring of an image by snapshots began just now."""
    if header is None or now is None or not header.mirror_snapshots:
        return False
    first = _time(header.mirror_snapshots[0].timestamp_ns / 1e9)
    return first is not None and now - first < _SETTLES


def _waits_since(header: Optional[ImageHeader], peer_uuid: str) -> Optional[datetime]:
    """When the oldest snapshot was made that the peer is not done with.

    That is the one that its copy has whole; or the first, where it has none.
    """
    for snapshot in header.mirror_snapshots if header else ():
        namespace = snapshot.namespace
        if (isinstance(namespace, MirrorNamespace) and namespace.state == SnapState.PRIMARY
                and namespace.complete and peer_uuid in namespace.peer_uuids):
            return _time(snapshot.timestamp_ns / 1e9)
    return None


def _with_resync(found: Standing, header: Optional[ImageHeader]) -> str:
    """The reason, and whether a resync was asked for that nobody has begun yet."""
    if header is None or found.state == states.PRIMARY or not any(
            key.startswith(".rbd_mirror.") and b"resync_requested" in value
            for key, value in header.metadata.items()):
        return found.reason
    return "; ".join(filter(None, (
        "a resync was requested, which begins once a worker sees a primary to copy from",
        found.reason)))


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


def _text(value: Any) -> str:
    return line(value, _MOST_CHARACTERS) if isinstance(value, str) else ""


def line(text: str, most: int) -> str:
    """Given what a site wrote, which may be anything, return it as one line, cut to `most`."""
    whole = text[:most].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in whole)


def _number(value: Any) -> Optional[float]:
    """A number that a site wrote; None for what can't be one that is meant."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value < _MOST_BYTES and math.isfinite(value) else None


def _whole(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and _number(value) is not None else None


def _time(epoch: Any) -> Optional[datetime]:
    seconds = _number(epoch)
    if not seconds or seconds >= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc)
