"""How mirroring of images goes: what the daemons of both sites say about them."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional, Tuple

import rados
import rbd

from .. import states
from ..model import Daemon, Health, ImageStatus, MirrorSnapshot, PoolStatus, SiteStatus, Standing
from ..wire.constants import MirrorImageState, SnapState
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace
from ..worker.protocol import ImageReport
from . import divergence, headers, sites, standing
from .access import explaining, open_image, open_pool
from .divergence import Account
from .forks import marks
from .images import require_mirrored
from .modes import require_enabled
from .peer_probe import LookAtImages
from .peers import list_peers, see_image, sources
from .services import Services
from .specs import ImageSpec, PoolSpec
from .words import IMAGE_MODES, STATUS_STATES, word

_HEALTHY = ("replaying", "stopped")


@dataclass(frozen=True)
class Witnesses:
    """Whom to ask besides the cluster.

    :ivar services: gives the service map's daemons, with their state in the pool of this id
    :ivar reports: what this manager's own workers said last, by global image id
    :ivar trouble: why these workers replay nothing of a pool, by its name
    :ivar look: looks at an image at the peer site
    """

    services: Callable[[int], Services]
    reports: Mapping[str, ImageReport]
    trouble: Mapping[str, str]
    look: LookAtImages


class _Hearsay(NamedTuple):
    """What this manager's own workers said of a pool."""

    reports: Mapping[str, ImageReport]
    trouble: str


def _hearsay(ioctx: "rados.Ioctx", witnesses: Witnesses, spec: PoolSpec) -> _Hearsay:
    with _default_namespace(ioctx):
        paired = bool(sources(list_peers(ioctx, spec)))
    trouble = witnesses.trouble.get(spec.pool, "") if paired else (
        f"pool {spec.pool!r} has no peer to replay it from; add one: "
        f"ceph rbd-mirror pool peer bootstrap import {spec.pool} -i TOKENFILE")
    return _Hearsay(witnesses.reports, trouble)


def pool_status(cluster: "rados.Rados", witnesses: Witnesses, spec: PoolSpec,
                detail: bool = False) -> PoolStatus:
    """Sum up the images of a pool or namespace; with `detail` also each daemon and image.

    Raise InvalidArgument if it is not mirrored.
    """
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        with explaining(f"pool '{spec}': can't read its status"):
            counts = {word(STATUS_STATES, state): count
                      for state, count in sorted(rbd.RBD().mirror_image_status_summary(ioctx))}
            daemons = witnesses.services(ioctx.get_pool_id())
            return PoolStatus(
                daemon_health=daemons.health,
                image_health=image_health(counts),
                states=counts,
                daemons=daemons.daemons if detail else None,
                images=(_all_images(ioctx, daemons, _hearsay(ioctx, witnesses, spec)) if detail
                        else None))


def image_health(states: Iterable[str]) -> Health:
    """Given the states that images are in, return how bad that is."""
    if "error" in states:
        return Health.ERROR
    return Health.OK if all(state in _HEALTHY for state in states) else Health.WARNING


def image_status(cluster: "rados.Rados", witnesses: Witnesses, spec: ImageSpec) -> ImageStatus:
    """Say how mirroring of an image goes.  Raise InvalidArgument if it is not mirrored."""
    with open_pool(cluster, spec.pool_spec) as ioctx, \
            open_image(ioctx, spec, read_only=True) as image, \
            explaining(f"image '{spec}': can't read its status"):
        primary = _is_primary(ioctx, image, spec)
        mode = word(IMAGE_MODES, image.mirror_image_get_mode())
        status = image.mirror_image_get_status()
        instance_id = _instance_id(image) if status.get("up") else None
        daemons = witnesses.services(ioctx.get_pool_id())
        header = headers.read(ioctx, [status["id"]]).get(status["id"])
        found = _told(_Facts(status, mode, primary, header), _peer_names(ioctx),
                      daemons.by_instance(instance_id), _hearsay(ioctx, witnesses, spec.pool_spec))
        if primary and mode == "snapshot" and header is not None:
            found = replace(found, snapshots=_snapshots(header))
        if found.standing.state == states.SPLIT_BRAIN and header is not None:
            return _explained(cluster, ioctx, spec, found, header, witnesses.look)
        return found


def _is_primary(ioctx: "rados.Ioctx", image: "rbd.Image", spec: ImageSpec) -> bool:
    if image.mirror_image_get_info()["state"] == MirrorImageState.CREATING:
        return False
    return bool(require_mirrored(ioctx, image, spec)["primary"])


@dataclass(frozen=True)
class _Facts:
    """What the cluster holds of an image: `status` as python-rbd gives it."""

    status: Mapping[str, Any]
    mode: str
    primary: Optional[bool]
    header: Optional[ImageHeader]


def _told(facts: _Facts, peer_names: Mapping[str, str], daemon: Optional[Daemon],
          hearsay: _Hearsay) -> ImageStatus:
    status, global_id = facts.status, facts.status["info"]["global_id"]
    local, peers = _local(status), _peers(status, peer_names)
    copies: Tuple[Standing, ...] = ()
    if facts.primary:
        copies = tuple(standing.of_site(site) for site in peers)
        here = standing.of_primary(list(zip(peers, copies)))
    else:
        here = standing.of_copy(local, facts.header, hearsay.reports.get(global_id),
                                hearsay.trouble)
    return ImageStatus(
        name=status["name"], id=status["id"], global_id=global_id, mode=facts.mode,
        primary=facts.primary, local=local, daemon=daemon if status.get("up") else None,
        peers=peers, now=datetime.now(timezone.utc), standing=here, copies=copies)


def _explained(cluster: "rados.Rados", ioctx: "rados.Ioctx", spec: ImageSpec, image: ImageStatus,
               header: ImageHeader, look: LookAtImages) -> ImageStatus:
    """With what the two sides of a split-brain have, if it is one still."""
    sight = see_image(ioctx, spec.pool_spec, image.global_id, look)
    site_name = next((site.site_name for site in image.peers if site.site_name), "the peer")
    here = Account(sites.name(cluster), _mirror_uuid(ioctx), image.primary, marks(header),
                   headers.changed_bytes(ioctx, image.id, header))
    if isinstance(sight, str):
        return replace(image, split_brain=divergence.explain(
            str(spec), here, Account(site_name), sight))
    seen = sight.images[image.global_id]
    if image.primary and not seen.primary and image.standing.state not in {
            copy.state for copy in image.copies}:
        # The peer was demoted since it told that it is primary.
        return replace(image, standing=Standing(states.PRIMARY))
    there = Account(sight.site_name or site_name, sight.mirror_uuid, seen.primary, seen.marks,
                    dict(seen.changed))
    return replace(image, split_brain=divergence.explain(str(spec), here, there))


def _all_images(ioctx: "rados.Ioctx", daemons: Services,
                hearsay: _Hearsay) -> Tuple[ImageStatus, ...]:
    info = dict(rbd.RBD().mirror_image_info_list(ioctx))
    instances = dict(rbd.RBD().mirror_image_instance_id_list(ioctx))
    peer_names = _peer_names(ioctx)
    statuses = {status["id"]: status for status in rbd.RBD().mirror_image_status_list(ioctx)}
    primary = {image_id: bool(one["primary"]) for image_id, one in info.items()}
    known = headers.read(ioctx, (id for id in statuses if not primary.get(id)))
    found = [_told(
        _Facts(status, word(IMAGE_MODES, info[id]["mode"]) if id in info else "unknown",
               primary.get(id), known.get(id)),
        peer_names, daemons.by_instance(instances.get(id)), hearsay)
        for id, status in statuses.items()]
    return tuple(sorted(found, key=lambda image: image.name))


def _mirror_uuid(ioctx: "rados.Ioctx") -> str:
    with _default_namespace(ioctx):
        return str(rbd.RBD().mirror_uuid_get(ioctx))


def _instance_id(image: "rbd.Image") -> Optional[str]:
    try:
        return str(image.mirror_image_get_instance_id())
    except rbd.ImageNotFound:  # how python-rbd spells ENOENT
        return None


def _peer_names(ioctx: "rados.Ioctx") -> Dict[str, str]:
    """Site names by mirror uuid.  Peers are entered in the pool's default namespace."""
    with _default_namespace(ioctx):
        return {peer["mirror_uuid"]: peer["site_name"]
                for peer in rbd.RBD().mirror_peer_list(ioctx) if peer["mirror_uuid"]}


@contextmanager
def _default_namespace(ioctx: "rados.Ioctx") -> Iterator[None]:
    namespace = ioctx.get_namespace()
    ioctx.set_namespace("")
    try:
        yield
    finally:
        ioctx.set_namespace(namespace)


def _peers(status: Mapping[str, Any], names: Mapping[str, str]) -> Tuple[SiteStatus, ...]:
    """What the peer sites say; one that says nothing is unknown."""
    said = [_site(remote, names.get(remote["mirror_uuid"], ""))
            for remote in status["remote_statuses"]]
    silent = sorted(set(names) - {site.mirror_uuid for site in said})
    return tuple(said + [_silent(uuid, names[uuid]) for uuid in silent])


def _local(status: Mapping[str, Any]) -> SiteStatus:
    """What our own site says: python-rbd leaves it out while only a peer has said something."""
    return _site(status, "") if "state" in status else _silent("", "")


def _silent(mirror_uuid: str, site_name: str) -> SiteStatus:
    return SiteStatus(mirror_uuid, site_name, "down+unknown", "status not found", None)


def _site(status: Mapping[str, Any], site_name: str) -> SiteStatus:
    return SiteStatus(
        mirror_uuid=status.get("mirror_uuid", ""), site_name=site_name,
        state=("up+" if status["up"] else "down+") + word(STATUS_STATES, status["state"]),
        description=status["description"], last_update=_utc(status["last_update"]))


def _utc(time: datetime) -> Optional[datetime]:
    """python-rbd gives naive UTC, and the epoch for never."""
    aware = time.replace(tzinfo=timezone.utc)
    return aware if aware.timestamp() else None


def _snapshots(header: ImageHeader) -> Tuple[MirrorSnapshot, ...]:
    return tuple(
        MirrorSnapshot(snapshot.id, snapshot.name,
                       demoted=snapshot.namespace.state == SnapState.PRIMARY_DEMOTED,
                       peer_uuids=tuple(sorted(snapshot.namespace.peer_uuids)))
        for snapshot in header.snapshots
        if isinstance(snapshot.namespace, MirrorNamespace) and snapshot.namespace.is_primary)
