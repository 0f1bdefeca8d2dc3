"""Ceph's own options: followed where somebody set them."""

import pytest

from mirror_mgr.worker import settings


def conf(**options):
    return lambda option: options.get(option, "")


def test_what_nobody_set_is_ours():
    ceph_s = conf(rbd_mirror_pool_replayers_refresh_interval="30",
                  rbd_mirror_concurrent_image_syncs="5",
                  rbd_mirror_sync_point_update_age="30.000000")
    for conf_get in (ceph_s, conf()):
        assert settings.refresh_seconds(conf_get) == 10
        assert settings.concurrent_syncs(conf_get) is None
        assert settings.progress_seconds(conf_get) == 2
        assert settings.check_seconds(conf_get) == 30


@pytest.mark.parametrize("read, option, text, value", [
    (settings.refresh_seconds, "pool_replayers_refresh_interval", "45", 45),
    (settings.check_seconds, "image_state_check_interval", "7", 7),
    (settings.heartbeat_seconds, "leader_heartbeat_interval", "2", 2),
    (settings.progress_seconds, "sync_point_update_age", "5.000000", 5),
    (settings.delete_retry_seconds, "delete_retry_interval", "1.5", 1.5),
    (settings.concurrent_deletions, "concurrent_image_deletions", "4", 4),
    (settings.concurrent_deletions, "concurrent_image_deletions", "0", 1),
    (settings.concurrent_syncs, "concurrent_image_syncs", "2", 2),
    (settings.counter_priority, "perf_stats_prio", "8", 8),
    (settings.image_counter_priority, "image_perf_stats_prio", "1", 1),
])
def test_what_somebody_set(read, option, text, value):
    assert read(conf(**{f"rbd_mirror_{option}": text})) == value


@pytest.mark.parametrize("text, alone", [("none", True), ("simple", False), ("", False)])
def test_whether_images_are_shared_out(text, alone):
    assert settings.only_leader_replays(conf(rbd_mirror_image_policy_type=text)) is alone


def test_an_image_has_options_of_its_own_and_of_its_pool():
    pool = {"conf_rbd_mirroring_replay_delay": b"20", "conf_other": b"x", "unrelated": b"1"}
    image = {"conf_rbd_mirroring_resync_after_disconnect": b"true"}
    get = settings.of_image(conf(rbd_mirroring_replay_delay="10", third="3"), pool, image)
    assert settings.replay_delay_seconds(get) == 20 and get("third") == "3"
    assert settings.resyncs_after_disconnect(get)
    image["conf_rbd_mirroring_replay_delay"] = b"5"
    assert settings.replay_delay_seconds(get) == 5
    image["conf_rbd_mirroring_replay_delay"] = b"nonsense"
    assert settings.replay_delay_seconds(get) == 0
    assert not settings.resyncs_after_disconnect(conf())
