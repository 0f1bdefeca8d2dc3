import pytest

from mirror_mgr.admin.forks import Mark, Side, is_behind, is_demoted, why_not, why_not_unseen
from mirror_mgr.wire.constants import SnapState
from mirror_mgr.wire.snapshot import Snapshot
from tests.replay import headers


def primary(id: int, seconds: float = 0.0) -> Mark:
    return Mark(id, SnapState.PRIMARY, seconds=seconds)


def demoted(id: int, seconds: float = 0.0) -> Mark:
    return Mark(id, SnapState.PRIMARY_DEMOTED, seconds=seconds)


def copy(id: int, of: str, primary_id: int) -> Mark:
    return Mark(id, SnapState.NON_PRIMARY, of, primary_id)


def last_copy(id: int, of: str, primary_id: int) -> Mark:
    return Mark(id, SnapState.NON_PRIMARY_DEMOTED, of, primary_id)


def here(*marks: Mark) -> Side:
    return Side("HERE", marks)


def there(*marks: Mark) -> Side:
    return Side("THERE", marks)


def is_primary(side: Side) -> bool:
    return bool(side.marks) and side.marks[-1].state == SnapState.PRIMARY


SINCE = "the other site was primary since, and its last writes have not come over yet"
NEVER = "the other site was primary since, and no longer shows where it took over"


@pytest.mark.parametrize("ours, theirs, says", [
    # It was demoted here.
    (here(demoted(4)), there(), ""),
    (here(demoted(4)), there(copy(7, "HERE", 3)), ""),
    (here(demoted(4)), there(last_copy(8, "HERE", 4)), ""),
    (here(demoted(4)), there(last_copy(8, "HERE", 4), primary(9)), "it is primary at"),
    (here(demoted(4)), there(last_copy(8, "HERE", 4), demoted(9)), SINCE),
    # Nothing there shows any more that it took over from here: librbd removes the copy it went by.
    (here(demoted(4, 100.0)), there(demoted(9, 200.0)), NEVER),
    # It was demoted there before it was primary here, and nothing of that came over yet.
    (here(last_copy(3, "THERE", 9), demoted(4)), there(demoted(9)), ""),
    (here(demoted(4, 300.0)), there(demoted(9, 200.0)), ""),
    # It was demoted there, and that came over.
    (here(last_copy(5, "THERE", 9)), there(demoted(9)), ""),
    (here(last_copy(5, "THERE", 9)), there(demoted(9), primary(10)), "it is primary at"),
    (here(last_copy(5, "THERE", 9)), there(demoted(9), primary(10), demoted(11, 1.0)), SINCE),
    # Another site's snapshot with the same number is none of theirs.
    (here(last_copy(5, "THIRD", 9)), there(demoted(9, 1.0)), SINCE),
    # It went back and forth, and what came over whole is the last.
    (here(demoted(4, 1.0), last_copy(5, "THERE", 9)), there(demoted(9, 2.0)), ""),
])
def test_forks(ours: Side, theirs: Side, says: str) -> None:
    assert is_demoted(ours)
    found = why_not(ours, theirs, is_primary(theirs))
    assert found.reason.startswith(says) if found else not says


def test_what_does_not_come_over_by_waiting_has_another_cure() -> None:
    """Else an administrator waits for ever."""
    found = why_not(here(demoted(4, 100.0)), there(demoted(9, 200.0)), False)
    assert "promote it there and resync it here" in found.cure
    found = why_not(here(demoted(4)), there(last_copy(8, "HERE", 4), demoted(9)), False)
    assert found.cure == "wait for the last sync"


def test_in_journal_mode_only_a_primary_there_is_known() -> None:
    """While a copy replays an older demotion librbd would promote it."""
    assert why_not(here(), there(), True).reason == "it is primary at the other site"
    assert why_not(here(), there(), False) is None
    assert why_not_unseen(here()) is None


def test_what_librbd_refuses_itself() -> None:
    assert not is_demoted(here())
    assert not is_demoted(here(primary(4)))
    assert not is_demoted(here(copy(4, "THERE", 9)))


@pytest.mark.parametrize("newest, behind", [
    (headers.copied(9, of=3), True),
    (headers.copying(9, of=3), True),
    (headers.copying(9, of=3, demoted=True), True),
    (headers.copied(9, of=3, demoted=True), False),
    (headers.demoted(9), False),
])
def test_a_demotion_has_to_come_over_whole(newest: Snapshot, behind: bool) -> None:
    assert is_behind(headers.replica(headers.demoted(4), newest)) == behind
    assert not is_behind(headers.replica(headers.user(4)))


def test_a_site_that_does_not_answer() -> None:
    assert "may have been primary since" in why_not_unseen(here(demoted(4))).reason
    assert not why_not_unseen(here(last_copy(5, "THERE", 9)))
