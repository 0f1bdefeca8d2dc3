"""What a rollback of the primary may have changed, and marking only what was written."""

from dataclasses import replace

from mirror_mgr.replay.maps import Segment, may_be_rolled_back
from mirror_mgr.wire.object_map import ObjectMap


def test_a_rollback_leaves_the_map_of_its_snapshot() -> None:
    assert may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\3\1\0"))
    assert may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\1\0\1"))


def test_an_object_that_is_newer_and_unchanged_speaks_against_a_rollback() -> None:
    assert not may_be_rolled_back(ObjectMap(b"\3\1\0"), ObjectMap(b"\3\1\3"))
    assert not may_be_rolled_back(ObjectMap(b"\3"), ObjectMap(b"\3\1\3"))


def test_what_was_written_counts_as_changed_and_nothing_else() -> None:
    segment = Segment(2, 2, 0, 3, b"\1\1\0", None)
    assert segment.marks == b"\1\1\0"
    assert replace(segment, written=b"\0\1\1").marks == b"\0\1\1"
