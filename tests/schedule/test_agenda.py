import random
from typing import Dict, List, Tuple

import pytest

from mirror_mgr.schedule.agenda import Agenda, Due
from mirror_mgr.schedule.due import Series, base, count_distinct
from mirror_mgr.schedule.levels import ImageKey
from mirror_mgr.schedule.rules import DAY, Rule, parse_start

A, B = ImageKey(1, "", "a"), ImageKey(1, "n", "b")
T = 1_700_000_040  # a whole minute
MINUTELY = Rule(60)


def agenda(*images: Tuple[ImageKey, Rule], handled: int = T) -> Agenda:
    found = Agenda()
    for image, rule in images:
        found.put(image, (rule,), handled, T)
    return found


def times(turns: List[Due]) -> List[int]:
    return [turn.time for turn in turns]


def test_nothing_before_its_time() -> None:
    plan = agenda((A, MINUTELY))
    assert plan.next_time() == plan.next_of(A) == T + 60
    assert plan.take(T + 59.999) == []
    [turn] = plan.take(T + 60)
    assert turn == Due(A, T + 60, MINUTELY, 0, T)
    assert plan.take(T + 60.5) == []
    assert plan.next_of(A) == T + 120


def test_ahead_of_time() -> None:
    plan = agenda((A, MINUTELY))
    assert times(plan.take(T + 57, lead=3)) == [T + 60]
    assert plan.take(T + 60, lead=3) == []
    assert times(plan.take(T + 118, lead=3)) == [T + 120]


def test_missed_due_times_are_one_turn() -> None:
    plan = agenda((A, MINUTELY))
    [turn] = plan.take(T + 60 * 10 + 7)
    assert (turn.time, turn.missed) == (T + 600, 9)
    assert plan.next_of(A) == T + 660


def test_after_a_failover_it_goes_on_from_what_was_handled() -> None:
    plan = agenda((A, MINUTELY), handled=T - 300)
    [turn] = plan.take(T + 1)
    assert (turn.time, turn.missed) == (T, 4)


def test_a_rule_counts_from_when_it_was_made() -> None:
    plan = Agenda()
    plan.put(A, (Rule(DAY), Rule(60, since=T)), T - DAY // 2, T)
    [turn] = plan.take(T + 61)
    assert (turn.time, turn.missed) == (T + 60, turn.missed)
    assert turn.missed <= 1


def test_two_rules_that_meet_are_one_turn() -> None:
    plan = Agenda()
    plan.put(A, (Rule(120), Rule(60)), T - T % 120, T - T % 120)
    even = T - T % 120 + 120
    assert times(plan.take(even - 60)) == [even - 60]
    [turn] = plan.take(even)
    assert (turn.time, turn.missed) == (even, 0)


def test_deadline() -> None:
    rule = Rule(3600, deadline=600)
    [turn] = agenda((A, rule), handled=T - T % 3600).take(T - T % 3600 + 3600 + 599)
    assert not turn.is_too_late(turn.time + 600)
    assert turn.is_too_late(turn.time + 601)
    assert not Due(A, T, MINUTELY, 0, 0).is_too_late(T + 10 ** 9)


def test_put_back_and_drop() -> None:
    plan = agenda((A, MINUTELY), (B, MINUTELY))
    first, second = plan.take(T + 60)
    plan.put_back(first, T + 61)
    assert plan.take(T + 62) == [first]
    plan.take(T + 120)
    plan.put_back(first, T + 121)  # it had a later turn since
    assert plan.next_of(A) == T + 180
    plan.drop(A)
    plan.drop(A)
    assert A not in plan and list(plan) == [B] and len(plan) == 1
    assert [turn.image for turn in plan.take(T + 180)] == [B]
    plan.drop(B)
    assert plan.next_time() is None and plan.next_of(B) is None and plan.rules(B) == ()


def test_a_clock_that_is_set_back_a_little_doubles_nothing() -> None:
    plan = agenda((A, MINUTELY))
    assert times(plan.take(T + 60.5)) == [T + 60]
    assert plan.take(T + 30) == []
    assert plan.take(T + 60) == []
    assert times(plan.take(T + 120)) == [T + 120]


def test_a_clock_that_is_set_back_far_goes_on() -> None:
    plan = agenda((A, MINUTELY))
    year = 365 * DAY
    assert times(plan.take(T + year)) == [T + year - (T + year) % 60]
    assert plan.take(T + 30) == []
    assert times(plan.take(T + 60)) == [T + 60]


def test_what_was_handled_in_a_future_that_never_came_is_forgotten() -> None:
    plan = agenda((A, MINUTELY), handled=T + 365 * DAY)
    assert plan.next_of(A) == T + 60


def test_a_rule_that_was_made_in_the_future_counts_now() -> None:
    plan = Agenda()
    plan.put(A, (Rule(60, since=T + 365 * DAY),), T, T)
    assert plan.next_of(A) == T + 60


def test_what_was_missed_just_before_the_next_due_time_is_one_turn_with_it() -> None:
    plan = agenda((A, MINUTELY))
    [turn] = plan.take(T + 60 * 5 - 2, lead=3)
    assert (turn.time, turn.missed) == (T + 300, 4)


def test_missed_due_times_that_meet_count_once() -> None:
    plan, even = Agenda(), T - T % 300
    plan.put(A, (Rule(60), Rule(300)), even, even)
    [turn] = plan.take(even + 600 + 1)
    assert (turn.time, turn.missed) == (even + 600, 9)


RULES = [Rule(60), Rule(420), Rule(3600, parse_start("00:20-03:30")), Rule(600, spread=True),
         Rule(DAY, parse_start("12:00")), Rule(7 * DAY, parse_start("2023-12-24T23:30+14:00"))]


@pytest.mark.parametrize("seed", range(20))
def test_no_due_time_is_lost_or_doubled(seed: int) -> None:
    """Whenever the loop gets to tick: turns and missed ones are all due times, each once."""
    chance = random.Random(seed)
    rules = {ImageKey(1, "", str(number)): tuple(chance.sample(RULES, chance.randint(1, 3)))
             for number in range(20)}
    plan = Agenda()
    for image in rules:
        plan.put(image, rules[image], T, T)
    now = float(T)
    seen: Dict[ImageKey, List[Due]] = {image: [] for image in rules}
    for _ in range(300):
        now += chance.choice([0.2, 1, 5, 61, 4000, 30 * DAY, -0.5])
        lead = chance.choice([0, 3])
        for turn in plan.take(now, lead):
            assert turn.time <= now + lead
            seen[turn.image].append(turn)
    for image in rules:
        turns = times(seen[image])
        assert turns == sorted(set(turns))
        until = turns[-1] if turns else T

        def count(after: int, until: int, image: ImageKey = image) -> int:
            return count_distinct([Series.of(rule, base(rule, image), after)
                                   for rule in rules[image]], until)

        assert len(turns) + sum(turn.missed for turn in seen[image]) == count(T, until)
        assert count(until, int(now)) == 0
