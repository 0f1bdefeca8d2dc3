"""Golden texts: what rbd of 16.2.15 printed for the same state, command for command."""

import dataclasses
import json
import time
from datetime import datetime, timezone
from typing import Iterator, Optional

import pytest

from mirror_mgr import output
from mirror_mgr.errors import InvalidArgument
from mirror_mgr.model import (
    Daemon,
    Health,
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
from mirror_mgr.supervisor.model import RUNNING, WorkerView
from mirror_mgr.worker.protocol import PoolReport

PEER = Peer("4f920809-ab7d-4724-bf94-d582d12ce764", "rx-tx", "site-a", "",
            "client.rbd-mirror-peer", "[v2:127.0.0.1:23000/0,v1:127.0.0.1:23001/0]")
DAEMON = Daemon("4290", "4292", "b", "client.b", "vm", "16.2.15", True, Health.OK)
NOW = datetime(2026, 11, 23, 12, 40, tzinfo=timezone.utc)
MINUTES_AGO = datetime(2026, 11, 23, 12, 36, 57, tzinfo=timezone.utc)
PEER_UUID = "dfb779e7-2fb2-42f9-9cc4-f1ed3d0f6aca"
IMAGE = ImageStatus(
    name="x", id="10457c683c48", global_id="82355061-36e9-47e5-9073-363a04c18e92",
    mode="snapshot", primary=True,
    local=SiteStatus("", "", "up+stopped", "local image is primary",
                     datetime(2026, 11, 23, 12, 38, 55, tzinfo=timezone.utc)),
    daemon=DAEMON,
    peers=(SiteStatus("d24f74ce-33ce-4be8-8b67-555394bbdc0f", "site-b", "up+replaying",
                      'replaying, {"replay_state":"idle"}',
                      datetime(2026, 11, 23, 12, 38, 57, tzinfo=timezone.utc)),),
    now=NOW, standing=Standing("primary", copied=MINUTES_AGO),
    copies=(Standing("up-to-date", "", NOW, MINUTES_AGO),),
    snapshots=(MirrorSnapshot(5, ".mirror.primary.8.6", False, ()),
               MirrorSnapshot(9, ".mirror.primary.8.7", True, (PEER_UUID,))))
UNKNOWN = ImageStatus(
    name="j", id="1", global_id="db0384c5", mode="journal", primary=False, daemon=None,
    local=SiteStatus("", "", "down+unknown", "status not found", None),
    peers=(SiteStatus("m", "site-a", "down+unknown", "status not found", None),),
    now=NOW, standing=Standing("unreplayed", "nobody has told of it"))
SYNCING = dataclasses.replace(UNKNOWN, name="s", daemon=DAEMON, standing=Standing(
    "syncing", "", MINUTES_AGO, datetime(2026, 11, 23, tzinfo=timezone.utc),
    SyncProgress(34.6, NOW, 700 << 20, 2 << 30, 120.5 * (1 << 20), 11.0)))


def bare(text: str) -> str:
    """Without the spaces at the ends of lines, where a value is empty."""
    return "\n".join(line.rstrip() for line in text.split("\n"))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_pool_info() -> None:
    assert output.pool_info_plain(PoolInfo("disabled")) == "Mode: disabled"
    assert output.pool_info_plain(PoolInfo("image", "site-a", ())) == (
        "Mode: image\nSite Name: site-a\n\nPeer Sites: none")
    assert bare(output.pool_info_plain(PoolInfo("image", "site-b", (PEER,)))) == """\
Mode: image
Site Name: site-b

Peer Sites:

UUID: 4f920809-ab7d-4724-bf94-d582d12ce764
Name: site-a
Mirror UUID:
Direction: rx-tx
Client: client.rbd-mirror-peer
Mon Host: [v2:127.0.0.1:23000/0,v1:127.0.0.1:23001/0]"""


def test_pool_info_of_remote_namespaces() -> None:
    info = PoolInfo("init-only", "site-b", (), "m", "")
    assert bare(output.pool_info_plain(info)) == """\
Mode: init-only
Site Name: site-b
Mirror UUID: m
Remote Namespace:

Peer Sites: none"""
    assert output.pool_info_json(info) == {
        "mode": "init-only", "site_name": "site-b", "mirror_uuid": "m", "remote_namespace": "",
        "peers": []}
    namespace = PoolInfo("pool", mirror_uuid="m", remote_namespace="other")
    assert output.pool_info_plain(namespace) == (
        "Mode: pool\nMirror UUID: m\nRemote Namespace: other")


def test_pool_info_leaves_out_what_a_direction_has_not() -> None:
    def shown(direction: str, mirror_uuid: str, client_name: str) -> str:
        peer = Peer("u", direction, "s", mirror_uuid, client_name)
        return output.pool_info_plain(PoolInfo("image", "a", (peer,)))

    assert "Mirror UUID" not in shown("rx-only", "", "client.c")
    assert "Mirror UUID: m" in shown("rx-only", "m", "client.c")
    assert "Client" not in shown("tx-only", "m", "")


def test_pool_info_json() -> None:
    assert output.pool_info_json(PoolInfo("disabled")) == {"mode": "disabled"}
    assert output.to_json(output.pool_info_json(PoolInfo("image", "site-a", ())), "json") == (
        '{"mode":"image","site_name":"site-a","peers":[]}')
    assert output.pool_info_json(PoolInfo("image", "b", (PEER,)))["peers"] == [{
        "uuid": "4f920809-ab7d-4724-bf94-d582d12ce764", "direction": "rx-tx",
        "site_name": "site-a", "mirror_uuid": "", "client_name": "client.rbd-mirror-peer",
        "mon_host": "[v2:127.0.0.1:23000/0,v1:127.0.0.1:23001/0]"}]


def test_pool_status() -> None:
    status = PoolStatus(Health.OK, Health.WARNING, {"unknown": 1, "replaying": 1})
    assert output.pool_status_plain(status) == """\
health: WARNING
daemon health: OK
image health: WARNING
images: 2 total
    1 unknown
    1 replaying"""
    assert output.pool_status_json(status) == {"summary": {
        "health": "WARNING", "daemon_health": "OK", "image_health": "WARNING",
        "states": {"unknown": 1, "replaying": 1}, "standings": {},
        "oldest_copy_age_seconds": None, "copies_of_unknown_age": 0}}
    told = output.pool_status_json(dataclasses.replace(status, images=(UNKNOWN, SYNCING)))
    assert told == {"summary": {**told["summary"], "oldest_copy_age_seconds": 45600.0,
                                "standings": {"unreplayed": 1, "syncing": 1},
                                "copies_of_unknown_age": 1}}


def test_pool_status_of_nothing_in_detail() -> None:
    status = PoolStatus(Health.UNKNOWN, Health.OK, {}, (), ())
    assert output.pool_status_plain(status) == """\
health: UNKNOWN
daemon health: UNKNOWN
image health: OK
images: 0 total

DAEMONS
  none

IMAGES
  none"""


def test_pool_status_in_detail() -> None:
    status = PoolStatus(Health.OK, Health.OK, {"replaying": 2}, (UNKNOWN, SYNCING, IMAGE),
                        (DAEMON,))
    assert bare(output.pool_status_plain(status)) == """\
health: OK
daemon health: OK
image health: OK
images: 2 total
    2 replaying

DAEMONS
service 4290:
  instance_id: 4292
  client_id: b
  hostname: vm
  version: 16.2.15
  leader: true
  health: OK


IMAGES
1 unreplayed, 1 syncing, 1 primary; oldest copy: 13 h, of s (1 of unknown age)

NAME  STATE        FOR    COPY AGE  REASON
j     unreplayed   -      -         nobody has told of it
s     syncing 35%  3 min  13 h
x     primary      -      3 min"""
    summary = output.pool_status_json(status)["summary"]
    assert list(summary["standings"].items()) == [("unreplayed", 1), ("syncing", 1), ("primary", 1)]
    assert summary["oldest_copy_age_seconds"] == 12 * 3600 + 40 * 60


def test_the_copy_that_never_came_is_the_oldest() -> None:
    never = dataclasses.replace(IMAGE, name="n", standing=Standing(
        "primary", "site-b: error: no space",
        none_since=datetime(2026, 11, 22, tzinfo=timezone.utc)))
    status = PoolStatus(Health.OK, Health.OK, {}, (SYNCING, never), (DAEMON,))
    text = output.pool_status_plain(status)
    assert "; oldest copy: > 37 h, of n\n" in text
    assert "n     primary      -      > 37 h    site-b: error: no space" in text
    summary = output.pool_status_json(status)["summary"]
    assert summary["oldest_copy_age_seconds"] == 36 * 3600 + 40 * 60


def test_callouts_of_a_daemon() -> None:
    daemon = Daemon("1", callouts=("a", "b"))
    status = PoolStatus(Health.OK, Health.OK, {}, (), (daemon,))
    assert "\n  callouts: [a,b]\n" in output.pool_status_plain(status)
    assert output.pool_status_json(status)["daemons"][0]["callouts"] == ["a", "b"]


def test_image_status() -> None:
    assert output.image_status_plain(IMAGE) == f"""\
x:
  global_id:   82355061-36e9-47e5-9073-363a04c18e92
  state:       up+stopped
  description: local image is primary
  service:     b on vm
  last_update: 2026-11-23 12:38:55
  peer_sites:
    name: site-b
    state: up+replaying
    description: replaying, {{"replay_state":"idle"}}
    last_update: 2026-11-23 12:38:57
  snapshots:
    5 .mirror.primary.8.6 (peer_uuids:[])
    9 .mirror.primary.8.7 (demoted peer_uuids:[{PEER_UUID}])
  standing:    primary
  worker:      b on vm as client.b
  copies:
    site-b: up-to-date since 2026-11-23T12:40:00Z (0 s ago); \
as of 2026-11-23T12:36:57Z (3 min ago)"""


def test_a_copy_that_syncs() -> None:
    assert output.image_status_plain(SYNCING).endswith("""\
  standing:    syncing since 2026-11-23T12:36:57Z (3 min ago)
  copy:        as of 2026-11-23T00:00:00Z (13 h ago)
  syncing:     35%, 700 MiB of about 2.0 GiB, 120 MiB/s, 11 s left
  worker:      b on vm as client.b""")
    assert output.image_status_json(SYNCING)["standing"] == {
        "state": "syncing", "reason": "", "since": "2026-11-23T12:36:57Z",
        "copy_time": "2026-11-23T00:00:00Z", "copy_age_seconds": 45600.0,
        "copy_none_since": None,
        "sync": {"percent": 34.6, "snapshot": "2026-11-23T12:40:00Z", "bytes_done": 700 << 20,
                 "bytes_total": 2 << 30, "bytes_per_second": 120.5 * (1 << 20),
                 "seconds_left": 11.0}}


def test_a_copy_of_which_little_is_known() -> None:
    assert output.image_status_plain(UNKNOWN).endswith("""\
  standing:    unreplayed
  reason:      nobody has told of it
  copy:        its age is not known""")


def test_a_copy_that_is_not_there_yet() -> None:
    since = dataclasses.replace(UNKNOWN, standing=Standing(
        "error", "no space", none_since=MINUTES_AGO))
    assert output.image_status_plain(since).endswith(
        "  copy:        none that is newer than 2026-11-23T12:36:57Z (3 min ago)")
    assert output.image_status_json(since)["standing"]["copy_none_since"] == "2026-11-23T12:36:57Z"


def test_a_copy_from_the_future_is_as_new_as_can_be() -> None:
    late = dataclasses.replace(SYNCING, standing=Standing("up-to-date", copied=datetime(
        2026, 11, 24, tzinfo=timezone.utc)))
    assert output.image_status_json(late)["standing"]["copy_age_seconds"] == 0.0


def test_split_brain() -> None:
    image = dataclasses.replace(IMAGE, copies=(), split_brain=SplitBrain(
        MINUTES_AGO, (SplitSide("site-b", True, MINUTES_AGO, 5 << 20),
                      SplitSide("site-a", None, None, None)),
        (WayOut("site-a", (("site-b", "do this"), ("site-b", "do that"))),), "no answer"))
    assert output.image_status_plain(image).endswith("""\
  split_brain:
    the sites were the same last at 2026-11-23T12:36:57Z (3 min ago)
    no answer
    site-b: primary, newest mirror snapshot of its own 2026-11-23T12:36:57Z (3 min ago), \
at most 5.0 MiB changed since they were the same
    site-a: not seen
    to keep what site-a has:
      at site-b: do this
      at site-b: do that""")
    assert output.image_status_json(image)["split_brain"] == {
        "diverged": "2026-11-23T12:36:57Z",
        "sites": [{"site_name": "site-b", "primary": True, "changed_bytes": 5 << 20,
                   "newest_snapshot": "2026-11-23T12:36:57Z"},
                  {"site_name": "site-a", "primary": None, "changed_bytes": None,
                   "newest_snapshot": None}],
        "ways_out": [{"keep": "site-a", "commands": [
            {"site": "site-b", "command": "do this"}, {"site": "site-b", "command": "do that"}]}],
        "peer_error": "no answer"}


@pytest.mark.parametrize("seconds, text", [
    (None, "-"), (0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5999, "100 min"), (6000, "2 h"),
    (172799, "48 h"), (172800, "2 d")])
def test_span(seconds: Optional[float], text: str) -> None:
    assert output.span(seconds) == text


def test_image_status_json() -> None:
    found = output.image_status_json(IMAGE)
    assert found["daemon_service"] == {
        "service_id": "4290", "instance_id": "4292", "daemon_id": "b", "hostname": "vm",
        "entity": "client.b"}
    assert found["peer_sites"] == [{
        "site_name": "site-b", "mirror_uuid": "d24f74ce-33ce-4be8-8b67-555394bbdc0f",
        "mirror_uuids": "d24f74ce-33ce-4be8-8b67-555394bbdc0f",
        "state": "up+replaying", "description": 'replaying, {"replay_state":"idle"}',
        "last_update": "2026-11-23 12:38:57", "standing": {
            "state": "up-to-date", "reason": "", "since": "2026-11-23T12:40:00Z",
            "copy_time": "2026-11-23T12:36:57Z", "copy_age_seconds": 183.0,
            "copy_none_since": None, "sync": None}}]
    assert "split_brain" not in found
    assert found["snapshots"][1] == {
        "id": 9, "name": ".mirror.primary.8.7", "demoted": True, "mirror_peer_uuids": [PEER_UUID]}
    unknown = output.image_status_json(UNKNOWN)
    assert "daemon_service" not in unknown
    assert "snapshots" not in unknown
    assert unknown["last_update"] == ""


def test_formats() -> None:
    assert output.check_format(None) == output.check_format("plain") == "plain"
    assert output.to_json({"a": 1}, output.check_format("json-pretty")) == '{\n    "a": 1\n}'
    with pytest.raises(InvalidArgument, match="'xml'"):
        output.check_format("xml")


WORKER = WorkerView(
    id="mirror-mgr.0", entity="client.rbd-mirror.mirror-mgr.0", pid=17, state=RUNNING,
    since=1795437535.0, restarts=2, images=3, rss_bytes=54 << 20, bytes_in_flight=1536,
    failing=False, last_error="", address="127.0.0.1:0/7", instance_id="4292",
    pools=(PoolReport(id=2, name="p", leader=True, images={"total": 3, "replaying": 2}),))


def test_workers() -> None:
    lines = output.workers_plain([WORKER]).splitlines()
    assert lines[0].split() == [
        "ID", "PID", "STATE", "SINCE", "RESTARTS", "POOLS", "IMAGES", "RSS", "IN", "FLIGHT"]
    assert lines[1] == (
        "mirror-mgr.0  17   running  2026-11-23 12:38:55  2         1      3       54 MiB  1.5 KiB")
    assert output.workers_plain([]) == (
        "ID  PID  STATE  SINCE  RESTARTS  POOLS  IMAGES  RSS  IN FLIGHT")


def test_a_name_adds_no_line_to_a_table() -> None:
    assert output.table(["NAME"], [["a\nb"]]) == "NAME\na\\nb"


def test_worker_status() -> None:
    text = output.worker_status_plain([WORKER])
    assert "  last error:" not in text
    assert text.endswith("  pools:\n    p: leader, 3 images (2 replaying)")


def test_workers_json() -> None:
    [found] = json.loads(output.to_json(output.workers_json([WORKER]), "json"))
    assert found["since"] == "2026-11-23T12:38:55Z"
    assert found["pools"] == [{"id": 2, "name": "p", "leader": True, "foreign_leader": None,
                               "images": {"total": 3, "replaying": 2}, "peer_error": None,
                               "removed": [], "removed_total": 0, "held_total": 0}]


@pytest.mark.parametrize("count, text", [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10 << 10, "10 KiB"), (3 << 30, "3.0 GiB"),
    (5000 << 40, "5000 TiB")])
def test_size(count: int, text: str) -> None:
    assert output.size(count) == text
