"""What another site wrote into a status may be anything: no command fails by it."""

import json
from datetime import datetime, timezone
from typing import Any, Dict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_mgr import output, states
from mirror_mgr.admin import standing, status
from mirror_mgr.admin.mirrored import Mirrored
from mirror_mgr.model import Health, PoolStatus, SiteStatus
from mirror_mgr.wire import mirror as wire
from mirror_mgr.wire.constants import ImageMode, StatusState
from mirror_mgr.worker.protocol import ImageReport

PEERS = {"m": status._Peer("u", "site-b")}
SEEN = datetime(2026, 11, 23, tzinfo=timezone.utc)
KEYS = ["standing", "standing_since", "note", "unverified", "local_snapshot_timestamp",
        "remote_snapshot_timestamp", "copied_timestamp", "syncing_percent",
        "syncing_snapshot_timestamp", "syncing_bytes", "syncing_bytes_total", "bytes_per_second",
        "seconds_until_synced", "entries_behind_primary", "replay_state"]

numbers = st.one_of(st.integers(), st.floats(), st.sampled_from(
    [1e30, -1e30, 1 << 32, (1 << 32) - 1, 253402300800, 10**4000, 1e308]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(), st.sampled_from(states.ALL)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3)
details = st.dictionaries(st.sampled_from(KEYS), values).map(
    lambda found: "replaying, " + json.dumps(found))
descriptions = st.one_of(
    details, st.text(), st.text().map(lambda text: "replaying, {" + text),
    st.sampled_from(["bootstrapping, COPY 33%", "x " + "9" * 5000 + "%", "replaying, " + "{" * 3000,
                     "split-brain: \x1b[2J" + "x" * 5000, "y\udcff\n"]),
    st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
reports = st.builds(
    ImageReport, st.just("p/x"), st.just("g"), st.sampled_from(states.ALL) | st.text(), st.text(),
    st.floats(), st.none() | st.floats())


def show(found: Mirrored, said: Dict[str, ImageReport]) -> None:
    image = status._told(found, PEERS, None, status._Hearsay(said, ""))
    pool = PoolStatus(Health.OK, Health.OK, {}, (image,), ())
    for text in (output.image_status_plain(image), output.pool_status_plain(pool),
                 json.dumps(output.pool_status_json(pool), allow_nan=False)):
        assert len(text.encode()) < 100000
    for stands in (image.standing, *image.copies):
        assert stands.state in states.ALL


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(StatusState), descriptions, st.booleans(), st.integers(0, (1 << 64) - 1),
       st.booleans(), st.none() | reports)
def test_any_description(state: StatusState, description: str, up: bool, updated: int,
                         primary: bool, report: Any) -> None:
    said = tuple(wire.SiteStatus(uuid, state, description, updated % (10**9 << 32), up)
                 for uuid in ("", "m", "gone"))
    show(Mirrored("i", "x", "g", ImageMode.SNAPSHOT, primary, said, None),
         {"g": report} if report else {})


@pytest.mark.parametrize("odd", [1e30, -5, True, "5", [5], {}, float("nan"), float("inf"), 1 << 32])
def test_what_can_t_be_a_time_is_none(odd: Any) -> None:
    said = SiteStatus("m", "site-b", "up+replaying", "replaying, " + json.dumps({
        "standing": "up-to-date", "standing_since": odd, "local_snapshot_timestamp": odd,
        "copied_timestamp": 9}), SEEN)
    found = standing.of_site(said)
    assert (found.state, found.since) == (states.UP_TO_DATE, None)
    assert found.copied == datetime.fromtimestamp(9, timezone.utc)


def test_a_description_is_a_line() -> None:
    said = wire.SiteStatus("", StatusState.ERROR, "no\x1b[2J\nspace, \udcff" + "x" * 9000, 5, True)
    found = status._local((said,)).description
    assert found.startswith("no [2J space, \ufffdx") and len(found) == 4000


def test_a_reason_is_a_line() -> None:
    said = SiteStatus("m", "site-b", "up+error", "no\x1b[2J space\n" + "x" * 3000, SEEN)
    reason = standing.of_site(said).reason
    assert reason.startswith("no [2J space x") and len(reason) == 500
