"""How a pool's images are shared out among workers."""

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.worker.roster import SLOTS, Member, Roster, slot_of


def member(number, handle=1):
    return Member(number, handle, f"10.0.0.{number}:0/{number}")


def settled(roster):
    """What becomes of a roster when each member frees its surplus and claims its share."""
    for _ in range(2):
        for one in roster.members:
            roster = roster.freed(one.id, roster.surplus(one.id)).claimed(one.id)
    return roster


def team(count):
    roster = Roster()
    for number in range(1, count + 1):
        roster = roster.joined(member(number))
    return settled(roster)


def shares(roster):
    return [len(roster.slots(one.id)) for one in roster.members]


def moved(before, after):
    return sum(old != new for old, new in zip(before.owners, after.owners))


def test_an_image_is_in_the_same_slot_for_ever():
    assert [slot_of(key) for key in ("", "a", "9c1e2d2f-7c3c-4b8e-9e55-9a1f2c3d4e5f")] == [
        180, 47, 139]


def test_images_fall_into_all_slots_alike():
    assert slot_of(b"not \xff UTF-8".decode("utf-8", "surrogateescape")) in range(SLOTS)
    found = [slot_of(f"image {number}") for number in range(SLOTS * 100)]
    counts = [found.count(slot) for slot in range(SLOTS)]
    assert 50 < min(counts) and max(counts) < 160


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_shares_are_fair_and_whole(count):
    roster = team(count)
    assert None not in roster.owners and max(shares(roster)) - min(shares(roster)) <= 1
    assert not any(roster.surplus(one.id) for one in roster.members)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_worker_more_moves_only_what_it_gets(count):
    before = team(count)
    after = settled(before.joined(member(99)))
    assert moved(before, after) == len(after.slots(99)) == SLOTS // (count + 1)


def test_a_worker_less_moves_only_what_it_had():
    before = team(4)
    free = before.without([2])
    after = settled(free)
    assert free.slots(2) == frozenset() and free.member(2) is None
    assert moved(before, after) == len(before.slots(2))
    assert all(before.slots(one.id) <= after.slots(one.id) for one in after.members)


def test_nothing_is_claimed_that_another_one_has():
    roster = team(1).joined(member(2))
    assert roster.claimed(2) == roster and roster.slots(2) == frozenset()
    assert len(roster.surplus(1)) == SLOTS // 2


def test_a_stranger_gets_nothing_and_frees_nothing():
    roster = team(2).without([2])
    assert roster.claimed(7) == roster == roster.freed(7, range(SLOTS))


def test_only_ones_own_slots_are_freed():
    roster = team(2)
    assert roster.freed(1, range(SLOTS)).slots(2) == roster.slots(2)


def test_who_joins_again_keeps_its_slots_under_the_new_watch():
    roster = team(2).joined(member(1, handle=5))
    assert [one.handle for one in roster.members] == [5, 1]
    assert roster.slots(1) == team(2).slots(1)


def test_as_bytes():
    assert Roster.decode(b"") == Roster()
    assert Roster.decode(team(3).encode()) == team(3)


@pytest.mark.parametrize("data", [
    b"{", b"[]", b"1", b"\xff", b'{"members": [], "owners": []}',
    b'{"members": [[1]], "owners": []}', b'{"members": 1, "owners": [null]}',
    Roster().encode().replace(b"null", b'"x"', 1)])
def test_what_is_no_roster(data):
    with pytest.raises(MalformedData):
        Roster.decode(data)


def test_one_alone_has_all_and_the_others_none():
    roster = team(3)
    for one in roster.members[1:]:
        assert roster.claimed(one.id, False) == roster
        assert roster.surplus(one.id, False) == roster.slots(one.id)
        roster = roster.freed(one.id, roster.slots(one.id))
    roster = roster.claimed(1, True)
    assert set(roster.owners) == {1} and not roster.surplus(1, True)
    assert shares(settled(roster)) == shares(team(3))
    stranger = roster.without([1])
    assert stranger.claimed(1, True) == stranger
