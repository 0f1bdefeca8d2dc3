"""Mirror snapshots on time: made once for each due time, whatever happens meanwhile."""

import itertools
import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

from qa.mirrored import add_pool
from qa.sites import Lab, Site
from qa.waiting import wait_for

SCHEDULE = ("rbd-mirror", "snapshot", "schedule")
_numbers = itertools.count(1)


def start_time(due: int) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(due))


def soon(site: Site, commands: int = 1) -> int:
    """A time after so many commands, and the image that they schedule is open; in epoch seconds.

    How long a command takes just now is tried.
    """
    start = time.time()
    schedule(site, "ls", "--recursive")
    return int(time.time() + 6 + 2 * commands * (time.time() - start))


def schedule(site: Site, *words: str) -> str:
    return site.ceph(*SCHEDULE, *words)


class Place(NamedTuple):
    """A namespace with one image, `image`, for one test."""

    pool: str
    namespace: str

    @property
    def words(self) -> List[str]:
        return ["--pool", self.pool, "--namespace", self.namespace]

    def spec(self, image: str = "image") -> str:
        return f"{self.pool}/{self.namespace}/{image}"


def status(site: Site, words: List[str]) -> Dict[str, Dict[str, Any]]:
    """By image; none while the manager does not answer."""
    result = site.run("ceph", *SCHEDULE, "status", *words, "--format", "json")
    found = json.loads(result.stdout) if result.returncode == 0 else []
    return {view["image"].rpartition("/")[2]: view for view in found}


def wait_done(site: Site, place: Place, count: int = 1) -> Dict[str, Any]:
    def done() -> Any:
        view = status(site, place.words).get("image")
        return view if view and view["done"] >= count else None

    return wait_for(done, describe=lambda: str(status(site, place.words)))


def mirror_snapshots(site: Site, image: str) -> List[int]:
    """The ids of the primary mirror snapshots."""
    return [snap["id"] for snap in site.rbd_json("snap", "ls", "--all", image)
            if snap["namespace"]["type"] == "mirror"]


def make_image(site: Site, spec: str) -> None:
    site.rbd("create", spec, "--size", "4M")
    site.ceph("rbd-mirror", "image", "enable", spec, "snapshot")


def health(site: Site) -> Dict[str, Any]:
    return site.ceph_json("health", "detail")["checks"]


@pytest.fixture(scope="module")
def shared_pool(lab: Lab, no_workers: None) -> Iterator[str]:
    """A pool that all tests share, with nobody who removes older snapshots in it."""
    name = f"live-{os.getpid()}-schedule"
    add_pool(lab, name)
    yield name
    for site in lab.sites.values():
        site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


@pytest.fixture
def place(site_a: Site, shared_pool: str) -> Iterator[Place]:
    found = Place(shared_pool, f"ns{next(_numbers)}")
    whole = f"{found.pool}/{found.namespace}"
    site_a.rbd("namespace", "create", whole)
    site_a.rbd("mirror", "pool", "enable", whole, "image")
    make_image(site_a, found.spec())
    yield found
    for row in site_a.ceph_json(*SCHEDULE, "ls", *found.words, "--recursive"):
        image = [] if row["image"] == "-" else ["--image", row["image"]]
        site_a.run("ceph", *SCHEDULE, "remove", *found.words, *image)


@pytest.fixture
def two_managers(site_a: Site) -> Iterator[Site]:
    with site_a.standby_mgr():
        yield site_a


def test_on_time(site_a: Site, place: Place) -> None:
    make_image(site_a, place.spec("other"))
    before = mirror_snapshots(site_a, place.spec())
    schedule(site_a, "add", "1d", *place.words, "--image", "other", "--spread",
             "--deadline", "10m")
    due = soon(site_a)
    schedule(site_a, "add", "1h", start_time(due), *place.words)
    view = wait_done(site_a, place)
    [made] = set(mirror_snapshots(site_a, place.spec())) - set(before)
    assert (view["snapshot_id"], view["failed"], view["skipped"]) == (made, 0, 0)
    assert view["late_seconds"] >= 0
    assert view["last_run"] >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due))
    assert view["next_due"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due + 3600))
    [rule] = status(site_a, place.words)["other"]["schedule"]
    assert rule == "every 1d, spread, at most 10m late"
    sums = site_a.ceph_json(*SCHEDULE, "status", *place.words, "--sum")
    whole = f"{place.pool}/{place.namespace}"
    assert {row["level"] for row in sums} == {whole, f"{whole}/other"}


def test_run_pause_and_resume(site_a: Site, place: Place) -> None:
    schedule(site_a, "add", "1d", *place.words)
    assert "Made 1 mirror snapshots" in schedule(site_a, "run", *place.words)
    assert status(site_a, place.words)["image"]["done"] == 1
    schedule(site_a, "pause", *place.words, "--image", "image")
    due = soon(site_a, commands=2)
    schedule(site_a, "add", "1h", start_time(due), *place.words)
    view = status(site_a, place.words)["image"]
    assert (view["state"], view["next_due"]) == ("paused", "")
    wait_for(lambda: time.time() > due + 1)
    schedule(site_a, "resume", *place.words, "--image", "image")
    view = status(site_a, place.words)["image"]
    assert (view["state"], view["done"], view["skipped"]) == ("scheduled", 1, 0)


def test_what_becomes_of_an_image_is_noticed(site_a: Site, place: Place) -> None:
    schedule(site_a, "add", "1d", *place.words)
    make_image(site_a, place.spec("new"))
    wait_for(lambda: {"image", "new"} == set(status(site_a, place.words)))
    schedule(site_a, "add", "2d", *place.words, "--image", "new")
    site_a.ceph("rbd-mirror", "image", "demote", place.spec())
    wait_for(lambda: {"new"} == set(status(site_a, place.words)))
    site_a.rbd("rm", place.spec("new"))  # by others, as the next
    site_a.rbd("mirror", "image", "promote", place.spec())
    wait_for(lambda: {"image"} == set(status(site_a, place.words)))
    wait_for(lambda: "new" not in schedule(site_a, "ls", "--recursive"))


def test_a_pool_without_a_peer_has_no_snapshots(site_a: Site) -> None:
    lonely = "live-lonely"
    site_a.create_pool(lonely)
    try:
        site_a.ceph("rbd-mirror", "pool", "enable", lonely, "image")
        make_image(site_a, f"{lonely}/image")
        schedule(site_a, "add", "1m", "--pool", lonely)
        view = wait_for(lambda: status(site_a, ["--pool", lonely]))["image"]
        assert view["state"] == "no peer" and "peer bootstrap" in view["why"]
    finally:
        site_a.ceph("osd", "pool", "rm", lonely, lonely, "--yes-i-really-really-mean-it")


REFUSALS = [
    (["add", "0m", "--pool", "POOL"], 22), (["add", "1w", "--pool", "POOL"], 22),
    (["add", "5x", "--pool", "POOL"], 22), (["add", "9" * 30 + "d", "--pool", "POOL"], 22),
    (["add", "-1h", "--pool", "POOL"], 22),  # the ceph command takes it for an option
    (["add", "1h", "25:00", "--pool", "POOL"], 22), (["add", "1h", "noon", "--pool", "POOL"], 22),
    (["add", "1h", "--image", "image"], 22), (["add", "1h", "--pool", "nope"], 22),
    (["add", "1h", "--pool", "POOL", "--namespace", "nope"], 22),
    (["add", "1h", "--pool", "POOL", "--namespace", "off"], 22),
    (["add", "1h", "--pool", "POOL", "--image", "nope"], 22),
    (["ls", "--pool", "POOL", "--image", "journaled"], 22),
    (["add", "1h", "--pool", "POOL", "--image", "journaled"], 22),
    (["add", "1h", "--pool", "POOL", "--deadline", "soon"], 22),
    (["remove", "1h", "--pool", "POOL"], 2), (["remove", "--pool", "POOL"], 2),
    (["ls", "--pool", "POOL"], 2), (["resume", "--pool", "POOL"], 2),
    (["run", "--pool", "POOL"], 2)]


def test_refusals(site_a: Site, unscheduled: str) -> None:
    for words, code in REFUSALS:
        named = [unscheduled if word == "POOL" else word for word in words]
        result = site_a.run("ceph", *SCHEDULE, *named)
        assert (result.returncode, result.stdout.strip()) == (code, ""), words
        assert "Traceback" not in result.stderr
    assert unscheduled not in schedule(site_a, "ls", "--recursive")


@pytest.fixture
def unscheduled(site_a: Site) -> Iterator[str]:
    """A pool with an image in journal mode and no schedule."""
    site = site_a
    name = "live-unscheduled"
    site.create_pool(name)
    site.ceph("rbd-mirror", "pool", "enable", name, "image")
    site.rbd("namespace", "create", f"{name}/off")
    site.rbd("create", f"{name}/journaled", "--size", "4M")
    site.ceph("rbd-mirror", "image", "enable", f"{name}/journaled", "journal")
    yield name
    site.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def test_adoption_loses_nothing_and_the_output_is_that_of_rbd(site_a: Site, place: Place) -> None:
    image = [*place.words, "--image", "image"]
    questions = [[*where, *flag]
                 for where in (place.words, image) for flag in ([], ["--recursive"])]
    for times in (["1d", "14:00:00-05:00"], ["90m"]):
        site_a.rbd("mirror", "snapshot", "schedule", "add", *place.words, *times)
    site_a.rbd("mirror", "snapshot", "schedule", "add", *image, "6h")
    assert "every 90m (by rbd_support)" in schedule(site_a, "ls", *place.words)
    words = ("mirror", "snapshot", "schedule", "ls")
    theirs = [(site_a.rbd(*words, *question), site_a.rbd_json(*words, *question))
              for question in questions]

    dry = schedule(site_a, "adopt", *place.words, "--dry-run")
    assert f"would adopt {place.spec()}: every 6h" in dry and "19:00 UTC" in dry
    assert status(site_a, place.words) == {}
    assert f"adopted {place.spec()}: every 6h" in schedule(site_a, "adopt", *place.words)
    keys = site_a.run("rados", "-p", place.pool, "listomapkeys", "rbd_mirror_snapshot_schedule")
    assert place.namespace not in keys.stdout

    for question, (plain, found) in zip(questions, theirs):
        ours = site_a.ceph_json(*SCHEDULE, "ls", *question)
        assert {row["owner"] for row in ours} == {"mirror_mgr"}
        assert without_ours(ours) == ordered(found), question
        assert words_of(schedule(site_a, "ls", *question)) == words_of(plain), question
    view = status(site_a, place.words)["image"]
    assert (view["image"], view["schedule"]) == (place.spec(), ["every 6h"])
    assert time.strptime(view["schedule_time"], "%Y-%m-%d %H:%M:%S").tm_sec == 0


def without_ours(rows: List[Dict[str, Any]]) -> List[Any]:
    keys = ("pool", "namespace", "image", "items", "interval", "start_time")
    return ordered([{key: row[key] for key in keys if key in row} for row in rows])


def ordered(rows: List[Dict[str, Any]]) -> List[Any]:
    """rbd_support keeps the schedules of a level in a set."""
    def item(found: Dict[str, Any]) -> Any:
        return found["interval"], found["start_time"]

    if rows and "items" in rows[0]:
        return sorted((row["pool"], row["namespace"], row["image"], sorted(map(item, row["items"])))
                      for row in rows)
    return sorted(map(item, rows))


def words_of(text: str) -> List[List[str]]:
    return [sorted(line.replace(",", "").split()) for line in text.strip().splitlines()]


def test_a_damaged_entry_is_told_and_the_others_run(site_a: Site, place: Place,
                                                    tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"\xff")
    store = ("-p", place.pool, "setomapval", "mirror_mgr_snapshot_schedule")
    schedule(site_a, "add", "1d", *place.words)
    assert site_a.run("rados", *store, "1//feed", '{"rules": [{"interval": "0m"}]}'
                      ).returncode == 0
    assert site_a.run("rados", *store, "--omap-key-file", str(key), "x").returncode == 0
    check = wait_for(lambda: damaged(site_a, 2))
    told = "".join(item["message"] for item in check["detail"])
    assert "0m" in told and "udcff" in told and f"rados -p {place.pool} rmomapkey" in told
    assert "Made 1" in schedule(site_a, "run", *place.words)
    for name in (["1//feed"], ["--omap-key-file", str(key)]):
        site_a.run("rados", "-p", place.pool, "rmomapkey", store[3], *name)


def damaged(site: Site, count: int) -> Any:
    check = health(site).get("MIRROR_MGR_DAMAGED_SCHEDULE")
    return check if check and check["summary"]["count"] == count else None


def test_a_failover_loses_and_doubles_nothing(two_managers: Site, place: Place) -> None:
    site, image = two_managers, place.spec()
    before = mirror_snapshots(site, image)
    due = soon(site, commands=2)
    schedule(site, "add", "1h", start_time(due), *place.words)
    schedule(site, "add", "2h", start_time(due + 6), *place.words)
    wait_done(site, place)
    wait_for(lambda: time.time() > due + 5)
    site.fail_over_mgr()  # the second is due meanwhile
    view = wait_done(site, place, count=2)
    assert (view["skipped"], view["failed"]) == (0, 0)
    assert len(mirror_snapshots(site, image)) == len(before) + 2


@contextmanager
def monitor_silent(site: Site) -> Iterator[None]:
    monitor = site.pid("mon.a")
    os.kill(monitor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(monitor, signal.SIGCONT)


def test_what_was_due_while_the_monitor_was_silent_is_made_then(site_a: Site, place: Place) -> None:
    before = mirror_snapshots(site_a, place.spec())
    due = soon(site_a, commands=2)
    schedule(site_a, "add", "1h", start_time(due), *place.words)
    wait_for(lambda: time.time() > due - 1)
    with monitor_silent(site_a):
        wait_for(lambda: time.time() > due + 10)
    view = wait_done(site_a, place)
    assert (view["skipped"], view["failed"]) == (0, 0)
    assert len(mirror_snapshots(site_a, place.spec())) == len(before) + 1


@contextmanager
def clients_blocklisted(site: Site) -> Iterator[None]:
    """All clients of the manager's modules are, as a failover would have them."""
    found = [f"{entry['addr']}/{entry['nonce']}"
             for client in site.ceph_json("mgr", "dump")["active_clients"]
             for entry in client["addrvec"] if entry["type"] == "v2"]
    for address in found:
        site.ceph("osd", "blocklist", "add", address)
    try:
        yield
    finally:
        for address in found:
            site.ceph("osd", "blocklist", "rm", address)


def test_a_blocklisted_client_is_replaced(site_a: Site, place: Place) -> None:
    before = mirror_snapshots(site_a, place.spec())
    due = soon(site_a, commands=5)
    schedule(site_a, "add", "1h", start_time(due), *place.words)
    manager = site_a.pid("mgr.x")
    with clients_blocklisted(site_a):
        view = wait_done(site_a, place)
        assert (view["skipped"], view["failed"]) == (0, 0)
        assert len(mirror_snapshots(site_a, place.spec())) == len(before) + 1
        site_a.ceph("rbd-mirror", "image", "snapshot", place.spec())
    assert site_a.pid("mgr.x") == manager
