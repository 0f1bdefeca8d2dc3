"""What is told of an image: the status that the C++ daemon writes, and ours on the pipe.  Pure."""

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

from ..wire.constants import StatusState


@dataclass(frozen=True)
class ImageStatus:
    """`state` and `text` as in `rbd mirror image status`; `details` follow the text as JSON."""

    state: StatusState
    text: str
    details: Dict[str, Any] = field(default_factory=dict, hash=False)
    split_brain: bool = False

    @property
    def description(self) -> str:
        if not self.details:
            return self.text
        return f"{self.text}, {json.dumps(self.details, separators=(',', ':'), sort_keys=True)}"


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


def starting() -> ImageStatus:
    return ImageStatus(StatusState.STARTING_REPLAY, "starting replay")


def stopped(reason: str) -> ImageStatus:
    """A demoted remote image leaves the state unknown, as with the daemon."""
    state = StatusState.UNKNOWN if reason.startswith("remote image") else StatusState.STOPPED
    return ImageStatus(state, reason)


def failed(reason: str, split_brain: bool = False) -> ImageStatus:
    return ImageStatus(StatusState.ERROR, reason, split_brain=split_brain)


def replaying(history: SyncHistory, remote_ns: int, local_ns: Optional[int],
              inherited: bool, syncing_percent: Optional[float] = None,
              syncing_ns: Optional[int] = None, note: str = "") -> ImageStatus:
    """Given times of snapshots (ns since the epoch, by the primary's clock), return the status.

    `local_ns` is the one that the copy has whole, None before the first.  `inherited` says that
    what a daemon wrote is beneath the copy.  `syncing_percent` is None when nothing is copied.
    """
    details: Dict[str, Any] = {
        "bytes_per_second": _rounded(history.bytes_per_second),
        "bytes_per_snapshot": _rounded(history.bytes_per_snapshot),
        "remote_snapshot_timestamp": remote_ns // 10**9,
        "replay_state": "idle" if syncing_percent is None else "syncing",
    }
    if history.snapshots:
        details["last_snapshot_bytes"] = history.last_bytes
        details["last_snapshot_sync_seconds"] = round(history.last_seconds)
    if local_ns is not None:
        details["local_snapshot_timestamp"] = local_ns // 10**9
    if syncing_percent is not None:
        details["syncing_percent"] = int(syncing_percent)
        if syncing_ns is not None:
            details["syncing_snapshot_timestamp"] = syncing_ns // 10**9
    if inherited:
        details["unverified"] = ("an rbd-mirror daemon wrote to this copy and may have lost "
                                 "discards; resync to be sure")
    if note:
        details["note"] = note
    return ImageStatus(StatusState.REPLAYING, "replaying", details)


def _rounded(value: float) -> float:
    return round(value, 2)


