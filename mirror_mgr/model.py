"""What the commands say about mirroring, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Mapping, Optional, Tuple

from .errors import MirrorError


class Health(IntEnum):
    """Of daemons and images as the ``rbd`` CLI sums it up; the greater is the worse."""

    OK = 0
    UNKNOWN = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True)
class HealthItem:
    """Something wrong: a code of `health`, whose matter it is, and a sentence with the cure."""

    code: str
    subject: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What a command did: the news, what failed of many, and what its user may not expect."""

    text: str
    failure: Optional[MirrorError] = None
    note: str = ""


@dataclass(frozen=True)
class Peer:
    """A peer site of a pool.

    :ivar direction: ``rx-only``, ``tx-only`` or ``rx-tx``
    :ivar mirror_uuid: the peer pool's, empty until the peer was in contact
    :ivar mon_host: None unless it was asked for
    """

    uuid: str
    direction: str
    site_name: str
    mirror_uuid: str
    client_name: str
    mon_host: Optional[str] = None


@dataclass(frozen=True)
class PoolInfo:
    """How mirroring is configured.

    :ivar mode: ``disabled``, ``image``, ``pool`` or ``init-only``
    :ivar site_name: None in a namespace, and while mirroring is disabled
    :ivar peers: likewise
    :ivar mirror_uuid: None while mirroring is disabled
    :ivar remote_namespace: likewise, and where librbd mirrors none of another name
    """

    mode: str
    site_name: Optional[str] = None
    peers: Optional[Tuple[Peer, ...]] = None
    mirror_uuid: Optional[str] = None
    remote_namespace: Optional[str] = None


@dataclass(frozen=True)
class Daemon:
    """A worker or an rbd-mirror daemon, as the service map has it.

    :ivar service_id: its global id
    :ivar instance_id: in this pool; empty if it does not report one
    :ivar client_id: its cephx user without ``client.rbd-mirror.``
    :ivar entity: its cephx user, which rbd-mirror daemons do not tell
    """

    service_id: str
    instance_id: str = ""
    client_id: str = ""
    entity: str = ""
    hostname: str = ""
    ceph_version: str = ""
    leader: bool = False
    health: Health = Health.UNKNOWN
    callouts: Tuple[str, ...] = ()

    @property
    def description(self) -> str:
        name = self.client_id or self.service_id
        return f"{name} on {self.hostname}" if self.hostname else name


@dataclass(frozen=True)
class SiteStatus:
    """What one site's daemon says about an image.

    :ivar mirror_uuid: of that site's pool, empty for our own
    :ivar state: like ``up+replaying``
    :ivar last_update: aware, UTC; None if never
    """

    mirror_uuid: str
    site_name: str
    state: str
    description: str
    last_update: Optional[datetime]


@dataclass(frozen=True)
class SyncProgress:
    """How far the copy of a mirror snapshot is.  What the replayer does not tell is None.

    :ivar snapshot: when the primary took it
    :ivar bytes_total: an estimate
    """

    percent: float
    snapshot: Optional[datetime] = None
    bytes_done: Optional[int] = None
    bytes_total: Optional[int] = None
    bytes_per_second: Optional[float] = None
    seconds_left: Optional[float] = None


@dataclass(frozen=True)
class Standing:
    """How an image stands at a site.

    :ivar state: one of `states`
    :ivar reason: for people; empty where the state says it all
    :ivar since: when it came into this state, where that is known
    :ivar copied: when the primary was as the copy is; of a primary image: as its oldest copy is
    :ivar none_since: where `copied` is not known: since when, at least, there is no newer copy
    """

    state: str
    reason: str = ""
    since: Optional[datetime] = None
    copied: Optional[datetime] = None
    sync: Optional[SyncProgress] = None
    none_since: Optional[datetime] = None


@dataclass(frozen=True)
class SplitSide:
    """What one site has in a split-brain.  What can't be seen is None.

    :ivar newest_snapshot: when the newest mirror snapshot of its own was taken
    :ivar changed_bytes: since the two sides were the same, at most
    """

    site_name: str
    primary: Optional[bool]
    newest_snapshot: Optional[datetime]
    changed_bytes: Optional[int]


@dataclass(frozen=True)
class WayOut:
    """The commands, each with its site, that keep what one site has and drop the other's."""

    keep: str
    steps: Tuple[Tuple[str, str], ...]


@dataclass(frozen=True)
class SplitBrain:
    """:ivar diverged: when both sides were the same last; None where no trace of that is left
    :ivar sides: here first
    :ivar peer_error: why the peer site could not be looked at; empty if it was
    """

    diverged: Optional[datetime]
    sides: Tuple[SplitSide, SplitSide]
    ways_out: Tuple[WayOut, ...]
    peer_error: str = ""


@dataclass(frozen=True)
class MirrorSnapshot:
    id: int
    name: str
    demoted: bool
    peer_uuids: Tuple[str, ...]


@dataclass(frozen=True)
class ImageStatus:
    """One mirrored image.

    :ivar id: empty while it has no copy here
    :ivar mode: ``journal`` or ``snapshot``
    :ivar primary: None where that was not looked up
    :ivar daemon: who replays it here
    :ivar now: when this was so, aware, UTC
    :ivar standing: how it stands here
    :ivar copies: how it stands at the `peers`, where it is primary here
    :ivar split_brain: where it is in one and that was looked up
    :ivar snapshots: the primary mirror snapshots, where those were looked up
    """

    name: str
    id: str
    global_id: str
    mode: str
    primary: Optional[bool]
    local: SiteStatus
    daemon: Optional[Daemon]
    peers: Tuple[SiteStatus, ...]
    now: datetime
    standing: Standing
    copies: Tuple[Standing, ...] = ()
    split_brain: Optional[SplitBrain] = None
    snapshots: Tuple[MirrorSnapshot, ...] = ()


@dataclass(frozen=True)
class PoolStatus:
    """A pool or namespace.

    :ivar states: how many images are in which state
    :ivar images: also those of a peer site that have no copy here yet
    :ivar daemons: None unless details were asked for
    """

    daemon_health: Health
    image_health: Health
    states: Mapping[str, int]
    images: Tuple[ImageStatus, ...] = ()
    daemons: Optional[Tuple[Daemon, ...]] = None

    @property
    def health(self) -> Health:
        return max(self.daemon_health, self.image_health)
