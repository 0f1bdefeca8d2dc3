"""What is told of an image: the status that the C++ daemon writes, and ours on the pipe.  Pure."""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, Optional, Tuple

from .. import states
from ..oneline import one_line
from ..replay.journal.replay import Report
from ..replay.journal.tags import entries_behind
from ..wire.constants import StatusState
from ..wire.journal import IMAGE_CLIENT, JournalHeader, ObjectPosition

_RATE_SECONDS = 10.0
_UNVERIFIED = ("an rbd-mirror daemon wrote to this copy and may have lost discards; "
               "resync to be sure")


@dataclass(frozen=True)
class ImageStatus:
    """One image's.

    :ivar state: as in `rbd mirror image status`
    :ivar text: likewise; `details` follow it as JSON
    :ivar standing: one of `states`
    :ivar reason: why it stands so, for people; may be empty
    """

    state: StatusState
    text: str
    standing: str
    reason: str = ""
    details: Dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def description(self) -> str:
        text = one_line(self.text)
        if not self.details:
            return text
        return f"{text}, {json.dumps(self.details, separators=(',', ':'), sort_keys=True)}"


@dataclass
class SyncHistory:
    """What the last syncs of an image moved, for rates and averages."""

    snapshots: int = 0
    total_bytes: int = 0
    total_seconds: float = 0.0
    last_bytes: int = 0
    last_seconds: float = 0.0

    def add(self, copied: int, seconds: float) -> None:
        self.snapshots += 1
        self.total_bytes += copied
        self.total_seconds += seconds
        self.last_bytes, self.last_seconds = copied, seconds

    @property
    def bytes_per_second(self) -> float:
        return self.last_bytes / self.last_seconds if self.last_seconds else 0.0

    @property
    def bytes_per_snapshot(self) -> float:
        return self.total_bytes / self.snapshots if self.snapshots else 0.0


@dataclass(frozen=True)
class Syncing:
    """How far the sync of one mirror snapshot is.

    :ivar snapshot_id: at the primary
    :ivar snapshot_ns: when that was taken, by the primary's clock, since the epoch
    :ivar percent: of the objects that may differ
    :ivar bytes_total: if the rest is like what was copied so far; None before anything was
    :ivar bytes_per_second: of the last seconds
    :ivar seconds_left: None while there is nothing to tell it from
    """

    snapshot_id: int
    snapshot_ns: int
    percent: float = 0.0
    bytes_done: int = 0
    bytes_total: Optional[int] = None
    bytes_per_second: float = 0.0
    seconds_left: Optional[float] = None


class Meter:
    """Measures one sync: it is told, now and then, how much is done."""

    def __init__(self, snapshot_id: int, snapshot_ns: int, now: float) -> None:
        self._snapshot = snapshot_id, snapshot_ns
        self._samples: Deque[Tuple[float, int, int]] = deque([(now, 0, 0)])

    def measure(self, now: float, objects: int, objects_total: int, copied: int) -> Syncing:
        """Given what is done at `now`, say how far it is.

        `now` is in seconds, of a clock that never goes back; `copied` is in bytes.
        """
        self._samples.append((now, objects, copied))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _RATE_SECONDS:
            self._samples.popleft()
        since, objects_then, copied_then = self._samples[0]
        seconds = now - since
        left = objects_total - objects
        pace = (objects - objects_then) / seconds if seconds > 0 else 0.0
        return Syncing(
            *self._snapshot,
            percent=100.0 * objects / objects_total if objects_total else 100.0,
            bytes_done=copied,
            bytes_total=copied + copied * left // objects if objects else None,
            bytes_per_second=(copied - copied_then) / seconds if seconds > 0 else 0.0,
            seconds_left=left / pace if pace else None)


def starting() -> ImageStatus:
    return ImageStatus(StatusState.STARTING_REPLAY, "starting replay", states.WAITING,
                       "replay is starting")


def primary(split: str = "") -> ImageStatus:
    """Of an image that is primary here; `split` says what makes it one half of a split-brain."""
    state = states.SPLIT_BRAIN if split else states.PRIMARY
    return ImageStatus(StatusState.STOPPED, "local image is primary", state, split)


PRIMARY_AT_BOTH = "it is primary at both sites"
HAS_ITS_OWN_CHANGES = "the other site has changes that this one never received"


def demoted(reason: str) -> ImageStatus:
    """Of an image that is primary nowhere.  The daemon leaves the state unknown then."""
    return ImageStatus(StatusState.UNKNOWN, reason, states.DEMOTED, reason)


def no_primary() -> ImageStatus:
    """Of an image that is primary nowhere and has no copy here."""
    return ImageStatus(StatusState.UNKNOWN, "remote image is not primary", states.WAITING,
                       "the image is primary at no site, so no copy of it is made: promote it "
                       "where it is, or disable its mirroring there")


def primary_gone(since: float, until: float, held: bool, pool: str) -> ImageStatus:
    """Of a copy whose primary is no longer mirrored; times are seconds since the epoch.

    `held`: many of the `pool` are, so that they wait for an administrator.
    """
    if held:
        state, standing = StatusState.ERROR, states.ERROR
        reason = (f"its primary is missing since {_utc(since)}, together with many others, so the "
                  f"copy is kept until {_utc(until)}; if they were removed on purpose run: "
                  f"ceph rbd-mirror pool confirm-removal {pool}")
    else:
        state, standing = StatusState.UNKNOWN, states.WAITING
        reason = (f"its primary is missing since {_utc(since)}; if it stays so, the copy moves to "
                  f"the trash at {_utc(until)}")
    return ImageStatus(state, "remote image no longer exists", standing, reason, {
        "note": reason, "standing": standing, "standing_since": int(since)})


def recorded_later(why: str) -> ImageStatus:
    """Of a copy whose primary is gone, as a later mirror_mgr has noted: `why` it is not read."""
    return _with_note(StatusState.ERROR, "remote image no longer exists", states.ERROR,
                      f"its primary is missing, and the copy is kept: {why}")


def nobodys(demoted: bool) -> ImageStatus:
    """Of an image that is not primary, is no copy of the peer's pool, and is not mirrored there.

    It may be all that is left, and stays.
    """
    if demoted:
        return _with_note(
            StatusState.UNKNOWN, "remote image is not primary", states.DEMOTED,
            "its mirroring has ended at the other site; promote it here to use it")
    return _with_note(
        StatusState.ERROR, "local image linked to unknown peer", states.ERROR,
        "it is a copy of an image in a pool that is no longer this pool's peer; to use it promote "
        "it with --force, or else disable its mirroring with --force and remove it")


def _with_note(state: StatusState, text: str, standing: str, reason: str) -> ImageStatus:
    """With the reason where commands find it too."""
    return ImageStatus(state, text, standing, reason, {"note": reason, "standing": standing})


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def waiting(reason: str) -> ImageStatus:
    """Nothing is copied before something else is there."""
    return ImageStatus(StatusState.STARTING_REPLAY, reason, states.WAITING, reason)


def stopped(reason: str) -> ImageStatus:
    return ImageStatus(StatusState.STOPPED, reason, states.STOPPED, reason)


def stopped_by_hand() -> ImageStatus:
    return ImageStatus(StatusState.STOPPED, "stopped", states.STOPPED,
                       "it was stopped on its worker's admin socket, until it is started there")


def resyncing() -> ImageStatus:
    return ImageStatus(StatusState.STOPPED, "resync requested", states.WAITING,
                       "a resync was requested: the copy is made anew")


def failed(reason: str, split_brain: bool = False) -> ImageStatus:
    return ImageStatus(StatusState.ERROR, reason,
                       states.SPLIT_BRAIN if split_brain else states.ERROR, reason)


def disconnected(cure: str) -> ImageStatus:
    """The primary keeps its journal for us no longer, as we were too far behind."""
    return ImageStatus(StatusState.ERROR, "disconnected", states.ERROR,
                       "the copy fell so far behind that the primary keeps its journal for it "
                       f"no longer; {cure}")


def bootstrapping(step: str, percent: Optional[float] = None) -> ImageStatus:
    """The first copy of a journal-mode image is made; `step` as the daemon calls it."""
    text = f"bootstrapping, {step}"
    if percent is not None:
        text += f" {int(percent)}%"
    return ImageStatus(StatusState.SYNCING, text, states.SYNCING)


def replaying_journal(header: JournalHeader, report: Report, rates: Tuple[float, float],
                      copied_ns: Optional[int], fresh: bool, note: str = "") -> ImageStatus:
    """Of a journal-mode image; `header` is its primary's journal's.

    `rates` are entries and bytes a second.  `copied_ns` is when the primary was as the copy is, by
    its own clock; `fresh`: just now.  `note` says what is not as at the primary all the same.
    """
    primary = header.front(IMAGE_CLIENT)
    behind = entries_behind(primary, report.position, header.image_tags)
    entries, size = _rounded(rates[0]), _rounded(rates[1])
    details: Dict[str, Any] = {
        "bytes_per_second": size,
        "entries_behind_primary": behind,
        "entries_per_second": entries,
        "non_primary_position": _position(report.position),
        "primary_position": _position(primary),
    }
    if behind and entries:
        details["seconds_until_synced"] = int(behind / entries)
    if copied_ns is not None:
        details["copied_timestamp"] = _rounded(copied_ns / 10**9)
    if note:
        details["note"] = note
        return ImageStatus(StatusState.REPLAYING, "replaying", states.WAITING, note, details)
    if fresh:
        return ImageStatus(StatusState.REPLAYING, "replaying", states.UP_TO_DATE, "", details)
    reason = states.entries_behind(behind) if behind else ""
    return ImageStatus(StatusState.REPLAYING, "replaying", states.SYNCING, reason, details)


def _position(position: Optional[ObjectPosition]) -> Dict[str, int]:
    return {} if position is None else dict(position._asdict())


def replaying(history: SyncHistory, remote_ns: int, local_ns: Optional[int],
              inherited: bool, syncing: Optional[Syncing] = None, note: str = "") -> ImageStatus:
    """Given times of snapshots (ns since the epoch, by the primary's clock), return the status.

    `local_ns` is the one that the copy has whole, None before the first.  `inherited` says that
    what a daemon wrote is beneath the copy.  `syncing` is None when nothing is copied; `note` says
    why it can't be.
    """
    details: Dict[str, Any] = {
        "bytes_per_second": _rounded(history.bytes_per_second),
        "bytes_per_snapshot": _rounded(history.bytes_per_snapshot),
        "remote_snapshot_timestamp": remote_ns // 10**9,
        "replay_state": "idle" if syncing is None else "syncing",
    }
    if history.snapshots:
        details["last_snapshot_bytes"] = history.last_bytes
        details["last_snapshot_sync_seconds"] = round(history.last_seconds)
    if local_ns is not None:
        details["local_snapshot_timestamp"] = local_ns // 10**9
    if syncing is not None:
        details.update(_progress(syncing))
    if inherited:
        details["unverified"] = _UNVERIFIED
    if note:
        details["note"] = note
    standing, reason = _replay_standing(remote_ns, local_ns, syncing, note)
    reason = reason or (_UNVERIFIED if inherited else "")
    return ImageStatus(StatusState.REPLAYING, "replaying", standing, reason, details)


def _replay_standing(remote_ns: int, local_ns: Optional[int], syncing: Optional[Syncing],
                     note: str) -> Tuple[str, str]:
    if note:
        return states.WAITING, note
    if syncing is not None or (local_ns is not None and local_ns < remote_ns):
        return states.SYNCING, ""
    if local_ns is None:
        return states.WAITING, "the primary has no mirror snapshot to copy yet"
    return states.UP_TO_DATE, ""


def _progress(syncing: Syncing) -> Dict[str, Any]:
    """The daemon's keys, and how many bytes it is about."""
    found: Dict[str, Any] = {
        "syncing_percent": int(syncing.percent),
        "syncing_snapshot_timestamp": syncing.snapshot_ns // 10**9,
        "syncing_bytes": syncing.bytes_done,
        "bytes_per_second": _rounded(syncing.bytes_per_second),
    }
    if syncing.bytes_total is not None:
        found["syncing_bytes_total"] = syncing.bytes_total
    if syncing.seconds_left is not None:
        found["seconds_until_synced"] = round(syncing.seconds_left)
    return found


def _rounded(value: float) -> float:
    return round(value, 2)
