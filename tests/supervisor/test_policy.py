import pytest

from mirror_mgr.supervisor import policy
from mirror_mgr.supervisor.policy import Action, Life, next_action


def failed(times):
    life = Life()
    for when in times:
        life = policy.after_end(policy.after_start(life, when), when)
    return life


def running(now=100.0):
    return policy.after_word(policy.after_start(Life(), now), now, connected=True)


def test_a_wanted_worker_starts_at_once():
    assert next_action(Life(), True, 0.0, 0.0) is Action.START


def test_one_that_is_not_wanted_does_not():
    assert next_action(Life(), False, 0.0, 0.0) is Action.NOTHING


@pytest.mark.parametrize('failures, wait', [
    (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (2000, 60)])
def test_the_back_off_doubles_up_to_a_minute(failures, wait):
    life = failed([50.0] * failures)
    assert policy.start_due(life) == 50.0 + wait
    assert next_action(life, True, 50.0 + wait - 0.1, 0.0) is Action.NOTHING
    assert next_action(life, True, 50.0 + wait, 0.0) is Action.START


def test_a_minute_of_health_forgets_the_back_off():
    life = policy.after_start(failed([10.0] * 5), 100.0)
    life = policy.after_word(life, 101.0, connected=True)
    assert policy.after_end(life, 160.9).streak == 6
    assert policy.after_end(life, 161.0).streak == 1


def test_a_minute_without_a_connection_is_no_health():
    life = policy.after_word(policy.after_start(failed([10.0]), 100.0), 101.0, connected=False)
    assert policy.after_end(life, 300.0).streak == 2


def test_a_fence_is_no_failure():
    life = policy.after_start(failed([10.0] * 5), 100.0)
    life = policy.after_word(life, 101.0, connected=True)
    fenced = policy.after_end(life, 111.0, fenced=True)
    assert next_action(fenced, True, 111.0, 0.0) is Action.START
    assert fenced.failures == life.failures


def test_one_that_is_fenced_again_and_again_fails():
    life = policy.after_word(policy.after_start(Life(), 100.0), 101.0, connected=True)
    assert policy.after_end(life, 110.9, fenced=True).streak == 1
    early = policy.after_start(Life(), 100.0)
    assert policy.after_end(early, 150.0, fenced=True).streak == 1


def test_three_failures_in_five_minutes():
    assert not policy.keeps_failing(failed([0.0, 300.0]), 300.0)
    assert policy.keeps_failing(failed([0.0, 100.0, 300.0]), 300.0)
    assert not policy.keeps_failing(failed([0.0, 100.0, 300.0]), 300.1)
    assert len(failed(range(1000)).failures) == policy.FAILING_COUNT


def test_silence_is_a_hang():
    life = running(100.0)
    assert next_action(life, True, 129.9, 0.0) is Action.NOTHING
    assert next_action(life, True, 130.0, 0.0) is Action.KILL
    heard = policy.after_word(life, 120.0, connected=True)
    assert next_action(heard, True, 130.0, 0.0) is Action.NOTHING


def test_a_worker_that_never_says_a_word_hangs_too():
    life = policy.after_start(Life(), 100.0)
    assert next_action(life, True, 129.9, 0.0) is Action.NOTHING
    assert next_action(life, True, 130.0, 0.0) is Action.KILL


def test_the_manager_s_own_pause_is_not_the_worker_s():
    assert next_action(running(100.0), True, 500.0, awake=500.0) is Action.NOTHING
    assert next_action(running(100.0), True, 530.0, awake=500.0) is Action.KILL


def test_a_worker_that_is_wanted_no_more():
    life = running(100.0)
    assert next_action(life, False, 101.0, 0.0) is Action.ASK_TO_STOP
    life = policy.after_ask(life, 101.0)
    assert next_action(life, False, 105.9, 0.0) is Action.NOTHING
    assert next_action(life, False, 106.0, 0.0) is Action.KILL


def test_an_end_that_was_asked_for_is_no_failure():
    life = policy.after_end(policy.after_ask(running(100.0), 101.0), 102.0)
    assert life == Life(starts=1)
    assert next_action(life, True, 102.0, 0.0) is Action.START


def test_what_the_administrator_restarts_starts_at_once():
    life = policy.forgiven(failed([50.0] * 9))
    assert next_action(life, True, 50.0, 0.0) is Action.START
    assert not policy.keeps_failing(life, 50.0)


@pytest.mark.parametrize('option, count', [(-1, 0), (0, 0), (1, 1), (3, 3), (10**6, 64)])
def test_how_many(option, count):
    assert policy.wanted_count(option) == count
