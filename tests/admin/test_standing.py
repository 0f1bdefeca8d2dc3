"""How images stand, by what workers and rbd-mirror daemons wrote into their statuses."""

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Optional

import pytest

from mirror_mgr import states
from mirror_mgr.admin.standing import of_copy, of_primary, of_site
from mirror_mgr.model import SiteStatus, Standing, SyncProgress
from mirror_mgr.worker import status as worker_status
from mirror_mgr.worker.protocol import ImageReport
from mirror_mgr.worker.status import SyncHistory, Syncing
from tests.replay.headers import copied, demoted, replica

SECOND = 10**9


def at(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)


SEEN = at(5000)


def said(state: str, text: str, **details: Any) -> SiteStatus:
    description = f"{text}, {json.dumps(details)}" if details else text
    return SiteStatus("m", "site-b", state, description, SEEN)


def replaying(**details: Any) -> SiteStatus:
    return said("up+replaying", "replaying", **details)


def worker_said(status: worker_status.ImageStatus) -> SiteStatus:
    return SiteStatus("m", "site-b", f"up+{status.state.name.lower()}", status.description, SEEN)


@pytest.mark.parametrize("site, state, reason", [
    # What the rbd-mirror daemon of 16.2.15 writes.
    (replaying(replay_state="idle", local_snapshot_timestamp=9, remote_snapshot_timestamp=9),
     states.UP_TO_DATE, ""),
    (replaying(replay_state="idle", local_snapshot_timestamp=8, remote_snapshot_timestamp=9),
     states.SYNCING, ""),
    (replaying(replay_state="idle", remote_snapshot_timestamp=9), states.WAITING,
     "the primary has no mirror snapshot to copy yet"),
    (replaying(replay_state="syncing", syncing_percent=3, local_snapshot_timestamp=8,
               remote_snapshot_timestamp=9), states.SYNCING, ""),
    (replaying(entries_behind_primary=0, entries_per_second=1.0), states.UP_TO_DATE, ""),
    (replaying(entries_behind_primary=7), states.SYNCING, "catching up, 7 entries behind"),
    (said("up+syncing", "bootstrapping, IMAGE_COPY/COPY_OBJECT 3%"), states.SYNCING,
     "bootstrapping, IMAGE_COPY/COPY_OBJECT 3%"),
    (said("up+replaying", "replaying"), states.WAITING, "replaying"),
    (said("up+replaying", "replaying, {broken"), states.WAITING, "replaying, {broken"),
    (said("up+starting_replay", "starting replay"), states.WAITING, "starting replay"),
    (said("up+stopping_replay", "stopping replay"), states.WAITING, "stopping replay"),
    (said("up+stopped", "local image is primary"), states.PRIMARY, ""),
    (said("up+stopped", "resync requested"), states.WAITING, "resync requested"),
    (said("up+stopped", "stopped"), states.STOPPED, "stopped"),
    (said("up+unknown", "remote image demoted"), states.DEMOTED, "remote image demoted"),
    (said("up+unknown", "remote image is not primary"), states.DEMOTED,
     "remote image is not primary"),
    (said("up+unknown", "remote image no longer exists"), states.WAITING,
     "remote image no longer exists"),
    (said("up+unknown", "waiting"), states.WAITING, "waiting"),
    (said("up+error", "failed to open remote image"), states.ERROR, "failed to open remote image"),
    (said("up+error", "split-brain"), states.SPLIT_BRAIN, ""),
    (said("up+error", "split-brain detected: failed to find"), states.SPLIT_BRAIN,
     "detected: failed to find"),
    (said("down+error", "split-brain"), states.UNREPLAYED,
     "the worker or rbd-mirror daemon that replayed it is gone"),
    (SiteStatus("", "", "down+unknown", "status not found", None), states.UNREPLAYED,
     "no worker and no rbd-mirror daemon replays it"),
])
def test_the_word(site: SiteStatus, state: str, reason: str) -> None:
    found = of_site(site)
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize("status", [
    worker_status.starting(), worker_status.primary(),
    worker_status.demoted("remote image demoted"), worker_status.stopped("stopped"),
    worker_status.resyncing(), worker_status.failed("no space"),
    worker_status.failed("split-brain: gone", True),
    worker_status.replaying(SyncHistory(), 9 * SECOND, 9 * SECOND, False),
    worker_status.replaying(SyncHistory(), 9 * SECOND, 8 * SECOND, False, Syncing(1, 9 * SECOND)),
    worker_status.replaying(SyncHistory(), 9 * SECOND, None, False),
    worker_status.primary_gone(5, 9, False, "p"), worker_status.primary_gone(5, 9, True, "p"),
])
def test_a_worker_and_the_reader_of_its_status_say_the_same(
        status: worker_status.ImageStatus) -> None:
    assert of_site(worker_said(status)).state == status.standing


def test_the_word_that_a_worker_wrote_counts() -> None:
    found = of_site(replaying(replay_state="idle", local_snapshot_timestamp=9, note="locked by x",
                              remote_snapshot_timestamp=9, standing="waiting", standing_since=77))
    assert found == Standing(states.WAITING, "locked by x", at(77), at(9))
    assert of_site(replaying(standing="up-to-date", unverified="by x")).reason == "by x"
    assert of_site(replaying(standing="happy")).state == states.WAITING


def test_a_sync_in_figures() -> None:
    found = of_site(replaying(
        replay_state="syncing", syncing_percent=25, syncing_snapshot_timestamp=9,
        syncing_bytes=100, syncing_bytes_total=400, bytes_per_second=50.0, seconds_until_synced=6))
    assert found.sync == SyncProgress(25.0, at(9), 100, 400, 50.0, 6)
    assert of_site(replaying(replay_state="syncing", syncing_percent=25)).sync == SyncProgress(25.0)


def test_journal_mode() -> None:
    first = of_site(said("up+syncing", "bootstrapping, IMAGE_SYNC/COPY_IMAGE 33%"))
    assert first.sync == SyncProgress(33.0)
    assert of_site(said("up+syncing", "bootstrapping, IMAGE_SYNC/NOTIFY")).sync is None
    assert of_site(replaying(entries_behind_primary=0, copied_timestamp=9)).copied == at(9)


def test_a_dead_worker_s_last_word_tells_how_old_the_copy_is() -> None:
    found = of_site(replace(replaying(local_snapshot_timestamp=9), state="down+replaying"))
    assert found == Standing(states.UNREPLAYED, found.reason, SEEN, at(9))


class TestACopy:
    def report(self, state: str, copied: Optional[float] = 3.0) -> ImageReport:
        return ImageReport("p/x", "g", state, "why", 70.0, copied)

    def test_our_own_worker_knows_since_when(self) -> None:
        failed = said("up+error", "no space")
        found = of_copy(failed, None, self.report(states.ERROR))
        assert (found.since, found.copied) == (at(70), at(3))
        assert of_copy(failed, None, self.report(states.WAITING)).since is None

    def test_our_own_worker_knows_why_nobody_replays(self) -> None:
        gone = replace(replaying(), state="down+replaying")
        assert of_copy(gone, None, None, "no answer").reason == "no answer"
        assert of_copy(replaying(standing="up-to-date"), None, None, "no answer").reason == ""

    def test_its_snapshot_tells_what_nobody_else_does(self) -> None:
        failed = said("up+error", "no space")
        assert of_copy(failed, replica(copied(7, of=3)), None).copied == at(7)
        assert of_copy(failed, replica(copied(7, of=3), copied(8, of=4, complete=False)),
                       None).copied == at(7)
        assert of_copy(failed, replica(), None).copied is None

    def test_changes_of_its_own_are_no_copy(self) -> None:
        split = said("up+error", "split-brain")
        assert of_copy(split, replica(copied(7, of=3), demoted(8)), None).copied is None
        gone = replace(split, state="down+error")
        assert of_copy(gone, replica(copied(7, of=3), demoted(8)), None).copied is None
        assert of_copy(split, replica(copied(7, of=3)), None).copied == at(7)

    def test_demoted_since(self) -> None:
        found = of_copy(said("up+unknown", "remote image is not primary"),
                        replica(demoted(8)), None)
        assert (found.since, found.copied) == (at(8), at(8))


class TestAPrimary:
    def stand(self, *sites: SiteStatus) -> Standing:
        return of_primary([(site, of_site(site)) for site in sites])

    def test_its_age_is_that_of_the_oldest_copy(self) -> None:
        one, two = (replaying(replay_state="idle", local_snapshot_timestamp=time,
                              remote_snapshot_timestamp=9) for time in (9, 8))
        assert self.stand(one, two) == Standing(states.PRIMARY, copied=at(8))
        assert self.stand(one, said("up+error", "x")).copied is None

    def test_trouble_with_a_copy_is_told(self) -> None:
        found = self.stand(said("up+error", "no space"))
        assert (found.state, found.reason) == (states.PRIMARY, "site-b: error: no space")
        assert "gone" in self.stand(replace(replaying(), state="down+replaying")).reason

    def test_nobody_copies_it(self) -> None:
        silent = SiteStatus("m", "site-b", "down+unknown", "status not found", None)
        for sites in ((), (silent,)):
            assert "no site" in self.stand(*sites).reason

    @pytest.mark.parametrize("site", [said("up+error", "split-brain"),
                                      said("up+stopped", "local image is primary")])
    def test_split_brain(self, site: SiteStatus) -> None:
        found = self.stand(site)
        assert (found.state, "site-b" in found.reason) == (states.SPLIT_BRAIN, True)
