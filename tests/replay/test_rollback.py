"""Suspecting what a rollback of the primary changed, and marking only what was written."""

from mirror_mgr.replay.maps import Segment, may_be_rolled_back
from mirror_mgr.wire.object_map import ObjectMap


def test_a_rollback_leaves_the_map_of_its_snapshot() -> None:
    assert may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\3\1\0"))
    assert may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\1\0\1"))


def test_an_object_that_is_newer_and_unchanged_speaks_against_a_rollback() -> None:
    assert not may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\3\1\3"))
    assert not may_be_rolled_back(ObjectMap(b"\3"), ObjectMap(b"\3\1\3"))


def test_of_what_is_suspected_only_what_was_written_stays_marked() -> None:
    segment = Segment(2, 2, 0, 4, b"\1\0\0\0", None).suspecting(b"\1\1\1\1")
    assert (segment.touched, segment.suspected) == (b"\1\1\1\1", b"\0\1\1\1")
    confirmed = segment.confirmed(written=b"\0\0\1\0", done=0)
    assert (confirmed.touched, confirmed.suspected) == (b"\1\0\1\0", b"")


def test_what_an_earlier_attempt_finished_stays_suspected() -> None:
    segment = Segment(2, 2, 0, 3, b"\0\0\0", None).suspecting(b"\1\1\1")
    assert segment.confirmed(written=b"\0\0\0", done=2).touched == b"\1\1\0"
