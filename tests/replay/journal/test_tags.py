"""Which site owned an image when: split-brain, and how far a copy is behind."""

from typing import Optional

import pytest

from mirror_mgr.replay.journal.tags import (
    entries_behind,
    is_linked,
    is_primary,
    last_change_of_roles,
    translated,
    was_promoted_since,
)
from mirror_mgr.wire.constants import ImageMode, MirrorImageState
from mirror_mgr.wire.journal import ORPHAN, ObjectPosition, Predecessor, Tag, TagData
from mirror_mgr.wire.mirror import MirrorImage

US, THEM = "us", "them"


def tag(tid: int, owner: str, before: str = "", at: int = -1) -> Tag:
    """One that follows tag `at` of owner `before`; no valid predecessor without `at`."""
    return Tag(tid, 0, TagData(owner, Predecessor(before, at >= 0, max(0, at), 0)))


def linked(last: Tag, *remote: Tag) -> bool:
    return is_linked(last, remote, US, THEM)


def test_names_of_owners_are_the_others() -> None:
    there = TagData("", Predecessor(US, True, 4, 5))
    assert translated(there, US, THEM) == TagData(THEM, Predecessor("", True, 4, 5))
    orphan = TagData(ORPHAN, Predecessor("", True, 4, 5))
    assert translated(orphan, US, THEM) == TagData(ORPHAN, Predecessor(THEM, True, 4, 5))


@pytest.mark.parametrize("last, state, primary", [
    (tag(0, ""), MirrorImageState.ENABLED, True),
    (tag(0, THEM), MirrorImageState.ENABLED, False),
    (None, MirrorImageState.ENABLED, False),
    # What goes into the trash, before and after it is struck off.
    (tag(0, ""), MirrorImageState.DISABLING, False),
    (tag(0, ""), None, False),
])
def test_who_is_primary(last: Optional[Tag], state: Optional[MirrorImageState],
                        primary: bool) -> None:
    image = None if state is None else MirrorImage("g", state, ImageMode.JOURNAL)
    assert is_primary(last, image) == primary


def test_a_copy_that_follows() -> None:
    assert linked(tag(0, THEM), tag(0, ""))
    assert linked(tag(3, THEM, THEM, 2), tag(2, ""), tag(3, "", "", 2))
    assert not linked(tag(3, THEM, THEM, 2))
    assert not linked(tag(3, THEM, THEM, 5), tag(2, ""))


def test_a_failback() -> None:
    """As the recorded journals: demoted here as tag 7 after 5, replayed there as 2, promoted."""
    here = tag(7, ORPHAN, "", 5)
    there = [tag(1, US, US, 4), tag(2, ORPHAN, US, 5), tag(3, "", ORPHAN, 2), tag(4, "", "", 3)]
    assert linked(here, *there)
    assert not linked(here, *there[:2]), "it was not promoted there"
    assert not linked(here, *there[2:]), "the link is gone"
    assert not linked(here, there[1], tag(3, "", "", 2)), "promoted by force"
    assert not linked(here, tag(2, ORPHAN, US, 4), tag(3, "", ORPHAN, 2)), "another demotion"


@pytest.mark.parametrize("last, change", [
    (tag(7, ORPHAN, "", 5), 2),       # our own demotion, as it was replayed there
    (tag(8, THEM, ORPHAN, 2), 3),     # their promotion
    (tag(9, THEM, THEM, 3), 3),       # what they wrote since
    (tag(9, ORPHAN, THEM, 4), 5),     # their demotion
    (tag(9, THEM), None),             # what is not known there any more
])
def test_before_a_change_of_roles_all_is_here(last: Tag, change: Optional[int]) -> None:
    there = [tag(1, US, US, 4), tag(2, ORPHAN, US, 5), tag(3, "", ORPHAN, 2), tag(4, "", "", 3),
             tag(5, ORPHAN, "", 4)]
    assert last_change_of_roles(last, there, US, THEM) == change


def promoted(last: Tag, *remote: Tag) -> bool:
    return was_promoted_since(last, remote, US, THEM)


def test_who_was_promoted_and_demoted_again_has_more_than_a_demoted_copy() -> None:
    here = tag(7, ORPHAN, "", 5)
    there = [tag(1, US, US, 4), tag(2, ORPHAN, US, 5), tag(3, "", ORPHAN, 2), tag(4, ORPHAN, "", 3)]
    assert promoted(here, *there) and linked(here, *there)
    assert not promoted(here, *there[:2]), "it only knows of our demotion"
    assert not promoted(tag(8, THEM, ORPHAN, 2), *there), "that is being replayed"
    assert not promoted(tag(9, ORPHAN, THEM, 3), *there), "all of it was"
    again = [*there, tag(5, "", ORPHAN, 4), tag(6, ORPHAN, "", 5)]
    assert promoted(tag(9, ORPHAN, THEM, 3), *again)


def test_a_demotion_there_that_was_replayed_here() -> None:
    here = tag(9, ORPHAN, THEM, 6)
    assert linked(here, tag(6, ""), tag(7, ORPHAN, "", 6), tag(8, "", ORPHAN, 7))
    assert not linked(here, tag(6, ""), tag(7, ORPHAN, "", 6))


@pytest.mark.parametrize("primary, mine, behind", [
    (None, (0, 4, 9), 0), ((0, 4, 9), None, 0),
    ((0, 4, 9), (0, 4, 9), 0), ((0, 4, 9), (0, 4, 2), 7), ((0, 4, 2), (0, 4, 9), 0),
    ((0, 3, 9), (0, 4, 2), 0),
    ((0, 5, 7), (0, 4, 2), 7 + 18), ((0, 6, 1), (0, 4, 2), 1 + 3 + 18),
])
def test_entries_behind(primary, mine, behind) -> None:
    tags = (tag(4, ""), Tag(5, 0, TagData("", Predecessor("", True, 4, 20))),
            Tag(6, 0, TagData("", Predecessor("", True, 5, 3))))
    assert entries_behind(primary and ObjectPosition(*primary), mine and ObjectPosition(*mine),
                          tags) == behind
