"""What the commands change, as the rbd CLI sees it."""

import json
from typing import Any, Dict, List

from qa.sites import Site
from qa.waiting import wait_for

KEY = "AQAeuZdbMMoBChAAcj++/XUxNOLFaWdtTREEsw=="


def make_images(site: Site, pool: str, count: int) -> List[str]:
    images = [f"{pool}/image-{number}" for number in range(count)]
    for image in images:
        site.rbd("create", image, "--size", "8M")
        site.ceph("rbd-mirror", "image", "enable", image, "snapshot")
    return images


def is_primary(site: Site, image: str) -> bool:
    return bool(site.rbd_json("info", image)["mirroring"]["primary"])


def wait_for_states(site: Site, pool: str, states: Dict[str, int]) -> None:
    wait_for(
        lambda: site.ceph_json("rbd-mirror", "pool", "status", pool)["summary"]["states"] == states,
        lambda: site.ceph("rbd-mirror", "pool", "status", pool, "--detail"))


def promoted_all(site: Site, pool: str, *flags: str) -> bool:
    return site.run("ceph", "rbd-mirror", "pool", "promote", pool, *flags).returncode == 0


def test_failover_and_back_of_a_pool(site_a: Site, site_b: Site, pool: str) -> None:
    images = make_images(site_a, pool, 3)
    wait_for_states(site_b, pool, {"replaying": 3})
    early = site_b.run("ceph", "rbd-mirror", "pool", "promote", pool)
    assert early.returncode == 16
    assert all(image in early.stderr for image in images)
    for here, there in ((site_a, site_b), (site_b, site_a)):
        assert here.ceph("rbd-mirror", "pool", "demote", pool).strip() == (
            "Demoted 3 mirrored images")
        wait_for(lambda site=there: promoted_all(site, pool))
        assert [is_primary(there, image) for image in images] == [True] * 3
        assert [is_primary(here, image) for image in images] == [False] * 3
    assert site_a.ceph("rbd-mirror", "pool", "promote", pool).strip() == (
        "Promoted 0 mirrored images")


def test_forced_promotion_and_split_brain(site_a: Site, site_b: Site, pool: str) -> None:
    [image] = make_images(site_a, pool, 1)
    wait_for_states(site_b, pool, {"replaying": 1})
    refused = site_b.run("ceph", "rbd-mirror", "image", "promote", image)
    assert (refused.returncode, "--force" in refused.stderr) == (16, True)
    assert site_b.ceph("rbd-mirror", "image", "promote", image, "--force").strip() == (
        "Image promoted to primary")
    assert is_primary(site_a, image) and is_primary(site_b, image)
    for verb in ("promote", "resync"):
        refused = site_b.run("ceph", "rbd-mirror", "image", verb, image)
        assert refused.returncode == 22
        assert refused.returncode == site_b.run("rbd", "mirror", "image", verb, image).returncode
    site_b.ceph("rbd-mirror", "image", "demote", image)
    wait_for(lambda: "MIRROR_MGR_SPLIT_BRAIN" in site_b.ceph("health", "detail"),
             lambda: site_b.ceph("rbd-mirror", "image", "status", image))
    assert site_b.ceph("rbd-mirror", "image", "resync", image).strip() == (
        "Flagged image for resync from primary")


def test_resync_needs_a_primary_to_copy_from(site_a: Site, site_b: Site, pool: str) -> None:
    [image] = make_images(site_a, pool, 1)
    wait_for_states(site_b, pool, {"replaying": 1})
    site_a.ceph("rbd-mirror", "image", "demote", image)
    refused = site_b.run("ceph", "rbd-mirror", "image", "resync", image)
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    site_b.rbd("info", image)


def test_disabling_a_pool_takes_its_images_along(site_a: Site, pool: str) -> None:
    namespace = f"{pool}/ns"
    site_a.rbd("namespace", "create", namespace)
    site_a.ceph("rbd-mirror", "pool", "enable", namespace, "image")
    images = make_images(site_a, namespace, 2)
    site_a.rbd("create", f"{namespace}/journaled", "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", f"{namespace}/journaled")
    assert is_primary(site_a, f"{namespace}/journaled")
    site_a.ceph("rbd-mirror", "pool", "disable", namespace)
    assert site_a.rbd_json("mirror", "pool", "info", namespace) == {"mode": "disabled"}
    assert all("mirroring" not in site_a.rbd_json("info", image) for image in images)


def test_peers_by_hand(site_a: Site, pool: str) -> None:
    lone = f"{pool}-lone"
    site_a.create_pool(lone)
    site_a.ceph("rbd-mirror", "pool", "enable", lone, "image")

    def peer(*words: str, **more: Any) -> str:
        return site_a.ceph("rbd-mirror", "pool", "peer", words[0], lone, *words[1:], **more).strip()

    def known() -> Any:
        return site_a.rbd_json("mirror", "pool", "info", lone, "--all")["peers"]

    uuid = peer("add", "client.c@site-c", "--remote-mon-host", "10.0.0.3", "--direction",
                "rx-only", "-i", "-", input=KEY)
    assert known() == [{"uuid": uuid, "direction": "rx-only", "site_name": "site-c",
                        "mirror_uuid": "", "client_name": "client.c", "key": KEY,
                        "mon_host": "10.0.0.3"}]
    assert peer("get-key", uuid) == KEY
    second = site_a.run("ceph", "rbd-mirror", "pool", "peer", "add", lone, "client.c@site-d")
    assert (second.returncode, "'site-c'" in second.stderr) == (22, True)
    for key, value in (("client", "client.d"), ("site-name", "site-d"), ("mon-host", "10.0.0.4"),
                       ("direction", "tx-only"), ("direction", "rx-tx")):
        peer("set", uuid, key, value)
    peer("set", uuid, "key-file", "-i", "-", input=KEY.replace("cj++", "dj++"))
    changed = known()[0]
    assert changed.pop("key") != KEY
    assert changed == {"uuid": uuid, "direction": "rx-tx", "site_name": "site-d",
                       "mirror_uuid": "", "client_name": "client.d", "mon_host": "10.0.0.4"}
    assert peer("remove", uuid) == ""
    assert uuid in peer("remove", uuid)
    assert known() == []
    assert uuid not in site_a.ceph("config-key", "ls")
    site_a.ceph("rbd-mirror", "pool", "disable", lone)


def test_workers(site_a: Site, pool: str) -> None:
    [worker] = site_a.ceph_json("rbd-mirror", "worker", "ls")
    assert worker["entity"] == f"client.rbd-mirror.{worker['id']}"
    assert worker["id"] in site_a.ceph("rbd-mirror", "worker", "status", worker["id"])
    assert json.loads(site_a.ceph("rbd-mirror", "worker", "status", worker["id"], "--format",
                                  "json"))[0]["id"] == worker["id"]
    assert site_a.run("ceph", "rbd-mirror", "worker", "status", "none").returncode == 2
    assert site_a.run("ceph", "rbd-mirror", "worker", "restart", "none").returncode == 2
