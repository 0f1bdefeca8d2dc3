from typing import Dict, Optional

import pytest

from mirror_mgr.admin import status
from mirror_mgr.admin.mirrored import Mirrored
from mirror_mgr.admin.peer_probe import Sight
from mirror_mgr.admin.services import Services
from mirror_mgr.admin.specs import PoolSpec
from mirror_mgr.model import Health, SiteStatus, Standing
from mirror_mgr.wire import mirror as wire
from mirror_mgr.wire.constants import ImageMode, StatusState
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.worker.protocol import ImageReport
from tests.replay import headers

from .fakes import FakeSite

SILENT = SiteStatus("", "", "down+unknown", "status not found", None)
SECONDS = 1795437535
PEERS = {"m": status._Peer("u", "site-b"), "n": status._Peer("v", "site-c")}


def said(mirror_uuid: str = "", state: StatusState = StatusState.REPLAYING,
         description: str = "replaying", up: bool = True) -> wire.SiteStatus:
    return wire.SiteStatus(mirror_uuid, state, description, SECONDS * 10**9 + 5, up)


def test_a_peer_that_speaks_and_one_that_does_not() -> None:
    spoken, silent = status._others((said(), said("m")), PEERS)
    assert (spoken.site_name, spoken.mirror_uuid, spoken.state) == ("site-b", "m", "up+replaying")
    assert spoken.last_update is not None
    assert spoken.last_update.isoformat() == "2026-11-23T12:38:55+00:00"
    assert silent == SiteStatus("n", "site-c", "down+unknown", "status not found", None)


def test_a_peer_that_was_removed_still_has_its_word() -> None:
    [site] = status._others((said("gone", up=False),), {})
    assert (site.site_name, site.state) == ("", "down+replaying")


def test_our_own_site() -> None:
    assert status._local((said("m"), said(state=StatusState.STOPPED))).state == "up+stopped"
    assert status._local((said("m"),)) == SILENT
    assert status._local(()) == SILENT


def test_what_a_site_wrote_may_be_anything() -> None:
    found = status._local((said(description="\udcff" + "x" * 10000),)).description
    assert found[0] == "\ufffd" and len(found) < 5000


def facts(primary: bool = False, *statuses: wire.SiteStatus,
          header: Optional[ImageHeader] = None) -> Mirrored:
    return Mirrored("id-x", "x", "global-x", ImageMode.SNAPSHOT, primary, statuses, header)


def stand(found: Mirrored, *reports: ImageReport) -> Standing:
    by_id = {report.global_id: report for report in reports}
    return status._told(found, PEERS, None, status._Hearsay(by_id, "")).standing


def test_what_a_worker_says_counts_until_it_is_written_down() -> None:
    report = ImageReport("p/x", "global-x", "syncing", "", 70.0)
    assert stand(facts(), report).state == "syncing"
    assert stand(facts(False, said(description='replaying, {"standing":"up-to-date"}')),
                 report).state == "up-to-date"


def test_a_demoted_image() -> None:
    found = facts(False, said(state=StatusState.UNKNOWN, description="remote image demoted"))
    assert stand(found).state == "demoted"
    assert status._told(found, PEERS, None, status._Hearsay({}, "")).local.description == (
        "remote image demoted")


def test_since_when_the_primary_waits_for_its_copies() -> None:
    header = headers.writable(headers.primary(4, peers={"v"}), headers.primary(7, peers={"u", "v"}),
                              headers.primary(9, peers={"u"}))
    failed = [said(uuid, StatusState.ERROR, "no space") for uuid in ("m", "n")]
    found = status._told(facts(True, *failed, header=header), PEERS, None,
                         status._Hearsay({}, ""))
    assert [copy.none_since and copy.none_since.timestamp() for copy in found.copies] == [7, 4]
    assert found.standing.none_since and found.standing.none_since.timestamp() == 4


def test_images_of_the_peer_that_have_no_copy_are_counted() -> None:
    reports = [ImageReport("p/ns/x", "g1", "error", "its name is taken", 70.0),
               ImageReport("p/y", "g2", "error"), ImageReport("p/ns/z", "g3", "up-to-date"),
               ImageReport("p/ns/w", "g4", "demoted", "remote image demoted"),
               # They are mirrored no more, and the worker has not said so yet.
               ImageReport("p/ns/v", "g5", "up-to-date"), ImageReport("p/ns/u", "g6", "primary")]
    one, two = status._without_copy(PoolSpec("p", "ns"), reports, {"g3"})
    assert (one.name, one.local.state, one.standing.reason) == (
        "x", "up+error", "its name is taken")
    assert one.standing.none_since and one.standing.none_since.timestamp() == 70
    assert (two.name, two.local.state, two.standing.state) == ("w", "up+unknown", "demoted")


def test_a_pool_without_a_source_is_why_it_is_not_replayed(site: FakeSite) -> None:
    site.wait_for_latest_osdmap()
    ioctx, spec = site.open_ioctx("p"), PoolSpec("p", "ns")
    witnesses = status.Witnesses(
        lambda pool_id: Services((), Health.OK), {}, {"p": "no answer"}, lambda *args: Sight())

    def trouble() -> str:
        return status._hearsay(ioctx, witnesses, spec).trouble

    for direction, says in ((None, "bootstrap import p"), (1, "bootstrap import p"),
                            (0, "no answer")):
        if direction is not None:
            site.pools["p"].add_peer("b", direction=direction)
        assert says in trouble()


@pytest.mark.parametrize("states, health", [
    ({}, Health.OK),
    ({"replaying": 1, "stopped": 2}, Health.OK),
    ({"replaying": 1, "syncing": 1}, Health.WARNING),
    ({"unknown": 1}, Health.WARNING),
    ({"unknown": 1, "error": 1}, Health.ERROR),
])
def test_image_health(states: Dict[str, int], health: Health) -> None:
    assert status.image_health(states) == health
