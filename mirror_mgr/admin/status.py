"""How mirroring of images goes: what the daemons of both sites say about them."""

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import (
    Callable,
    Collection,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

import rados
import rbd

from .. import states
from ..errors import NotReady
from ..model import Daemon, Health, ImageStatus, MirrorSnapshot, PoolStatus, SiteStatus, Standing
from ..wire import mirror as wire
from ..wire.constants import ImageMode, SnapState
from ..wire.header import ImageHeader
from ..wire.snapshot import MirrorNamespace
from ..worker.protocol import ImageReport
from . import divergence, headers, mirrored, names, sites, standing
from .access import explaining, in_default_namespace, open_image, open_pool
from .divergence import Account
from .forks import marks
from .images import require_mirrored
from .mirrored import Mirrored
from .modes import require_enabled
from .peer_probe import LookAtImages
from .peers import list_peers, see_image, sources
from .services import Services
from .specs import ImageSpec, PoolSpec
from .words import IMAGE_MODES, STATUS_STATES, word

_HEALTHY = ("replaying", "stopped")
# What an image without a copy can be, and how rbd would call it if it listed it.
_WORDS = {states.ERROR: "error", states.SPLIT_BRAIN: "error", states.SYNCING: "syncing",
          states.WAITING: "starting_replay", states.STOPPED: "stopped", states.DEMOTED: "unknown"}
# No description that is meant is longer.
_MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class Witnesses:
    """Whom to ask besides the cluster.

    :ivar services: gives the service map's daemons, with their state in the pool of this id
    :ivar reports: what this manager's own workers said last, by global image id
    :ivar trouble: why these workers replay nothing of a pool or namespace, by its name
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
    with in_default_namespace(ioctx):
        paired = bool(sources(list_peers(ioctx, spec)))
    known = witnesses.trouble
    trouble = (known.get(str(spec)) or known.get(spec.pool, "")) if paired else (
        f"pool {spec.pool!r} has no peer to replay it from; add one: "
        f"ceph rbd-mirror pool peer bootstrap import {spec.pool} -i TOKENFILE")
    return _Hearsay(witnesses.reports, trouble)


def pool_status(cluster: "rados.Rados", witnesses: Witnesses, spec: PoolSpec,
                detail: bool = False) -> PoolStatus:
    """Sum up the images of a pool or namespace; with `detail` also each daemon.

    Raise InvalidArgument if it is not mirrored.
    """
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        with explaining(f"pool '{spec}': can't read its status"):
            counts = {word(STATUS_STATES, state): count
                      for state, count in sorted(rbd.RBD().mirror_image_status_summary(ioctx))}
            daemons = witnesses.services(ioctx.get_pool_id())
            images = _all_images(ioctx, spec, daemons, _hearsay(ioctx, witnesses, spec))
    for image in images:
        if not image.id:  # librbd does not count it
            state = image.local.state.partition("+")[2]
            counts[state] = counts.get(state, 0) + 1
    return PoolStatus(
        daemon_health=daemons.health, image_health=image_health(counts), states=counts,
        images=images, daemons=daemons.daemons if detail else None)


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
        known = mirrored.find(ioctx, str(image.id()), spec.name)
        if known is None:
            names.require_free(spec, witnesses.reports.values())
            require_mirrored(ioctx, image, spec)
            raise NotReady(f"image '{spec}': its mirroring is just being enabled; ask again")
        daemons = witnesses.services(ioctx.get_pool_id())
        instance_id = _instance_id(image) if any(
            one.up and not one.mirror_uuid for one in known.statuses) else None
        found = _told(known, _peers_of(ioctx), daemons.by_instance(instance_id),
                      _hearsay(ioctx, witnesses, spec.pool_spec))
        header = known.header
        if known.primary and known.mode == ImageMode.SNAPSHOT and header is not None:
            found = replace(found, snapshots=_snapshots(header))
        if found.standing.state == states.SPLIT_BRAIN and header is not None:
            return _explained(cluster, ioctx, spec, found, header, witnesses.look)
        return found


@dataclass(frozen=True)
class _Peer:
    """:ivar uuid: of the pool's entry for it"""

    uuid: str
    site_name: str


def _told(image: Mirrored, peers: Mapping[str, _Peer], daemon: Optional[Daemon],
          hearsay: _Hearsay) -> ImageStatus:
    now = datetime.now(timezone.utc)
    local, others = _local(image.statuses), _others(image.statuses, peers)
    copies: Tuple[Standing, ...] = ()
    if image.primary:
        copies = tuple(standing.of_peer(
            site, image.header, peers[site.mirror_uuid].uuid if site.mirror_uuid in peers else "",
            now) for site in others)
        here = standing.of_primary(list(zip(others, copies)))
    else:
        here = standing.of_copy(local, image.header, hearsay.reports.get(image.global_id),
                                hearsay.trouble, now)
    return ImageStatus(
        name=image.name, id=image.id, global_id=image.global_id,
        mode=word(IMAGE_MODES, image.mode),
        primary=image.primary, local=local,
        daemon=daemon if local.state.startswith("up+") else None,
        peers=others, now=now, standing=here, copies=copies)


def _explained(cluster: "rados.Rados", ioctx: "rados.Ioctx", spec: ImageSpec, image: ImageStatus,
               header: ImageHeader, look: LookAtImages) -> ImageStatus:
    """With what the two sides of a split-brain have, if it is one still."""
    sight = see_image(ioctx, spec.pool_spec, image.global_id, look)
    site_name = next((site.site_name for site in image.peers if site.site_name), "the peer")
    here = Account(sites.name(cluster), sites.mirror_uuid(ioctx), image.primary, marks(header),
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
                    dict(seen.changed), seen.spec)
    return replace(image, split_brain=divergence.explain(str(spec), here, there))


def _all_images(ioctx: "rados.Ioctx", spec: PoolSpec, daemons: Services,
                hearsay: _Hearsay) -> Tuple[ImageStatus, ...]:
    instances = dict(rbd.RBD().mirror_image_instance_id_list(ioctx))
    peers = _peers_of(ioctx)
    here = mirrored.read(ioctx)
    found = [_told(image, peers, daemons.by_instance(instances.get(image.id)), hearsay)
             for image in here]
    found += _without_copy(spec, hearsay.reports.values(), {image.global_id for image in here})
    return tuple(sorted(found, key=lambda image: image.name))


def _without_copy(spec: PoolSpec, reports: Iterable[ImageReport],
                  here: Collection[str]) -> List[ImageStatus]:
    """Images of the peer that our own workers have no copy of yet, by what they say."""
    found = []
    for report in reports:
        pool, _, name = report.spec.rpartition("/")
        called = _WORDS.get(report.state)
        if called is not None and pool == str(spec) and report.global_id not in here:
            found.append(ImageStatus(
                name=name, id="", global_id=report.global_id, mode="unknown", primary=False,
                local=SiteStatus("", "", f"up+{called}", report.reason, None), daemon=None,
                peers=(), now=datetime.now(timezone.utc), standing=standing.of_report(report)))
    return found


def _instance_id(image: "rbd.Image") -> Optional[str]:
    try:
        return str(image.mirror_image_get_instance_id())
    except rbd.Error:  # no status, or its writer is gone by now
        return None


def _peers_of(ioctx: "rados.Ioctx") -> Dict[str, _Peer]:
    """By mirror uuid.  Peers are entered in the pool's default namespace."""
    with in_default_namespace(ioctx):
        return {peer["mirror_uuid"]: _Peer(peer["uuid"], peer["site_name"])
                for peer in rbd.RBD().mirror_peer_list(ioctx) if peer["mirror_uuid"]}


def _others(statuses: Iterable[wire.SiteStatus],
            peers: Mapping[str, _Peer]) -> Tuple[SiteStatus, ...]:
    """What the peer sites say; one that says nothing is unknown."""
    names = {mirror_uuid: peer.site_name for mirror_uuid, peer in peers.items()}
    said = [_site(one, names.get(one.mirror_uuid, "")) for one in statuses if one.mirror_uuid]
    silent = sorted(set(names) - {site.mirror_uuid for site in said})
    return tuple(said + [_silent(uuid, names[uuid]) for uuid in silent])


def _local(statuses: Iterable[wire.SiteStatus]) -> SiteStatus:
    """What our own site says."""
    return next((_site(one, "") for one in statuses if not one.mirror_uuid), _silent("", ""))


def _silent(mirror_uuid: str, site_name: str) -> SiteStatus:
    return SiteStatus(mirror_uuid, site_name, "down+unknown", "status not found", None)


def _site(said: wire.SiteStatus, site_name: str) -> SiteStatus:
    return SiteStatus(
        mirror_uuid=said.mirror_uuid, site_name=site_name,
        state=("up+" if said.up else "down+") + said.state.name.lower(),
        description=standing.line(said.description, _MOST_CHARACTERS),
        last_update=_utc(said.last_update_ns))


def _utc(nanoseconds: int) -> Optional[datetime]:
    """0 stands for never."""
    seconds = nanoseconds // 10**9
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None


def _snapshots(header: ImageHeader) -> Tuple[MirrorSnapshot, ...]:
    return tuple(
        MirrorSnapshot(snapshot.id, snapshot.name,
                       demoted=snapshot.namespace.state == SnapState.PRIMARY_DEMOTED,
                       peer_uuids=tuple(sorted(snapshot.namespace.peer_uuids)))
        for snapshot in header.snapshots
        if isinstance(snapshot.namespace, MirrorNamespace) and snapshot.namespace.is_primary)
