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
class Outcome:
    """Of what was done to many: the news, and what failed, if anything did."""

    text: str
    failure: Optional[MirrorError] = None


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

    :ivar mode: ``disabled``, ``image`` or ``pool``
    :ivar site_name: None in a namespace, and while mirroring is disabled
    :ivar peers: likewise
    """

    mode: str
    site_name: Optional[str] = None
    peers: Optional[Tuple[Peer, ...]] = None


@dataclass(frozen=True)
class Daemon:
    """A worker or an rbd-mirror daemon, as the service map has it.

    :ivar service_id: its global id
    :ivar instance_id: in this pool; empty if it does not report one
    :ivar client_id: its cephx user without ``client.rbd-mirror.``
    """

    service_id: str
    instance_id: str = ""
    client_id: str = ""
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
class MirrorSnapshot:
    id: int
    name: str
    demoted: bool
    peer_uuids: Tuple[str, ...]


@dataclass(frozen=True)
class ImageStatus:
    """One mirrored image.

    :ivar mode: ``journal`` or ``snapshot``
    :ivar primary: None where that was not looked up
    :ivar daemon: who replays it here
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
    snapshots: Tuple[MirrorSnapshot, ...] = ()


@dataclass(frozen=True)
class PoolStatus:
    """A pool or namespace.

    :ivar states: how many images are in which state
    :ivar daemons: None unless details were asked for
    :ivar images: likewise
    """

    daemon_health: Health
    image_health: Health
    states: Mapping[str, int]
    daemons: Optional[Tuple[Daemon, ...]] = None
    images: Optional[Tuple[ImageStatus, ...]] = None

    @property
    def health(self) -> Health:
        return max(self.daemon_health, self.image_health)
