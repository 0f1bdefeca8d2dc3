"""What Ceph's options for the rbd-mirror daemon mean to a worker.

They come from the command line, ceph.conf, the monitors' configuration or the admin socket, and are
asked for at each use: a change counts at once.  An option that has Ceph's own default was set by
nobody: there a worker may have a default of its own, as it does more at less cost.
"""

from typing import Callable, Mapping, Optional

ConfGet = Callable[[str], str]
Metadata = Mapping[str, bytes]

# Ceph's own defaults, releases 16 to 20.
_CEPH_DEFAULTS = {
    "rbd_mirror_pool_replayers_refresh_interval": 30.0,
    "rbd_mirror_image_state_check_interval": 30.0,
    "rbd_mirror_leader_heartbeat_interval": 5.0,
    "rbd_mirror_concurrent_image_syncs": 5.0,
    "rbd_mirror_concurrent_image_deletions": 1.0,
    "rbd_mirror_delete_retry_interval": 30.0,
    "rbd_mirror_sync_point_update_age": 30.0,
    "rbd_mirror_perf_stats_prio": 5.0,
    "rbd_mirror_image_perf_stats_prio": 5.0,
}


def refresh_seconds(conf_get: ConfGet) -> float:
    """How often pools and their lists of images are looked at when no watch tells of news."""
    return _value(conf_get, "rbd_mirror_pool_replayers_refresh_interval", 10.0)


def check_seconds(conf_get: ConfGet) -> float:
    """How often an image is looked at when no watch tells of news."""
    return _value(conf_get, "rbd_mirror_image_state_check_interval", 30.0)


def heartbeat_seconds(conf_get: ConfGet) -> float:
    """How often a pool's leader tells others that it is there."""
    return _value(conf_get, "rbd_mirror_leader_heartbeat_interval", 5.0)


def progress_seconds(conf_get: ConfGet) -> float:
    """How often it is noted how far a sync is."""
    return _value(conf_get, "rbd_mirror_sync_point_update_age", 2.0)


def delete_retry_seconds(conf_get: ConfGet) -> float:
    """After how long a removal from the trash that failed is tried again."""
    return _value(conf_get, "rbd_mirror_delete_retry_interval", 30.0)


def concurrent_deletions(conf_get: ConfGet) -> int:
    """How many copies a namespace removes at one time."""
    return max(1, int(_value(conf_get, "rbd_mirror_concurrent_image_deletions", 1.0)))


def concurrent_syncs(conf_get: ConfGet) -> Optional[int]:
    """How many images are copied at one time; None where that was not set."""
    asked = _value(conf_get, "rbd_mirror_concurrent_image_syncs", 0.0)
    return int(asked) or None


def only_leader_replays(conf_get: ConfGet) -> bool:
    """Whether a pool's images are not shared out among workers; librados takes no later change."""
    return conf_get("rbd_mirror_image_policy_type") == "none"


def counter_priority(conf_get: ConfGet) -> int:
    return int(_value(conf_get, "rbd_mirror_perf_stats_prio", 5.0))


def image_counter_priority(conf_get: ConfGet) -> int:
    return int(_value(conf_get, "rbd_mirror_image_perf_stats_prio", 5.0))


def of_image(conf_get: ConfGet, pool: Metadata, image: Metadata) -> ConfGet:
    """Options as librbd has them for one image: its metadata counts before its pool's."""
    def get(option: str) -> str:
        key = f"conf_{option}"
        found = image.get(key, pool.get(key))
        return conf_get(option) if found is None else found.decode("utf-8", "replace")

    return get


def replay_delay_seconds(conf_get: ConfGet) -> int:
    """How old a journal's entry must be before it is replayed."""
    text = conf_get("rbd_mirroring_replay_delay")
    return int(text) if text.isdigit() else 0


def resyncs_after_disconnect(conf_get: ConfGet) -> bool:
    """Whether a copy that its primary gave up waiting for is made anew without being asked."""
    return conf_get("rbd_mirroring_resync_after_disconnect") in ("true", "1", "yes", "on")


def _value(conf_get: ConfGet, option: str, ours: float) -> float:
    """Return what was asked for; a release of Ceph without the option gives an empty text."""
    text = conf_get(option)
    asked = float(text) if text else _CEPH_DEFAULTS[option]
    return ours if asked == _CEPH_DEFAULTS[option] else asked
