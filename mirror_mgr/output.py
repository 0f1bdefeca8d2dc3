"""Renders what the commands say: for people as the ``rbd`` CLI does, for programs as JSON.

JSON has every key of what ``rbd mirror ... --format json`` prints, with the same values, and ours
beside them, which README.rst explains.  Ours are ISO 8601 in UTC for times and seconds for ages.
"""

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Sequence

from . import states
from .errors import InvalidArgument
from .model import (
    Daemon,
    ImageStatus,
    MirrorSnapshot,
    Peer,
    PoolInfo,
    PoolStatus,
    SiteStatus,
    SplitBrain,
    SplitSide,
    Standing,
    SyncProgress,
    WayOut,
)
from .oneline import one_line
from .supervisor.model import WorkerView
from .worker.protocol import PoolReport

PLAIN, JSON, JSON_PRETTY = "plain", "json", "json-pretty"


def to_json(value: Any, format: str) -> str:
    """Given `JSON` or `JSON_PRETTY`, return the text."""
    if format == JSON_PRETTY:
        return json.dumps(value, indent=4)
    return json.dumps(value, separators=(",", ":"))


def check_format(format: Optional[str]) -> str:
    """Return the format that was asked for; raise InvalidArgument for one that there is not."""
    if format in (None, ""):
        return PLAIN
    if format not in (PLAIN, JSON, JSON_PRETTY):
        raise InvalidArgument(f"format {format!r}: must be {PLAIN}, {JSON} or {JSON_PRETTY}")
    return str(format)


def local_time(time: Optional[datetime]) -> str:
    """As ``rbd`` prints a time: in the manager's time zone; empty for never."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


# Pool info

def pool_info_json(info: PoolInfo) -> Dict[str, Any]:
    found: Dict[str, Any] = {"mode": info.mode}
    if info.site_name is not None:
        found["site_name"] = info.site_name
    if info.mirror_uuid is not None:
        found["mirror_uuid"] = info.mirror_uuid
    if info.remote_namespace is not None:
        found["remote_namespace"] = info.remote_namespace
    if info.peers is not None:
        found["peers"] = [_peer_json(peer) for peer in info.peers]
    return found


def _peer_json(peer: Peer) -> Dict[str, Any]:
    found = {"uuid": peer.uuid, "direction": peer.direction, "site_name": peer.site_name,
             "mirror_uuid": peer.mirror_uuid, "client_name": peer.client_name}
    if peer.mon_host is not None:
        found["mon_host"] = peer.mon_host
    return found


def pool_info_plain(info: PoolInfo) -> str:
    lines = [f"Mode: {info.mode}"]
    if info.site_name is not None:
        lines.append(f"Site Name: {info.site_name}")
    if info.remote_namespace is not None:
        lines += [f"Mirror UUID: {info.mirror_uuid}", f"Remote Namespace: {info.remote_namespace}"]
    if info.peers is not None:
        lines += ["", "Peer Sites: " + ("" if info.peers else "none")]
        for peer in info.peers:
            lines += [""] + _peer_lines(peer)
    return "\n".join(lines)


def _peer_lines(peer: Peer) -> List[str]:
    lines = [f"UUID: {peer.uuid}", f"Name: {peer.site_name}"]
    if peer.direction != "rx-only" or peer.mirror_uuid:
        lines.append(f"Mirror UUID: {peer.mirror_uuid}")
    lines.append(f"Direction: {peer.direction}")
    if peer.direction != "tx-only" or peer.client_name:
        lines.append(f"Client: {peer.client_name}")
    if peer.mon_host is not None:
        lines.append(f"Mon Host: {peer.mon_host}")
    return lines


# Pool status

def pool_status_json(status: PoolStatus) -> Dict[str, Any]:
    found: Dict[str, Any] = {"summary": {
        "health": status.health.name,
        "daemon_health": status.daemon_health.name,
        "image_health": status.image_health.name,
        "states": dict(status.states),
        "standings": _standings(status.images),
        "oldest_copy_age_seconds": _least_age(_oldest(status.images)),
        "copies_of_unknown_age": _unknown(status.images),
    }}
    if status.daemons is not None:
        found["daemons"] = [_daemon_json(daemon) for daemon in status.daemons]
        found["images"] = [image_status_json(image) for image in status.images]
    return found


def _standings(images: Sequence[ImageStatus]) -> Dict[str, int]:
    """How many images stand how, the worst first."""
    counts = Counter(image.standing.state for image in images)
    return {state: counts[state] for state in reversed(states.ALL) if counts[state]}


def _oldest(images: Sequence[ImageStatus]) -> Optional[ImageStatus]:
    return max((image for image in images if _least_age(image) is not None),
               key=lambda image: _least_age(image) or 0.0, default=None)


def _unknown(images: Sequence[ImageStatus]) -> int:
    """How many images there are of whose copies no age is known."""
    return sum(_least_age(image) is None for image in images)


def _least_age(image: Optional[ImageStatus]) -> Optional[float]:
    """Of its copy; if that is not known: how long, at least, there has been no newer one."""
    if image is None:
        return None
    return _age(image.standing.copied or image.standing.none_since, image.now)


def _age_text(image: ImageStatus) -> str:
    sign = "" if image.standing.copied or not image.standing.none_since else "> "
    return sign + span(_least_age(image))


def _age(time: Optional[datetime], now: datetime) -> Optional[float]:
    """In seconds.  The clocks of two sites may differ: nothing is from the future."""
    return round(max(0.0, (now - time).total_seconds()), 3) if time else None


def _daemon_json(daemon: Daemon) -> Dict[str, Any]:
    found: Dict[str, Any] = {
        "service_id": daemon.service_id, "instance_id": daemon.instance_id,
        "client_id": daemon.client_id, "hostname": daemon.hostname,
        "ceph_version": daemon.ceph_version, "leader": daemon.leader,
        "health": daemon.health.name,
    }
    if daemon.callouts:
        found["callouts"] = list(daemon.callouts)
    return found


def pool_status_plain(status: PoolStatus) -> str:
    lines = [
        f"health: {status.health.name}",
        f"daemon health: {status.daemon_health.name}",
        f"image health: {status.image_health.name}",
        f"images: {sum(status.states.values())} total",
    ]
    lines += [f"    {count} {state}" for state, count in status.states.items()]
    if status.daemons is not None:
        lines += ["", "DAEMONS"] + ([] if status.daemons else ["  none"])
        for daemon in status.daemons:
            lines += _daemon_lines(daemon) + [""]
        lines += ["", "IMAGES"] + _images_lines(status.images)
    return "\n".join(lines)


def _images_lines(images: Sequence[ImageStatus]) -> List[str]:
    if not images:
        return ["  none"]
    standings = ", ".join(f"{count} {state}" for state, count in _standings(images).items())
    rows = [(image.name, _state_word(image.standing), span(_age(image.standing.since, image.now)),
             _age_text(image), image.standing.reason)
            for image in sorted(images, key=lambda image: -states.ALL.index(image.standing.state))]
    return [f"{standings}{_oldest_text(images)}", "",
            table(("NAME", "STATE", "FOR", "COPY AGE", "REASON"), rows)]


def _oldest_text(images: Sequence[ImageStatus]) -> str:
    oldest, unknown = _oldest(images), _unknown(images)
    if oldest is None:
        return ""
    text = f"; oldest copy: {_age_text(oldest)}, of {oldest.name}"
    return text + (f" ({unknown} of unknown age)" if unknown else "")


def _state_word(standing: Standing) -> str:
    return f"{standing.state} {standing.sync.percent:.0f}%" if standing.sync else standing.state


def _daemon_lines(daemon: Daemon) -> List[str]:
    lines = [
        f"service {daemon.service_id}:",
        f"  instance_id: {daemon.instance_id}",
        f"  client_id: {daemon.client_id}",
        f"  hostname: {daemon.hostname}",
        f"  version: {daemon.ceph_version}",
        f"  leader: {'true' if daemon.leader else 'false'}",
        f"  health: {daemon.health.name}",
    ]
    if daemon.callouts:
        lines.append(f"  callouts: {_bracketed(daemon.callouts)}")
    return lines


# Image status

def image_status_json(image: ImageStatus) -> Dict[str, Any]:
    found: Dict[str, Any] = {
        "name": image.name, "id": image.id, "global_id": image.global_id, "mode": image.mode,
        "primary": image.primary, "state": image.local.state,
        "description": image.local.description,
    }
    if image.daemon is not None:
        found["daemon_service"] = {
            "service_id": image.daemon.service_id, "instance_id": image.daemon.instance_id,
            "daemon_id": image.daemon.client_id, "hostname": image.daemon.hostname,
            "entity": image.daemon.entity,
        }
    found["last_update"] = local_time(image.local.last_update)
    if image.peers:
        found["peer_sites"] = [_site_json(site) for site in image.peers]
        for site, copy in zip(found["peer_sites"], image.copies):
            site["standing"] = _standing_json(copy, image.now)
    if image.snapshots:
        found["snapshots"] = [_snapshot_json(snapshot) for snapshot in image.snapshots]
    found["standing"] = _standing_json(image.standing, image.now)
    if image.split_brain is not None:
        found["split_brain"] = _split_brain_json(image.split_brain)
    return found


def _standing_json(standing: Standing, now: datetime) -> Dict[str, Any]:
    return {
        "state": standing.state, "reason": standing.reason, "since": iso_time(standing.since),
        "copy_time": iso_time(standing.copied), "copy_age_seconds": _age(standing.copied, now),
        "copy_none_since": iso_time(standing.none_since),
        "sync": _sync_json(standing.sync) if standing.sync else None,
    }


def _sync_json(sync: SyncProgress) -> Dict[str, Any]:
    return {**asdict(sync), "snapshot": iso_time(sync.snapshot)}


def _split_brain_json(split: SplitBrain) -> Dict[str, Any]:
    return {
        "diverged": iso_time(split.diverged),
        "sites": [{**asdict(side), "newest_snapshot": iso_time(side.newest_snapshot)}
                  for side in split.sides],
        "ways_out": [{"keep": way.keep, "commands": [
            {"site": site, "command": command} for site, command in way.steps]}
            for way in split.ways_out],
        "peer_error": split.peer_error,
    }


def _site_json(site: SiteStatus) -> Dict[str, Any]:
    return {"site_name": site.site_name, "mirror_uuid": site.mirror_uuid,
            "mirror_uuids": site.mirror_uuid,  # as it was called up to release 19
            "state": site.state, "description": site.description,
            "last_update": local_time(site.last_update)}


def _snapshot_json(snapshot: MirrorSnapshot) -> Dict[str, Any]:
    return {"id": snapshot.id, "name": snapshot.name, "demoted": snapshot.demoted,
            "mirror_peer_uuids": list(snapshot.peer_uuids)}


def image_status_plain(image: ImageStatus) -> str:
    return "\n".join(_image_lines(image) + _own_lines(image))


def _own_lines(image: ImageStatus) -> List[str]:
    """What ``rbd`` does not tell, after what it does."""
    now = image.now
    lines = [f"  standing:    {_since(image.standing.state, image.standing.since, now)}"]
    if image.standing.reason:
        lines.append(f"  reason:      {image.standing.reason}")
    if not image.primary:
        lines.append(f"  copy:        {_copied(image.standing, now)}")
    if image.standing.sync is not None:
        lines.append(f"  syncing:     {_sync_text(image.standing.sync)}")
    if image.daemon is not None and image.daemon.entity:
        lines.append(f"  worker:      {image.daemon.description} as {image.daemon.entity}")
    if image.copies:
        lines.append("  copies:")
    for site, copy in zip(image.peers, image.copies):
        lines += _copy_lines(site, copy, now)
    if image.split_brain is not None:
        lines += _split_brain_lines(image.split_brain, now)
    return lines


def _copy_lines(site: SiteStatus, copy: Standing, now: datetime) -> List[str]:
    lines = [f"    {site.site_name or site.mirror_uuid}: "
             f"{_since(copy.state, copy.since, now)}"]
    if copy.copied is not None or copy.none_since is not None:
        lines[0] += f"; {_copied(copy, now)}"
    if copy.reason:
        lines.append(f"      {copy.reason}")
    return lines + ([f"      {_sync_text(copy.sync)}"] if copy.sync else [])


def _since(state: str, since: Optional[datetime], now: datetime) -> str:
    return f"{state} since {_when(since, now)}" if since else state


def _copied(standing: Standing, now: datetime) -> str:
    if standing.copied is not None:
        return f"as of {_when(standing.copied, now)}"
    if standing.none_since is not None:
        return f"none that is newer than {_when(standing.none_since, now)}"
    first = standing.state in (states.SYNCING, states.WAITING)
    return "none that is whole yet" if first else "its age is not known"


def _when(time: datetime, now: datetime) -> str:
    return f"{iso_time(time)} ({span(_age(time, now))} ago)"


def _sync_text(sync: SyncProgress) -> str:
    text = f"{sync.percent:.0f}%"
    if sync.bytes_done is not None:
        text += f", {size(sync.bytes_done)}"
        text += f" of about {size(sync.bytes_total)}" if sync.bytes_total is not None else ""
    if sync.bytes_per_second is not None:
        text += f", {size(int(sync.bytes_per_second))}/s"
    return text + (f", {span(sync.seconds_left)} left" if sync.seconds_left is not None else "")


def _split_brain_lines(split: SplitBrain, now: datetime) -> List[str]:
    lines = ["  split_brain:"]
    if split.diverged:
        lines.append(f"    the sites were the same last at {_when(split.diverged, now)}")
    if split.peer_error:
        lines.append(f"    {split.peer_error}")
    lines += [f"    {_side_text(side, now)}" for side in split.sides]
    for way in split.ways_out:
        lines += _way_out_lines(way)
    return lines


def _side_text(side: SplitSide, now: datetime) -> str:
    role = {True: "primary", False: "not primary", None: "not seen"}[side.primary]
    text = f"{side.site_name}: {role}"
    if side.newest_snapshot:
        text += f", newest mirror snapshot of its own {_when(side.newest_snapshot, now)}"
    if side.changed_bytes is not None:
        text += f", at most {size(side.changed_bytes)} changed since they were the same"
    return text


def _way_out_lines(way: WayOut) -> List[str]:
    return [f"    to keep what {way.keep} has:"] + [
        f"      at {site}: {command}" for site, command in way.steps]


def _image_lines(image: ImageStatus) -> List[str]:
    lines = [
        f"{image.name}:",
        f"  global_id:   {image.global_id}",
        f"  state:       {image.local.state}",
        f"  description: {image.local.description}",
    ]
    if image.daemon is not None:
        lines.append(f"  service:     {image.daemon.description}")
    lines.append(f"  last_update: {local_time(image.local.last_update)}")
    if image.peers:
        lines.append("  peer_sites:")
    for number, site in enumerate(image.peers):
        lines += ([""] if number else []) + _site_lines(site)
    if image.snapshots:
        lines.append("  snapshots:")
    for snapshot in image.snapshots:
        demoted = "demoted " if snapshot.demoted else ""
        lines.append(f"    {snapshot.id} {snapshot.name} "
                     f"({demoted}peer_uuids:{_bracketed(snapshot.peer_uuids)})")
    return lines


def _site_lines(site: SiteStatus) -> List[str]:
    return [
        f"    name: {site.site_name or site.mirror_uuid}",
        f"    state: {site.state}",
        f"    description: {site.description}",
        f"    last_update: {local_time(site.last_update)}",
    ]


def _bracketed(words: Sequence[str]) -> str:
    return f"[{','.join(words)}]"


# Workers

def workers_json(workers: Sequence[WorkerView]) -> List[Dict[str, Any]]:
    return [{**asdict(worker), "since": utc_time(worker.since)} for worker in workers]


def workers_plain(workers: Sequence[WorkerView]) -> str:
    return table(
        ("ID", "PID", "STATE", "SINCE", "RESTARTS", "POOLS", "IMAGES", "RSS", "IN FLIGHT"),
        [(w.id, str(w.pid or "-"), w.state, local_time(zoned_time(w.since)), str(w.restarts),
          str(len(w.pools)), str(w.images), size(w.rss_bytes), size(w.bytes_in_flight))
         for w in workers])


def worker_status_plain(workers: Sequence[WorkerView]) -> str:
    return "\n\n".join("\n".join(_worker_lines(worker)) for worker in workers)


def _worker_lines(worker: WorkerView) -> List[str]:
    lines = [
        f"{worker.id}:",
        f"  entity:          {worker.entity}",
        f"  pid:             {worker.pid or '-'}",
        f"  state:           {worker.state}",
        f"  since:           {local_time(zoned_time(worker.since))}",
        f"  restarts:        {worker.restarts}",
        f"  address:         {worker.address or '-'}",
        f"  instance_id:     {worker.instance_id or '-'}",
        f"  images:          {worker.images}",
        f"  memory:          {size(worker.rss_bytes)}",
        f"  bytes in flight: {size(worker.bytes_in_flight)}",
    ]
    if worker.last_error:
        lines.append(f"  last error:      {worker.last_error}")
    if worker.pools:
        lines.append("  pools:")
    return lines + [f"    {_pool_line(pool)}" for pool in worker.pools]


def _pool_line(pool: PoolReport) -> str:
    role = "leader" if pool.leader else "stands by"
    if pool.foreign_leader:
        role += f", held by {pool.foreign_leader}"
    images = ", ".join(f"{count} {state}" for state, count in pool.images.items()
                       if count and state != "total")
    total = pool.images.get("total", 0)
    line = f"{pool.name}: {role}, {total} image{'' if total == 1 else 's'}"
    line += f" ({images})" if images else ""
    return line + (f"; peer: {pool.peer_error}" if pool.peer_error else "")


def zoned_time(epoch: float) -> datetime:
    """Given seconds since the epoch, return the time in UTC."""
    return datetime.fromtimestamp(epoch, timezone.utc)


def utc_time(epoch: float) -> str:
    """Given seconds since the epoch, return ISO 8601 in UTC."""
    return str(iso_time(zoned_time(epoch)))


def iso_time(time: Optional[datetime]) -> Optional[str]:
    """Given an aware time, return ISO 8601 in UTC."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def span(seconds: Optional[float]) -> str:
    """Given seconds, return them for people, like ``3 min``; ``-`` for None."""
    if seconds is None:
        return "-"
    for limit, length, unit in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def size(count: int) -> str:
    """Given bytes, return them for people, like ``35 MiB``."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns aligned to the left, two spaces between them."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in (header, *rows))
