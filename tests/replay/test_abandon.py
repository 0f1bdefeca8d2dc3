"""What a forced promotion takes back of an attempt."""

import pytest

from mirror_mgr.errors import NotReady
from mirror_mgr.replay.abandon import made_by_attempt
from tests.replay.headers import copied, copying, replica, user


def test_what_lies_between_the_complete_snapshot_and_the_attempt():
    attempt = copying(8, of=5)
    local = replica(user(2), copied(4, of=3), user(5), user(7), attempt)
    assert made_by_attempt(local) == (attempt, [user(5), user(7)])


def test_several_attempts():
    last = copying(9, of=6)
    local = replica(copied(4, of=3), user(5), copying(6, of=5), user(7), last)
    assert made_by_attempt(local) == (last, [user(5), user(7)])


def test_without_a_complete_snapshot_there_is_nothing_to_go_back_to():
    with pytest.raises(NotReady, match="first sync"):
        made_by_attempt(replica(user(5), copying(6, of=5)))
