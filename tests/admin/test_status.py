from datetime import datetime
from typing import Any, Dict

import pytest

from mirror_mgr.admin import status
from mirror_mgr.admin.peer_probe import Sight
from mirror_mgr.admin.services import Services
from mirror_mgr.admin.specs import PoolSpec
from mirror_mgr.model import Health, SiteStatus

from .fakes import FakeSite

SILENT = SiteStatus("", "", "down+unknown", "status not found", None)


def said(**differs: Any) -> Dict[str, Any]:
    return {"state": 4, "description": "replaying", "up": True,
            "last_update": datetime(2026, 11, 23, 12, 38, 55), **differs}


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of rbd/librbd.h, where python-rbd is not installed."""
    for number, word in enumerate(("unknown", "error", "syncing", "starting_replay", "replaying",
                                   "stopping_replay", "stopped")):
        monkeypatch.setitem(status.STATUS_STATES, word, number)


def test_a_peer_that_speaks_and_one_that_does_not() -> None:
    names = {"m": "site-b", "n": "site-c"}
    spoken, silent = status._peers({"remote_statuses": [said(mirror_uuid="m")]}, names)
    assert (spoken.site_name, spoken.mirror_uuid, spoken.state) == ("site-b", "m", "up+replaying")
    assert spoken.last_update is not None
    assert spoken.last_update.isoformat() == "2026-11-23T12:38:55+00:00"
    assert silent == SiteStatus("n", "site-c", "down+unknown", "status not found", None)


def test_a_peer_that_was_removed_still_has_its_word() -> None:
    [site] = status._peers({"remote_statuses": [said(mirror_uuid="gone", up=False)]}, {})
    assert (site.site_name, site.state) == ("", "down+replaying")


def test_our_own_site() -> None:
    assert status._local(said(state=6)).state == "up+stopped"
    assert status._local(said(state=0, up=False, description="status not found",
                              last_update=datetime(1970, 1, 1))) == SILENT
    assert status._local({"remote_statuses": [said(mirror_uuid="m")]}) == SILENT


def test_a_pool_without_a_source_is_why_it_is_not_replayed(site: FakeSite) -> None:
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
