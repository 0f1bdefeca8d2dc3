"""A worker that is started as a script starts the rbd-mirror daemon, and asked as it is asked."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest

from mirror_mgr.cluster.connection import configured
from qa.errors import CommandFailed
from qa.sites import REPOSITORY, Site
from qa.waiting import wait_for

pytestmark = pytest.mark.usefixtures("no_workers")

ID = "in-its-place"
NAME = f"client.rbd-mirror.{ID}"
Ask = Callable[..., Any]
DAEMON = "asked-before"
PERF = ("perf dump", "perf schema", "counter dump", "counter schema")


@pytest.fixture
def image(site_a: Site, pool: str) -> str:
    site_a.rbd("create", f"{pool}/image", "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/image", "snapshot")
    return f"{pool}/image"


@pytest.fixture
def daemons(site_b: Site, pool: str, image: str) -> Dict[str, Any]:
    """What the site's own rbd-mirror daemon answered, once it replayed the image."""
    socket = str(site_b.directory / "run" / f"client.rbd-mirror.{DAEMON}.asok")

    def ask(words: str) -> Any:
        try:
            return json.loads(site_b.ceph("--admin-daemon", socket, *words.split()))
        except (CommandFailed, ValueError):  # not every release knows them all
            return None

    def status() -> Any:
        found = (ask("rbd mirror status") or {"pool_replayers": []})["pool_replayers"]
        return next((one for one in found if one["pool"] == pool), None)

    site_b.start_rbd_mirror(DAEMON)
    try:
        wait_for(lambda: image in json.dumps(status()) and "Replaying" in json.dumps(status()),
                 lambda: site_b.rbd("mirror", "image", "status", image, check=False))
        return {"status": status(), **{words: ask(words) for words in PERF}}
    finally:
        site_b.stop_rbd_mirror(DAEMON)


@pytest.fixture
def ask(site_b: Site, tmp_path: Path, image: str) -> Iterator[Ask]:
    """What the worker answers, once it replays the image."""
    program = tmp_path / "mirror-mgr-worker"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} '
                       '-m mirror_mgr.worker "$@"\n')
    program.chmod(0o755)
    site_b.start_rbd_mirror(ID, str(program), "--rbd-mirror-image-state-check-interval=17")
    socket = str(site_b.directory / "run" / f"{NAME}.asok")

    def ask(*words: str) -> Any:
        answer = site_b.ceph("--admin-daemon", socket, *words)
        try:
            return json.loads(answer) if answer.strip() else None
        except ValueError:
            return answer

    def replayed() -> bool:
        try:
            return bool(ask("rbd", "mirror", "status", image)["state"] == "Replaying")
        except Exception:
            return False

    try:
        wait_for(replayed, lambda: site_b.rbd("mirror", "image", "status", image, check=False))
        yield ask
    finally:
        site_b.stop_rbd_mirror(ID)
    assert not list((site_b.directory / "run").glob(f"{NAME}.*"))


def test_the_conf_alone_will_do(site_b: Site) -> None:
    defaults = {"pid_file": "", "keyring": ""}
    assert configured(NAME, site_b.conf, [], "ceph", defaults) == ({
        "pid_file": "", "keyring": str(site_b.directory / "keyrings" / f"{NAME}.keyring")}, [])


def copied(site: Site, image: str) -> Set[str]:
    return {entry["name"] for entry in site.rbd_json("snap", "ls", "--all", image)
            if entry["namespace"].get("complete")}


def status_of(pool: str, ask: Ask) -> Any:
    pools = ask("rbd", "mirror", "status")["pool_replayers"]
    return next(one for one in pools if one["pool"] == pool)


def test_it_answers_as_the_daemon(site_a: Site, site_b: Site, pool: str, image: str,
                                  ask: Ask) -> None:
    assert ask("config", "get", "rbd_mirror_image_state_check_interval") == {
        "rbd_mirror_image_state_check_interval": "17"}
    assert "success" in ask("config", "set", "rbd_mirror_image_state_check_interval", "21")
    assert ask("version")["release"]
    assert f"rbd_mirror_snapshot_image_{image}" in ask("perf", "dump")
    assert ask("perf", "schema")["rbd_mirror_snapshot"]["replay_bytes"]["units"] == "bytes"
    found = status_of(pool, ask)
    assert (found["state"], found["leader"]) == ("running", True)
    assert found == ask("rbd", "mirror", "status", pool, "site-a")
    assert found["sync_throttler"] == {
        "max_parallel_requests": 64, "running_requests": 0, "waiting_requests": 0}
    assert found["deletion_throttler"]["max_parallel_requests"] == 1
    [namespace] = found["namespace_replayers"]
    assert (namespace["local_namespace"], namespace["remote_namespace"]) == ("", "")
    assert namespace["image_replayers"] == found["image_replayers"]
    assert {f"rbd mirror {verb} {image}" for verb in ("start", "stop", "restart", "flush")} < set(
        ask("help"))
    ask("rbd", "mirror", "leader", "release", pool, "site-a")
    wait_for(lambda: status_of(pool, ask)["leader"])
    stop_start_and_flush(site_a, site_b, pool, image, ask)


def missing(theirs: Any, ours: Any, where: str = "") -> List[str]:
    """Which keys of objects `ours` lacks; of lists the first items are looked at."""
    if isinstance(theirs, dict):
        return [lacking for key in theirs for lacking in (
            missing(theirs[key], ours[key], f"{where}.{key}") if key in ours
            else [f"{where}.{key}"])]
    if isinstance(theirs, list) and theirs:
        return missing(theirs[0], ours[0], f"{where}[0]") if ours else [f"{where}[0]"]
    return []


def of_mirroring(answer: Any) -> Any:
    """Without the loggers that all clients of librados have."""
    return {name: found for name, found in answer.items() if name.startswith("rbd_mirror")}


def test_it_answers_all_that_the_daemon_of_the_site_does(daemons: Dict[str, Any], pool: str,
                                                         ask: Ask) -> None:
    found = status_of(pool, ask)
    assert not missing(daemons["status"], found)
    for words in PERF:
        if daemons[words]:
            assert not missing(of_mirroring(daemons[words]), ask(*words.split())), words
    if daemons["counter schema"]:
        theirs, ours = (of_mirroring(one) for one in (
            daemons["counter schema"], ask("counter", "schema")))
        for logger, entries in theirs.items():
            assert entries[0]["counters"] == ours[logger][0]["counters"], logger


def test_counters_with_labels(pool: str, image: str, ask: Ask) -> None:
    [entry] = [one for one in ask("counter", "dump")["rbd_mirror_snapshot_image"]
               if one["labels"]["pool"] == pool]
    assert entry["labels"] == {"pool": pool, "namespace": "", "image": "image"}
    assert 0 < entry["counters"]["local_timestamp"] <= entry["counters"]["remote_timestamp"]
    assert entry["counters"]["snapshots"] >= 1
    schema = ask("counter", "schema")
    assert set(entry["counters"]) == set(schema["rbd_mirror_snapshot_image"][0]["counters"])


def stop_start_and_flush(site_a: Site, site_b: Site, pool: str, image: str, ask: Ask) -> None:
    before = copied(site_b, image)
    ask("rbd", "mirror", "stop", image)
    assert ask("rbd", "mirror", "status", image)["state"] == "Stopped"
    wait_for(lambda: site_b.rbd_json("mirror", "image", "status", image)["description"]
             == "stopped")
    site_a.ceph("rbd-mirror", "image", "snapshot", image)
    ask("rbd", "mirror", "flush", image)
    assert copied(site_b, image) == before
    ask("rbd", "mirror", "start", image)
    ask("rbd", "mirror", "flush", image)
    after = copied(site_b, image)
    assert after and not after & before
    ask("rbd", "mirror", "stop")
    found = status_of(pool, ask)
    assert found["state"] == "stopped (manual)"
    assert [one["state"] for one in found["image_replayers"]] == ["Stopped"]
    ask("rbd", "mirror", "restart")
    ask("rbd", "mirror", "flush", pool, "site-a")
    assert ask("rbd", "mirror", "status", image)["state"] == "Replaying"


def address_in(site: Site, pool: str) -> str:
    """Of the worker's client, as it is on the pool's roster."""
    [member] = json.loads(site.run("rados", "-p", pool, "get", "rbd_mirror_mgr", "-").stdout)[
        "members"]
    return str(member[2])


def test_fenced_it_begins_anew_and_stays_the_process_it_was(
        site_a: Site, site_b: Site, pool: str, image: str, ask: Ask) -> None:
    pid = site_b.pid(NAME)
    files = len(os.listdir(f"/proc/{pid}/fd"))
    ask("rbd", "mirror", "stop", image)
    before = status_of(pool, ask)["instance_id"]
    site_b.ceph("osd", "blocklist", "add", address_in(site_b, pool))

    def is_back() -> bool:
        try:
            found = status_of(pool, ask)
        except Exception:
            return False
        return bool(found["instance_id"] != before and found["image_replayers"])

    wait_for(is_back, lambda: (site_b.directory / "log" / f"{NAME}.log").read_text()[-3000:])
    assert site_b.pid(NAME) == pid
    wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) < files + 10)
    assert ask("rbd", "mirror", "status", image)["state"] == "Stopped"
    known = copied(site_b, image)
    site_a.ceph("rbd-mirror", "image", "snapshot", image)
    ask("rbd", "mirror", "start", image)
    ask("rbd", "mirror", "flush", image)
    assert copied(site_b, image) - known


def test_an_image_in_journal_mode_goes_by_its_new_name(site_a: Site, pool: str, ask: Ask) -> None:
    old, new = f"{pool}/journaled", f"{pool}/renamed"
    site_a.rbd("create", old, "--size", "8M", "--image-feature",
               "layering,exclusive-lock,journaling")
    site_a.ceph("rbd-mirror", "image", "enable", old, "journal")
    wait_for(lambda: f"rbd mirror status {old}" in ask("help")
             and ask("rbd", "mirror", "status", old)["standing"] == "up-to-date")
    site_a.rbd("rename", old, new)
    wait_for(lambda: f"rbd mirror status {new}" in ask("help"))
    assert ask("rbd", "mirror", "status", new)["name"] == new
    assert f"rbd mirror status {old}" not in ask("help")
    ask("rbd", "mirror", "restart", new)
