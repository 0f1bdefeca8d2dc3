from typing import Dict, Iterable, List, Tuple

from mirror_mgr.model import HealthItem
from mirror_mgr.schedule.agenda import Due
from mirror_mgr.schedule.discovery import Image, PoolView
from mirror_mgr.schedule.entries import Entry
from mirror_mgr.schedule.levels import EVERYWHERE, ImageKey, Level
from mirror_mgr.schedule.model import NO_PEER, OURS, PAUSED, RUNNING, SCHEDULED, THEIRS
from mirror_mgr.schedule.records import Record
from mirror_mgr.schedule.rules import Rule
from mirror_mgr.schedule.state import State
from mirror_mgr.schedule.store import Part

A, B = ImageKey(1, "", "a"), ImageKey(1, "ns", "b")
T = 1_700_000_040
MINUTELY, HOURLY = Rule(60), Rule(3600)


def image(key: ImageKey, primary: bool = True) -> Image:
    where = f"data/{key.namespace}/" if key.namespace else "data/"
    return Image(key, f"{where}disk-{key.image_id}", primary)


def pool(*images: Image, peer: bool = True) -> Dict[int, PoolView]:
    return {1: PoolView("data", peer, images, frozenset())}


def state(ours: Dict[Level, Entry], pools: Dict[int, PoolView], now: float = T,
          theirs: Iterable[Tuple[Level, Tuple[Rule, ...]]] = ()) -> State:
    found = State()
    found.set_pools(pools)
    found.set_parts({None: Part(ours, dict(theirs), {}, {})})
    found.arrange(now)
    return found


def codes(items: List[HealthItem]) -> List[Tuple[str, str]]:
    return sorted((item.code, item.subject) for item in items)


def finish(found: State, turn: Due) -> None:
    del found.busy[turn.image]
    found.change(turn.image, lambda record: record.skip(turn.missed))


def test_every_scheduled_primary_image_has_its_turns() -> None:
    found = state({Level(1, ""): Entry((MINUTELY,))},
                  pool(image(A), image(B), image(ImageKey(1, "", "c"), primary=False)))
    assert [turn.image for turn in found.take(T + 60, 0)] == [A]
    assert found.unsaved == {A}
    assert found.to_store(A).due == T
    finish(found, Due(A, T + 60, MINUTELY, 0, T))
    assert found.to_store(A).due == T + 60


def test_without_a_peer_nothing_is_made() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A), peer=False))
    assert found.take(T + 60, 0) == []
    [view] = found.status(EVERYWHERE)
    assert (view.state, view.next_due) == (NO_PEER, None) and "peer" in view.why
    found.set_pools(pool(image(A)))
    found.arrange(T + 90)
    assert found.status(EVERYWHERE)[0].next_due == T + 120


def test_a_new_manager_goes_on_where_the_last_one_ended() -> None:
    found = State()
    found.records = {A: Record(due=T - 120)}
    found.set_pools(pool(image(A)))
    found.set_parts({None: Part({EVERYWHERE: Entry((MINUTELY,))}, {}, {}, {})})
    found.arrange(T + 1)
    [turn] = found.take(T + 1, 0)
    assert (turn.time, turn.missed) == (T, 1)


def test_what_was_due_while_an_image_was_not_primary_stays_so() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)))
    found.set_pools(pool(image(A, primary=False)))
    found.arrange(T + 30)
    assert found.records[A].due == 0
    assert found.take(T + 600, 0) == []
    found.set_pools(pool(image(A)))
    found.arrange(T + 610)
    assert found.take(T + 610, 0) == []
    assert [turn.missed for turn in found.take(T + 660, 0)] == [0]


def test_an_image_that_is_busy_is_skipped_and_counted() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)))
    [turn] = found.take(T + 60, 0)
    assert found.status(EVERYWHERE)[0].state == RUNNING
    assert found.take(T + 180, 0) == []
    assert (found.records[A].skipped, found.to_store(A).due) == (2, T)
    finish(found, turn)
    assert (found.records[A].skipped, found.to_store(A).due) == (2, T + 180)
    assert [turn.time for turn in found.take(T + 240, 0)] == [T + 240]


def test_a_turn_that_came_to_nothing_is_due_again_with_what_it_had_skipped() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)))
    [turn] = found.take(T + 60, 0)
    found.take(T + 120, 0)
    assert found.take(T + 180, 0) == []
    found.put_back(turn, T + 190)
    assert found.records[A].skipped == 0
    assert found.take(T + 191, 0) == [Due(A, T + 180, MINUTELY, 2, T)]


def test_a_change_of_rules_brings_no_turns_of_the_past() -> None:
    found = state({EVERYWHERE: Entry((HOURLY,))}, pool(image(A)))
    found.set_entries({Level(1): Entry((MINUTELY,))})
    found.arrange(T + 1000)
    assert found.take(T + 1000, 0) == []
    assert found.status(EVERYWHERE)[0].level == "data"
    found.set_entries({Level(1): Entry()})
    found.arrange(T + 1001)
    assert found.agenda.rules(A) == (HOURLY,)


def test_a_change_while_a_turn_was_taken_ahead_of_time_does_not_repeat_it() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)))
    assert len(found.take(T + 58, 3)) == 1
    found.set_entries({EVERYWHERE: Entry((MINUTELY, HOURLY))})
    found.arrange(T + 59)
    assert found.agenda.next_of(A) == T + 120


def test_pauses() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,)), Level(1, "ns"): Entry(paused=T)},
                  pool(image(A), image(B)))
    views = {view.image: view for view in found.status(EVERYWHERE)}
    assert views["data/disk-a"].state == SCHEDULED
    assert views["data/ns/disk-b"].state == PAUSED
    assert views["data/ns/disk-b"].why == "paused at data/ns"
    assert [turn.image for turn in found.take(T + 60, 0)] == [A]


def test_what_is_gone_is_forgotten() -> None:
    found = state({Level.of_image(A): Entry((MINUTELY,), name="disk-a")}, pool(image(A)))
    assert found.known(1) == {A} and found.known(2) == set()
    found.set_pools(pool())
    found.forget(frozenset([A]))
    found.arrange(T + 1)
    assert (found.known(1), list(found.agenda), found.unsaved) == (set(), [], set())


def test_listing() -> None:
    found = state({EVERYWHERE: Entry((HOURLY,)), Level(1): Entry((MINUTELY,)),
                   Level.of_image(B): Entry((MINUTELY,))}, pool(image(A), image(B)),
                  theirs=[(Level(1), (HOURLY,))])

    def names(level: Level, recursive: bool) -> List[Tuple[str, str]]:
        return [(view.name, view.owner) for view in found.listing(level, recursive)]

    assert names(EVERYWHERE, False) == [("all pools", OURS)]
    assert names(EVERYWHERE, True) == [
        ("all pools", OURS), ("data", OURS), ("data", THEIRS), ("data/ns/disk-b", OURS)]
    assert names(Level(1), False) == [("data", OURS), ("data", THEIRS)]
    assert names(Level(1, ""), False) == []
    assert names(Level(1, ""), True) == [("data", OURS), ("data", THEIRS)]
    assert names(Level(2), True) == [("all pools", OURS)]


def test_rbd_support_has_its_due_times() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)), theirs=[
        (Level(1), (HOURLY,))])
    hour = T - T % 3600 + 3600
    assert found.left_to_rbd_support(Due(A, hour, MINUTELY, 0, T), T, 0)
    assert not found.left_to_rbd_support(Due(A, hour + 60, MINUTELY, 0, T), T, 0)
    found.adopted(Level(1), T)
    assert found.theirs == {}
    assert found.left_to_rbd_support(Due(A, hour, MINUTELY, 0, T), T + 60, 0)
    assert not found.left_to_rbd_support(Due(A, hour, MINUTELY, 0, T), T + 100, 0)


def test_rbd_support_keeps_one_due_time_when_a_schedule_is_left_in_the_namespace() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A), image(B)), theirs=[
        (Level.of_image(A), (HOURLY,)), (Level.of_image(B), (HOURLY,)),
        (Level(1, "", "c"), (HOURLY,))])
    found.adopted(Level.of_image(A), T)
    found.adopted(Level.of_image(B), T)
    hour = T - T % 3600 + 3600

    def left(key: ImageKey, time: int) -> bool:
        return found.left_to_rbd_support(Due(key, time, MINUTELY, 0, T), time - 3, 0)

    assert left(A, hour)
    assert not left(A, hour - 60) and not left(A, hour + 3600)
    assert not left(B, hour)


def test_rbd_support_notices_late_and_has_one_more() -> None:
    found = state({EVERYWHERE: Entry((MINUTELY,))}, pool(image(A)), theirs=[
        (Level.of_image(A), (MINUTELY,)), (Level(1, "", "c"), (HOURLY,))])
    found.adopted(Level.of_image(A), T + 25)
    assert [found.left_to_rbd_support(Due(A, time, MINUTELY, 0, T), time - 3, 0)
            for time in (T + 60, T + 120, T + 180)] == [True, True, False]


def test_what_can_be_read_of_damaged_entries_is_adoptable() -> None:
    found = State()
    found.set_parts({1: Part({}, {Level(1): (HOURLY,)},
                             {Level(1): (MINUTELY,), Level(1, "", "a"): ()}, {})})
    assert found.adoptable() == {Level(1): (HOURLY, MINUTELY)}
    [view] = found.listing(Level(1), recursive=False)
    assert (view.owner, view.rules) == (THEIRS, (HOURLY, MINUTELY))


def test_health() -> None:
    images = pool(image(A), image(B), image(ImageKey(1, "", "c"), primary=False))
    assert codes(state({}, images).health(warn_no_schedule=True)) == [
        ("no-schedule", "data/disk-a"), ("no-schedule", "data/ns/disk-b")]
    assert state({}, images).health(warn_no_schedule=False) == []
    found = state({Level(1, ""): Entry((MINUTELY,))}, images, theirs=[(Level(1), (HOURLY,))])
    assert codes(found.health(True)) == [("two-schedules", "data/disk-a")]
    found = state({EVERYWHERE: Entry((MINUTELY,))}, images)
    assert found.health(True) == []
    found.put_record(A, Record(in_a_row=3, error="the OSD is full"))
    [item] = found.health(True)
    assert item.code == "snapshots-failing" and "the OSD is full" in item.text
    found.set_parts({1: Part({}, {}, {}, {"key '1'": "not an entry"})})
    [item] = found.health(False)
    assert item.code == "damaged-schedule" and "pool 'data'" in item.text
    assert found.damaged_theirs() == ()
