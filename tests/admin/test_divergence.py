"""What is told of a split-brain, from the headers of its two sides."""

import dataclasses
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

import pytest

from mirror_mgr.admin.divergence import Account, explain
from mirror_mgr.admin.forks import marks
from mirror_mgr.model import SplitBrain
from mirror_mgr.wire.constants import Feature
from tests.replay.headers import LINK, copied, demoted, orphan, primary, replica, writable


def account(name: str, uuid: str, header: Any, changed: Mapping[str, int]) -> Account:
    return Account(name, uuid, not header.features & Feature.NON_PRIMARY, marks(header),
                   {int(key[1:]): count for key, count in changed.items()})


def here(header: Any, **changed: int) -> Account:
    return account("site-b", LINK.local_uuid, header, changed)


def there(header: Any, **changed: int) -> Account:
    return account("site-a", LINK.remote_uuid, header, changed)


def at(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)


def test_both_were_the_same_at_the_last_copy() -> None:
    found = explain("p/x", here(writable(copied(12, of=3), copied(17, of=8), primary(18)),
                                _12=100, _17=40, _18=2, _0=1),
                    there(writable(primary(3), primary(8), primary(9)), _3=90, _8=80, _9=5, _0=0))
    assert found.diverged == at(8)
    ours, theirs = found.sides
    assert (ours.site_name, ours.primary, ours.newest_snapshot, ours.changed_bytes) == (
        "site-b", True, at(18), 3)
    assert (theirs.site_name, theirs.primary, theirs.newest_snapshot, theirs.changed_bytes) == (
        "site-a", True, at(9), 5)


def test_seen_from_the_other_side_it_is_the_same() -> None:
    found = explain("p/x", there(writable(primary(8), primary(9)), _9=5, _0=0),
                    here(writable(copied(17, of=8), primary(18)), _18=2, _0=1))
    assert found.diverged == at(8)
    assert [side.changed_bytes for side in found.sides] == [5, 3]


def test_a_forced_promotion_has_removed_the_copies() -> None:
    """The primary keeps what the copy had last: its first own one."""
    found = explain("p/x", here(replica(orphan(10), primary(11), demoted(14)),
                                _11=900, _14=4, _0=0),
                    there(writable(primary(5), primary(24)), _5=900, _24=6, _0=1))
    assert found.diverged == at(5)
    assert [side.changed_bytes for side in found.sides] == [4, 7]


def test_the_primary_has_lost_the_last_one_of_a_copy() -> None:
    found = explain("p/x", here(replica(copied(17, of=8)), _17=900, _0=0),
                    there(writable(primary(9))))
    assert found.diverged == at(9)
    assert [side.changed_bytes for side in found.sides] == [0, None]
    assert found.sides[0].newest_snapshot is None


class TestAfterMovesOfThePrimary:
    """Made at site-a, where it is primary now; forced to be so at site-b as well.

    `here` is site-b, whose marks are numbered from 10 on, `there` site-a, from 1 on or 20 on.
    """

    # What a copy of site-a was at site-b last; and its source there.
    LAST = copied(30, of=28)

    def explain(self, ours: Any, theirs: Any, changed: Optional[Mapping[int, int]] = None,
                ) -> SplitBrain:
        counts = [{f"_{mark.id}": (changed or {}).get(mark.id, 100) for mark in side}
                  for side in (ours, theirs)]
        sides = (here(writable(*ours), _0=1, **counts[0]),
                 there(writable(*theirs), _0=1, **counts[1]))
        found = explain("p/x", *sides)
        assert explain("p/x", *reversed(sides)).diverged == found.diverged
        return found

    @pytest.mark.parametrize("ours, theirs, when", [
        # There and back once; all marks are left.
        ([copied(11, of=3, demoted=True), primary(12), demoted(15), LAST, orphan(38), primary(39)],
         [demoted(3), copied(24, of=12, primary_uuid=LINK.local_uuid),
          copied(26, of=15, primary_uuid=LINK.local_uuid, demoted=True), primary(27), primary(28),
          primary(40)], 28),
        # Copies were removed by the forced promotion.
        ([copied(11, of=3, demoted=True), primary(12), demoted(15), primary(39)],
         [demoted(3), copied(26, of=15, primary_uuid=LINK.local_uuid, demoted=True), primary(28),
          primary(40)], 28),
        # Site-b had superseded the copy of its demotion.
        ([demoted(15), primary(39)], [primary(28), primary(40)], 28),
        ([primary(12), demoted(15), primary(39)], [demoted(3), primary(28), primary(40)], 28),
        ([demoted(15), orphan(38), primary(39)], [primary(28)], 28),
        # The first move has left marks, the second one has not.
        ([copied(11, of=3, demoted=True), demoted(15), primary(39)],
         [demoted(3), primary(28), primary(40)], 28),
        # Site-b is demoted since.
        ([demoted(15), primary(39), demoted(41)], [primary(28), primary(40)], 28),
        # There and back twice.
        ([demoted(11), demoted(15), primary(39)], [demoted(3), demoted(13), primary(28)], 28),
        ([copied(10, of=3, demoted=True), demoted(11),
          copied(14, of=13, demoted=True), demoted(15), primary(39)],
         [demoted(3), copied(12, of=11, primary_uuid=LINK.local_uuid, demoted=True), demoted(13),
          primary(28), primary(40)], 28),
        # Moved to site-b once, and forced back before anything was copied to site-a.
        ([copied(11, of=3, demoted=True), primary(12), primary(20)], [demoted(3), primary(16)], 12),
        ([primary(12), primary(20)], [demoted(3), primary(16)], 12),
        # Never moved: only the forced promotion.
        ([LAST, orphan(38), primary(39)], [primary(28), primary(40)], 28),
        ([orphan(38), primary(39)], [primary(28), primary(40)], 28),
        ([primary(39)], [primary(28), primary(40)], 28),
    ])
    def test_the_same_last(self, ours: Any, theirs: Any, when: int) -> None:
        assert self.explain(ours, theirs).diverged == at(when)

    def test_only_what_each_wrote_since_is_counted(self) -> None:
        found = self.explain([demoted(15), primary(39), primary(42)], [primary(28), primary(40)],
                             {15: 1000, 39: 5000, 42: 7, 28: 900, 40: 30})
        assert [side.changed_bytes for side in found.sides] == [8, 31]

    def test_what_was_promoted_as_it_was_demoted_had_no_copy_between(self) -> None:
        """What was written before the demotion never reached the other site."""
        found = self.explain([primary(39)], [primary(5), demoted(28), primary(40)], {40: 0})
        assert found.diverged == at(5)
        assert found.sides[1].changed_bytes == 101

    def test_without_object_maps_time_tells(self) -> None:
        def diverged(forced: int) -> Any:
            return explain("p/x", here(writable(demoted(15), primary(39))),
                           there(writable(primary(forced)))).diverged

        assert [diverged(28), diverged(44)] == [at(28), at(15)]


def test_a_site_that_is_not_seen() -> None:
    found = explain("p/x", here(writable(primary(18))), Account("site-a"), "no answer")
    assert (found.diverged, found.peer_error) == (None, "no answer")
    assert (found.sides[1].primary, found.sides[1].newest_snapshot) == (None, None)


def test_the_ways_out_of_two_primaries() -> None:
    found = explain("p/x", here(writable(primary(3))), there(writable(primary(4))))
    assert [(way.keep, way.steps) for way in found.ways_out] == [
        ("site-a", (("site-a", "ceph rbd-mirror image snapshot p/x"),
                    ("site-b", "ceph rbd-mirror image demote p/x"),
                    ("site-b", "ceph rbd-mirror image resync p/x"))),
        ("site-b", (("site-b", "ceph rbd-mirror image snapshot p/x"),
                    ("site-a", "ceph rbd-mirror image demote p/x"),
                    ("site-a", "ceph rbd-mirror image resync p/x")))]


def test_the_ways_out_where_one_is_demoted() -> None:
    found = explain("p/x", here(replica()), there(writable(primary(4))))
    assert [(way.keep, way.steps) for way in found.ways_out] == [
        ("site-a", (("site-a", "ceph rbd-mirror image snapshot p/x"),
                    ("site-b", "ceph rbd-mirror image resync p/x"))),
        ("site-b", (("site-b", "ceph rbd-mirror image promote p/x --force"),
                    ("site-a", "ceph rbd-mirror image demote p/x"),
                    ("site-a", "ceph rbd-mirror image resync p/x")))]


def test_the_ways_out_in_journal_mode() -> None:
    found = explain("p/x", here(writable()), there(writable()))
    assert all("snapshot" not in command for way in found.ways_out for _, command in way.steps)


def test_each_site_s_command_names_the_image_as_it_is_called_there() -> None:
    """The copy may not have been renamed yet."""
    theirs = dataclasses.replace(there(writable(primary(3), primary(9))), spec="p/old")
    found = explain("p/new", here(writable(copied(12, of=3), primary(18))), theirs)
    for way in found.ways_out:
        for site, command in way.steps:
            assert ("p/new" in command) is (site == "site-b") and (
                "p/old" in command) is (site == "site-a")
