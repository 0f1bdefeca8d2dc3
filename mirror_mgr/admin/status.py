"""How mirroring of images goes: what the daemons of both sites say about them."""

from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Tuple

import rados
import rbd

from ..model import Health, ImageStatus, MirrorSnapshot, PoolStatus, SiteStatus
from .access import explaining, open_image, open_pool
from .images import require_mirrored
from .modes import require_enabled
from .services import Services
from .specs import ImageSpec, PoolSpec
from .words import IMAGE_MODES, STATUS_STATES, word

_HEALTHY = ("replaying", "stopped")
_PRIMARY_STATES = (rbd.RBD_SNAP_MIRROR_STATE_PRIMARY, rbd.RBD_SNAP_MIRROR_STATE_PRIMARY_DEMOTED)


ReadServices = Callable[[int], Services]  # by pool id


def pool_status(cluster: "rados.Rados", read_services: ReadServices, spec: PoolSpec,
                detail: bool = False) -> PoolStatus:
    """Sum up the images of a pool or namespace; with `detail` also each daemon and image.

    Raise InvalidArgument if it is not mirrored.
    """
    with open_pool(cluster, spec) as ioctx:
        require_enabled(ioctx, spec)
        with explaining(f"pool '{spec}': can't read its status"):
            states = {word(STATUS_STATES, state): count
                      for state, count in sorted(rbd.RBD().mirror_image_status_summary(ioctx))}
            daemons = read_services(ioctx.get_pool_id())
            return PoolStatus(
                daemon_health=daemons.health,
                image_health=image_health(states),
                states=states,
                daemons=daemons.daemons if detail else None,
                images=_all_images(ioctx, daemons) if detail else None)


def image_health(states: Iterable[str]) -> Health:
    """Given the states that images are in, return how bad that is."""
    if "error" in states:
        return Health.ERROR
    return Health.OK if all(state in _HEALTHY for state in states) else Health.WARNING


def image_status(cluster: "rados.Rados", read_services: ReadServices,
                 spec: ImageSpec) -> ImageStatus:
    """Say how mirroring of an image goes.  Raise InvalidArgument if it is not mirrored."""
    with open_pool(cluster, spec.pool_spec) as ioctx, \
            open_image(ioctx, spec, read_only=True) as image, \
            explaining(f"image '{spec}': can't read its status"):
        primary = bool(require_mirrored(image, spec)["primary"])
        mode = word(IMAGE_MODES, image.mirror_image_get_mode())
        status = image.mirror_image_get_status()
        instance_id = _instance_id(image) if status.get("up") else None
        daemons = read_services(ioctx.get_pool_id())
        return ImageStatus(
            name=spec.name, id=status["id"], global_id=status["info"]["global_id"], mode=mode,
            primary=primary, local=_local(status),
            daemon=daemons.by_instance(instance_id),
            peers=_peers(status, _peer_names(ioctx)),
            snapshots=_snapshots(image) if primary and mode == "snapshot" else ())


def _all_images(ioctx: "rados.Ioctx", daemons: Services) -> Tuple[ImageStatus, ...]:
    info = dict(rbd.RBD().mirror_image_info_list(ioctx))
    instances = dict(rbd.RBD().mirror_image_instance_id_list(ioctx))
    peer_names = _peer_names(ioctx)
    found = [ImageStatus(
        name=status["name"], id=status["id"], global_id=status["info"]["global_id"],
        mode=word(IMAGE_MODES, info[status["id"]]["mode"]) if status["id"] in info else "unknown",
        primary=bool(info[status["id"]]["primary"]) if status["id"] in info else None,
        local=_local(status),
        daemon=(daemons.by_instance(instances.get(status["id"])) if status.get("up") else None),
        peers=_peers(status, peer_names),
    ) for status in rbd.RBD().mirror_image_status_list(ioctx)]
    return tuple(sorted(found, key=lambda image: image.name))


def _instance_id(image: "rbd.Image") -> Optional[str]:
    try:
        return str(image.mirror_image_get_instance_id())
    except rbd.ImageNotFound:  # how python-rbd spells ENOENT
        return None


def _peer_names(ioctx: "rados.Ioctx") -> Dict[str, str]:
    """Site names by mirror uuid.  Peers are entered in the pool's default namespace."""
    namespace = ioctx.get_namespace()
    ioctx.set_namespace("")
    try:
        return {peer["mirror_uuid"]: peer["site_name"]
                for peer in rbd.RBD().mirror_peer_list(ioctx) if peer["mirror_uuid"]}
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


def _snapshots(image: "rbd.Image") -> Tuple[MirrorSnapshot, ...]:
    return tuple(MirrorSnapshot(
        id=snap["id"], name=snap["name"],
        demoted=snap["mirror"]["state"] == rbd.RBD_SNAP_MIRROR_STATE_PRIMARY_DEMOTED,
        peer_uuids=tuple(snap["mirror"]["mirror_peer_uuids"]),
    ) for snap in image.list_snaps()
        if "mirror" in snap and snap["mirror"]["state"] in _PRIMARY_STATES)
