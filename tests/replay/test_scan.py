"""What is to be done, for every pair of headers that a pair of sites can come to."""

import pytest

from mirror_mgr.replay import scan
from mirror_mgr.replay.scan import (
    Broken,
    Idle,
    NeedsSnapshot,
    Plan,
    Stopped,
    Sync,
    Waiting,
    made_by_us,
    snapshot_name,
)
from mirror_mgr.wire.constants import NOSNAP
from tests.replay.headers import (
    DAEMONS,
    GLOBAL_ID,
    INHERITED,
    LINK,
    NOBODY,
    OURS,
    US,
    copied,
    copying,
    demoted,
    orphan,
    primary,
    replica,
    trashed,
    user,
    writable,
)

THEM = frozenset({"peer-them"})


def plan(local, remote):
    return scan.plan(GLOBAL_ID, local, remote, LINK)


def action(local, remote):
    return plan(local, remote).action


class TestFirstSync:
    """There is no copy yet, or none that holds a snapshot."""

    @pytest.mark.parametrize("local", [None, replica(), replica(user(1))])
    def test_from_nothing(self, local):
        assert plan(local, writable(primary(3))) == Plan(Sync(0, primary(3)))

    def test_to_the_newest(self):
        remote = writable(user(2), primary(3), user(4), primary(5), user(6))
        assert action(None, remote) == Sync(0, primary(5))

    def test_to_the_newest_that_is_ours(self):
        assert action(None, writable(primary(3), primary(5, peers=THEM))) == Sync(0, primary(3))

    def test_to_the_newest_that_is_complete(self):
        assert action(None, writable(primary(3), primary(5, complete=False))) == Sync(0, primary(3))

    def test_of_an_image_that_was_demoted_since(self):
        """A copy was begun."""
        assert action(replica(), replica(primary(3), demoted(5))) == Sync(0, demoted(5))

    @pytest.mark.parametrize("local", [None, replica()])
    @pytest.mark.parametrize("remote, snap_id", [
        (writable(), 0),
        (writable(user(2)), 0),
        (writable(primary(3, peers=NOBODY)), 3),
        (writable(primary(3, peers=THEM), primary(5, peers=THEM)), 5),
    ])
    def test_without_a_snapshot_for_us_one_is_needed(self, local, remote, snap_id):
        assert action(local, remote) == NeedsSnapshot(snap_id)

    def test_a_snapshot_that_is_being_made_is_waited_for(self):
        assert isinstance(action(None, writable(primary(3, complete=False))), Waiting)

    @pytest.mark.parametrize("remote", [
        replica(),
        replica(primary(3), demoted(5)),
        replica(primary(3)),
        replica(copied(3, of=8, primary_uuid="third")),
        replica(copying(3, of=8, primary_uuid="third")),
        replica(copied(3, of=8, primary_uuid="third", demoted=True, peers=US)),
        replica(copied(3, of=8, primary_uuid=LINK.local_uuid, demoted=True, peers=US)),
    ])
    def test_not_of_an_image_that_is_no_primary(self, remote):
        assert action(None, remote) == Stopped(scan.NO_PRIMARY)

    def test_of_an_image_demoted_before_it_knew_us(self):
        """Nobody removes the demotion of an image that is demoted."""
        assert action(replica(), replica(demoted(3, peers=NOBODY))) == Sync(
            0, demoted(3, peers=NOBODY))

    @pytest.mark.parametrize("newest", [
        copied(8, of=9, primary_uuid=LINK.local_uuid),
        copying(8, of=9, primary_uuid=LINK.local_uuid),
        copied(8, of=9, primary_uuid="third", demoted=True),
        orphan(8),
    ])
    def test_not_of_what_was_primary_once(self, newest):
        """It has snapshots from when it was."""
        remote = replica(primary(3), demoted(5), newest)
        assert action(replica(), remote) == Stopped("remote image is not primary")


class TestIncremental:
    def test_what_is_copied_needs_nothing(self):
        assert plan(replica(copied(7, of=3)), writable(primary(3))) == Plan(Idle())

    def test_user_snapshots_alone_are_no_reason(self):
        assert action(replica(copied(7, of=3)), writable(primary(3), user(4))) == Idle()

    def test_from_the_one_that_both_have(self):
        assert plan(replica(copied(7, of=3)), writable(primary(3), primary(5))) == Plan(
            Sync(3, primary(5), base=copied(7, of=3)))

    def test_to_the_newest_at_once(self):
        remote = writable(primary(3), primary(5), user(6), primary(8), primary(9))
        assert action(replica(copied(7, of=3)), remote) == Sync(3, primary(9), copied(7, of=3))

    def test_to_the_newest_that_is_ours_and_complete(self):
        remote = writable(primary(3), primary(5), primary(6, peers=THEM),
                          primary(8, complete=False))
        assert action(replica(copied(7, of=3)), remote) == Sync(3, primary(5), copied(7, of=3))

    def test_from_the_newest_that_is_complete(self):
        local = replica(copied(6, of=2), user(7), copied(8, of=3))
        assert action(local, writable(primary(2), primary(3), primary(5))) == Sync(
            3, primary(5), copied(8, of=3))

    def test_the_shared_snapshot_need_not_name_us_any_more(self):
        remote = writable(primary(3, peers=NOBODY), primary(5))
        assert action(replica(copied(7, of=3)), remote) == Sync(3, primary(5), copied(7, of=3))

    def test_a_later_snapshot_without_us_is_told_of(self):
        remote = writable(primary(3), primary(5, peers=THEM))
        assert action(replica(copied(7, of=3)), remote) == NeedsSnapshot(5)

    def test_a_later_snapshot_that_is_being_made_is_waited_for(self):
        remote = writable(primary(3), primary(5, complete=False))
        assert isinstance(action(replica(copied(7, of=3)), remote), Waiting)

    def test_to_the_demotion(self):
        remote = replica(primary(3), demoted(5))
        assert action(replica(copied(7, of=3)), remote) == Sync(3, demoted(5), copied(7, of=3))


class TestResume:
    LOCAL_BASE = copied(7, of=3)
    REMOTE = writable(primary(3), primary(5))

    @pytest.mark.parametrize("done", [0, 40])
    def test_our_own_attempt(self, done):
        attempt = copying(8, of=5, done=done)
        assert action(replica(self.LOCAL_BASE, attempt), self.REMOTE) == Sync(
            3, primary(5), self.LOCAL_BASE, attempt)

    def test_the_daemon_s_attempt_that_came_somewhere(self):
        attempt = copying(8, of=5, done=40, by=DAEMONS)
        assert action(replica(self.LOCAL_BASE, attempt), self.REMOTE) == Sync(
            3, primary(5), self.LOCAL_BASE, attempt)

    def test_the_daemon_s_attempt_that_recorded_nothing_is_made_anew(self):
        attempt = copying(8, of=5, done=0, by=DAEMONS)
        assert action(replica(self.LOCAL_BASE, attempt), self.REMOTE) == Sync(
            3, primary(5), self.LOCAL_BASE, dirty=True)

    @pytest.mark.parametrize("by", [OURS, DAEMONS])
    @pytest.mark.parametrize("done", [0, 40])
    def test_the_first_sync(self, by, done):
        attempt = copying(8, of=5, done=done, by=by)
        assert action(replica(attempt), writable(primary(5))) == Sync(
            0, primary(5), resume=attempt)

    def test_it_ends_at_its_own_snapshot_however_many_followed(self):
        attempt = copying(8, of=5)
        remote = writable(primary(3), primary(5), primary(6), demoted(9))
        assert action(replica(self.LOCAL_BASE, attempt), remote) == Sync(
            3, primary(5), self.LOCAL_BASE, attempt)

    @pytest.mark.parametrize("remote", [
        writable(primary(3), primary(6)),
        writable(primary(3), primary(5, peers=THEM), primary(6)),
    ])
    def test_a_snapshot_that_is_gone_leaves_its_data(self, remote):
        assert plan(replica(self.LOCAL_BASE, copying(8, of=5, done=9)), remote) == Plan(
            Sync(3, primary(6), self.LOCAL_BASE, dirty=True))

    @pytest.mark.parametrize("by", [OURS, DAEMONS])
    def test_a_user_snapshot_that_is_gone_leaves_its_data_too(self, by):
        """The attempt may have written what the maps of the snapshots that are left never tell."""
        attempt = copying(9, of=5, done=9, by=by, snap_seqs={2: 6, 4: 8, 5: NOSNAP})
        local = replica(self.LOCAL_BASE, user(8), attempt)
        for remote, dirty in (
                (writable(user(2), primary(3), user(4), primary(5)), False),
                (writable(primary(3), user(4), primary(5)), False),
                (writable(user(2), primary(3), primary(5)), True)):
            assert action(local, remote) == Sync(
                3, primary(5), self.LOCAL_BASE, attempt, dirty=dirty)

    def test_an_attempt_whose_snapshots_were_taken_back_is_begun_anew(self):
        """As a promotion by force does, which then may have failed."""
        attempt = copying(9, of=5, done=9, snap_seqs={2: 6, 4: 8, 5: NOSNAP})
        remote = writable(user(2), primary(3), user(4), primary(5))
        assert action(replica(self.LOCAL_BASE, attempt), remote) == Sync(
            3, primary(5), self.LOCAL_BASE, dirty=True)

    def test_in_the_first_sync_too(self):
        assert action(replica(copying(8, of=5, done=9)), writable(primary(6))) == Sync(
            0, primary(6), dirty=True)

    def test_an_attempt_after_one_that_was_given_up(self):
        attempt = copying(9, of=6)
        local = replica(self.LOCAL_BASE, copying(8, of=5, done=9), attempt)
        assert action(local, writable(primary(3), primary(6))) == Sync(
            3, primary(6), self.LOCAL_BASE, attempt, dirty=True)

    def test_the_later_of_two_attempts_at_one_snapshot(self):
        earlier, later = copying(8, of=5, done=7, by=DAEMONS), copying(9, of=5)
        assert action(replica(self.LOCAL_BASE, earlier, later), self.REMOTE) == Sync(
            3, primary(5), self.LOCAL_BASE, later, dirty=True)

    def test_what_was_finished_later_is_no_longer_dirty(self):
        local = replica(self.LOCAL_BASE, copying(8, of=5), copied(9, of=6))
        assert action(local, writable(primary(6), primary(9))) == Sync(
            6, primary(9), copied(9, of=6))

    def test_nothing_can_be_done_about_it_before_the_next_snapshot(self):
        local = replica(self.LOCAL_BASE, copying(8, of=5, done=9))
        assert plan(local, writable(primary(3))) == Plan(Idle())

    def test_nothing_to_resume_while_the_next_is_being_made(self):
        remote = writable(primary(3), primary(6, complete=False))
        assert isinstance(action(replica(self.LOCAL_BASE, copying(8, of=5)), remote), Waiting)


class TestRebase:
    """A daemon's snapshot shows the data of before its sync."""

    REMOTE = writable(primary(3), primary(5))

    @pytest.mark.parametrize("by, rebase", [(OURS, False), (INHERITED, False), (DAEMONS, True)])
    def test_only_of_a_daemon_s(self, by, rebase):
        base = copied(7, of=3, by=by)
        assert action(replica(base), self.REMOTE) == Sync(3, primary(5), base, rebase=rebase)

    def test_not_once_data_was_written_on_top_of_it(self):
        base, attempt = copied(7, of=3, by=DAEMONS), copying(8, of=5, done=4)
        assert action(replica(base, attempt), self.REMOTE) == Sync(3, primary(5), base, attempt)

    def test_not_of_a_demotion_of_our_own(self):
        remote = writable(copied(4, of=7, primary_uuid=LINK.local_uuid, demoted=True), primary(5))
        assert action(replica(demoted(7)), remote) == Sync(
            4, primary(5), demoted(7), restore=True)


class TestNames:
    def test_ours_tell_whether_the_copy_is_verified(self):
        assert made_by_us(GLOBAL_ID, copied(7, of=3, by=OURS)) is True
        assert made_by_us(GLOBAL_ID, copied(7, of=3, by=INHERITED)) is False
        assert made_by_us(GLOBAL_ID, copied(7, of=3, by=DAEMONS)) is None

    @pytest.mark.parametrize("base, found", [
        (None, False), (copied(7, of=3, by=OURS), False), (copied(7, of=3, by=INHERITED), True),
        (copied(7, of=3, by=DAEMONS), True), (primary(7), False), (demoted(7), False)])
    def test_what_a_daemon_may_have_left_stale(self, base, found):
        assert scan.inherited(GLOBAL_ID, base) is found

    def test_ours_are_ours_for_this_image_and_snapshot_only(self):
        name = snapshot_name(GLOBAL_ID, LINK.remote_uuid, 3, True)
        others = [snapshot_name("other", LINK.remote_uuid, 3, True),
                  snapshot_name(GLOBAL_ID, "other", 3, True),
                  snapshot_name(GLOBAL_ID, LINK.remote_uuid, 4, True),
                  snapshot_name(GLOBAL_ID, LINK.remote_uuid, 3, False)]
        assert name not in others and len(set(others)) == 4
        assert made_by_us("other", copied(7, of=3)) is None

    def test_they_look_like_a_daemon_s(self):
        name = snapshot_name(GLOBAL_ID, LINK.remote_uuid, 3, True)
        daemons = copied(7, of=3, by=DAEMONS).name
        assert name.rpartition(".")[0] == daemons.rpartition(".")[0]
        assert [len(part) for part in name.split("-")] == [len(p) for p in daemons.split("-")]

    def test_they_never_change(self):
        """What an older worker made must be known as ours for ever."""
        assert snapshot_name("g", "p", 3, True) == (
            ".mirror.non_primary.g.b97bbd51-a308-5e1e-a7b9-6429fa36f45a")


class TestWhatIsDroppedAndUnlinked:
    def test_what_was_kept_for_clones_that_are_gone(self):
        """A snapshot that the primary removed while it had clones here."""
        unneeded, needed = trashed(4), trashed(6, clones=1)
        local = replica(unneeded, copied(5, of=1), needed, copied(8, of=3))
        assert plan(local, writable(primary(3))) == Plan(Idle(), (unneeded, copied(5, of=1)))

    def test_what_is_older_than_the_base(self):
        local = replica(copied(5, of=1), copying(6, of=2, done=3), user(7), copied(8, of=3))
        remote = writable(primary(1), primary(2), primary(3))
        assert plan(local, remote) == Plan(
            Idle(), (copied(5, of=1), copying(6, of=2, done=3)), (primary(1), primary(2)))

    def test_the_same_before_a_sync(self):
        local = replica(copied(5, of=1), copied(8, of=3))
        found = plan(local, writable(primary(1), primary(3), primary(4)))
        assert found == Plan(
            Sync(3, primary(4), copied(8, of=3)), (copied(5, of=1),), (primary(1),))

    def test_never_the_base_nor_what_it_stands_for(self):
        found = plan(replica(copied(8, of=3)), writable(primary(3), primary(4), primary(5)))
        assert (found.drop_local, found.unlink_remote) == ((), ())

    def test_never_an_attempt_before_a_later_one_is_complete(self):
        """It is what tells that the image was written to."""
        local = replica(copied(8, of=3), copying(9, of=4), copying(10, of=5))
        assert plan(local, writable(primary(3), primary(6))).drop_local == ()
        assert plan(replica(copying(9, of=4)), writable(primary(6))).drop_local == ()

    def test_never_what_another_peer_waits_for(self):
        local = replica(copied(5, of=1, peers=THEM, demoted=True), copied(8, of=3))
        assert plan(local, writable(primary(3))).drop_local == ()

    def test_never_a_primary_snapshot_made_here(self):
        """It is for the other site to say that it needs it no more."""
        local = replica(primary(4, peers=NOBODY), demoted(5, peers=NOBODY), copied(8, of=3))
        assert plan(local, writable(primary(3))).drop_local == ()

    def test_only_what_waits_for_us_is_unlinked(self):
        remote = writable(primary(1, peers=THEM), primary(2, peers=THEM | {LINK.peer_uuid}),
                          copied(4, of=1, primary_uuid="third"), primary(5))
        assert plan(replica(copied(8, of=5)), remote).unlink_remote == (
            primary(2, peers=THEM | {LINK.peer_uuid}),)

    def test_of_a_demoted_image_nothing_is_unlinked_that_could_not_be_removed(self):
        """Nor of one that is just being promoted: its snapshot comes before it is writable."""
        local = replica(copied(8, of=5))
        assert plan(local, replica(primary(3), demoted(5))).unlink_remote == ()
        assert plan(local, replica(primary(3), primary(5))).unlink_remote == ()
        assert plan(local, writable(primary(3), primary(5))).unlink_remote == (primary(3),)

    @pytest.mark.parametrize("local, remote", [
        (writable(copied(5, of=1), copied(8, of=3)), writable(primary(1), primary(3))),
        (replica(copied(5, of=1), orphan(8)), writable(primary(1), primary(3))),
        (replica(copied(5, of=1), copied(8, of=2)), writable(primary(1), primary(3))),
        (replica(copied(5, of=1), demoted(8)), writable(primary(1), primary(3))),
        (None, writable(primary(1), primary(3))),
    ])
    def test_nothing_where_the_sides_do_not_fit(self, local, remote):
        found = plan(local, remote)
        assert (found.drop_local, found.unlink_remote) == ((), ())


class TestDemotion:
    """Before all of it is here, nothing may look like a demotion: librbd would promote it."""

    BASE = copied(7, of=3)
    REMOTE = replica(primary(3), demoted(5))

    @pytest.mark.parametrize("ending, dirty", [(".clean-9", False), (".dirty-9", True)])
    def test_our_own_attempt_is_resumed(self, ending, dirty):
        attempt = copying(8, of=5, ending=ending)
        assert action(replica(self.BASE, attempt), self.REMOTE) == Sync(
            3, demoted(5), self.BASE, attempt, dirty=dirty)

    def test_the_id_that_is_kept_for_the_demotion(self):
        name = scan.attempt_name("x", 0x1f, dirty=True)
        assert scan.demoted_id(copying(8, of=5, ending=name[1:])) == 0x1f
        assert scan.demoted_id(copying(8, of=5)) is None
        assert scan.demoted_id(user(8, name)) is None

    @pytest.mark.parametrize("by", [OURS, DAEMONS])
    @pytest.mark.parametrize("done", [0, 40])
    def test_one_that_can_be_promoted_is_not(self, by, done):
        attempt = copying(8, of=5, demoted=True, by=by, done=done)
        assert action(replica(self.BASE, attempt), self.REMOTE) == Sync(
            3, demoted(5), self.BASE, dirty=True)
        assert action(replica(attempt), self.REMOTE) == Sync(0, demoted(5), dirty=True)

    def test_ours_upon_one_that_can_be_promoted(self):
        theirs, attempt = copying(8, of=5, demoted=True, by=DAEMONS), copying(9, of=5)
        assert action(replica(self.BASE, theirs, attempt), self.REMOTE) == Sync(
            3, demoted(5), self.BASE, attempt, dirty=True)

    def test_what_served_the_attempt_goes_once_the_demotion_is_here(self):
        whole = copied(9, of=5, demoted=True)
        attempt = copying(8, of=5)
        assert plan(replica(self.BASE, attempt, whole), self.REMOTE) == Plan(
            Stopped("remote image demoted"), (self.BASE, attempt))

    def test_a_copy_that_has_it_and_does_not_say_so(self):
        assert action(replica(copied(7, of=5)), self.REMOTE) == Sync(
            5, demoted(5), copied(7, of=5))

    def test_one_that_was_made_for_another_peer(self):
        """The peer was removed and added again since."""
        remote = replica(primary(3, peers=THEM), demoted(5, peers=THEM))
        assert action(replica(self.BASE), remote) == Sync(
            3, demoted(5, peers=THEM), self.BASE)

    def test_one_that_is_being_made(self):
        remote = replica(primary(3), demoted(5, complete=False))
        assert isinstance(action(replica(self.BASE), remote), Waiting)


class TestFailover:
    """A demotion here or there, and the way back."""

    AT_DEMOTION = copied(7, of=5, demoted=True, peers=THEM)

    def test_the_demotion_is_copied_and_then_it_is_the_administrator_s_turn(self):
        remote = replica(primary(3), demoted(5))
        assert action(replica(self.AT_DEMOTION), remote) == Stopped("remote image demoted")

    def test_promoted_here(self):
        remote = replica(primary(3), demoted(5))
        assert action(writable(self.AT_DEMOTION, primary(8)), remote) == Stopped(
            "local image is primary")

    def test_promoted_at_the_same_site_again(self):
        remote = writable(demoted(5), primary(6))
        assert action(replica(self.AT_DEMOTION), remote) == Sync(
            5, primary(6), self.AT_DEMOTION)

    def test_the_demotion_may_be_passed_over(self):
        remote = writable(primary(3), demoted(5), primary(6))
        assert action(replica(copied(7, of=3)), remote) == Sync(3, primary(6), copied(7, of=3))

    def test_the_new_primary_s_worker_sees_the_old_one_demoted(self):
        """This site demoted first (snapshot 5 here) and the other one was promoted since."""
        local = replica(primary(3, peers=THEM), demoted(5, peers=THEM))
        remote = writable(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True), primary(8))
        assert plan(local, remote) == Plan(
            Sync(7, primary(8), demoted(5, peers=THEM), restore=True))

    def test_before_the_other_site_is_promoted(self):
        local = replica(demoted(5))
        remote = replica(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True))
        assert action(local, remote) == Stopped("remote image is not primary")

    def test_before_the_other_site_has_the_demotion(self):
        for last in (copied(7, of=3, primary_uuid=LINK.local_uuid),
                     copying(7, of=5, primary_uuid=LINK.local_uuid, demoted=True)):
            assert action(replica(primary(3), demoted(5)), replica(last)) == Stopped(
                "remote image is not primary")

    def test_a_copy_of_the_demotion_that_is_not_whole_is_nothing_to_start_from(self):
        """The other site is being promoted by force, and is about to remove it."""
        remote = writable(copying(7, of=5, primary_uuid=LINK.local_uuid, demoted=True),
                          orphan(8), primary(9))
        assert isinstance(action(replica(demoted(5)), remote), Stopped)

    def test_and_back_again(self):
        """Three changes of sides later the newest pair of demotion and copy of it counts."""
        local = replica(demoted(5), copied(6, of=9, demoted=True), primary(10), demoted(12))
        remote = writable(
            copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True), demoted(9),
            copied(13, of=12, primary_uuid=LINK.local_uuid, demoted=True), primary(14))
        assert action(local, remote) == Sync(13, primary(14), demoted(12), restore=True)

    def test_continued_after_the_way_back(self):
        local = replica(demoted(5), copied(6, of=8))
        remote = writable(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True),
                          primary(8), primary(9))
        assert action(local, remote) == Sync(8, primary(9), copied(6, of=8))

    def test_once_it_is_back_the_other_site_need_not_keep_its_copy_of_the_demotion(self):
        kept = copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True, peers=US)
        remote = writable(kept, primary(8))
        assert plan(replica(demoted(5, peers=THEM)), remote).unlink_remote == ()
        local = replica(demoted(5, peers=THEM), copied(6, of=8))
        assert plan(local, remote) == Plan(Idle(), (), (kept,))

    def test_interrupted_on_the_way_back(self):
        attempt = copying(6, of=8, done=3)
        remote = writable(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True), primary(8))
        assert action(replica(demoted(5), attempt), remote) == Sync(
            7, primary(8), demoted(5), attempt)

    def test_a_daemon_s_attempt_upon_our_own_demotion_is_made_anew(self):
        """A daemon leaves what was written here after the demotion."""
        attempt = copying(6, of=8, done=3, by=DAEMONS)
        remote = writable(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True), primary(8))
        assert action(replica(demoted(5), attempt), remote) == Sync(
            7, primary(8), demoted(5), dirty=True, restore=True)

    def test_promoted_there_before_our_uuid_was_known(self):
        remote = writable(copied(7, of=5, primary_uuid=LINK.local_uuid, demoted=True),
                          primary(8, peers=NOBODY))
        assert action(replica(demoted(5)), remote) == NeedsSnapshot(8)


class TestWhatOnlyAnAdministratorCanDecide:
    def test_primary_here(self):
        for local in (writable(), writable(primary(3)), writable(copied(7, of=3), orphan(8))):
            assert plan(local, writable(primary(3))) == Plan(Stopped("local image is primary"))

    @pytest.mark.parametrize("newest, reason", [
        (orphan(8), "force promoted"), (primary(8), "local image is primary")])
    def test_a_promotion_under_way(self, newest, reason):
        """The snapshots of it come before the image is writable."""
        local = replica(copied(7, of=3), newest)
        assert plan(local, writable(primary(3), primary(5))) == Plan(Stopped(reason))

    def test_a_demotion_under_way(self):
        """The image becomes read-only before it gets the snapshot that says so."""
        local = replica(copied(7, of=3))
        assert action(local, replica(primary(3))) == Waiting("the remote image is being demoted")

    def test_a_copy_of_another_site(self):
        for newest in (copied(7, of=3, primary_uuid="third"),
                       copying(7, of=3, primary_uuid="third")):
            found = action(replica(newest), writable(primary(3), primary(5)))
            assert found == Broken("local image linked to unknown peer", resync=True)

    @pytest.mark.parametrize("remote", [
        writable(primary(5)), writable(), replica(demoted(5)), writable(user(2), primary(9))])
    def test_the_shared_snapshot_is_gone(self, remote):
        """A copy has no changes of its own: that is no split-brain."""
        found = action(replica(copied(7, of=3)), remote)
        assert isinstance(found, Broken) and not found.split_brain
        assert found.resync

    def test_the_other_site_went_on_without_our_last_changes(self):
        for remote in (
                writable(copied(7, of=3, primary_uuid=LINK.local_uuid), primary(8)),
                writable(copied(7, of=5, primary_uuid=LINK.local_uuid), primary(8)),
                writable(copied(7, of=4, primary_uuid=LINK.local_uuid, demoted=True), primary(8)),
                writable(copied(7, of=5, primary_uuid="third", demoted=True), primary(8)),
                writable(primary(8))):
            found = action(replica(primary(3), demoted(5)), remote)
            assert isinstance(found, Broken) and found.split_brain

    def test_the_other_site_was_primary_since_and_nothing_shows_where_it_took_over(self):
        """Its own demotion removes the copy of ours that it was promoted from, where no peer waits
        for that: `demoted` would have an administrator promote what lacks the last changes."""
        later = action(replica(primary(3), demoted(5)), replica(demoted(9)))
        assert isinstance(later, Broken) and not later.split_brain
        assert "promote the image there, then resync it here" in later.reason
        earlier = action(replica(primary(3), demoted(5)), replica(demoted(4)))
        assert earlier == Stopped("remote image is not primary")
        copied_since = copied(6, of=4, primary_uuid=LINK.local_uuid, demoted=True)
        assert isinstance(action(replica(demoted(4)), replica(copied_since, demoted(9))), Sync)

    def test_a_reason_names_the_trouble(self):
        found = action(replica(demoted(5)), writable(primary(8)))
        assert found.reason.startswith("split-brain")
