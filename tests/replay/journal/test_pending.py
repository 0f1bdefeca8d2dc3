import errno

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.replay.journal.pending import Pending
from mirror_mgr.wire.journal_event import (
    OpFinish,
    Resize,
    SnapCreate,
    SnapProtect,
    SnapRemove,
    UpdateFeatures,
)


def test_some_take_effect_at_once_others_at_their_end() -> None:
    pending = Pending()
    assert not pending
    assert pending.begin(SnapCreate(1, "s")) == SnapCreate(1, "s")
    assert pending.begin(SnapProtect(2, "s")) is None
    assert pending.begin(Resize(3, 5)) == Resize(3, 5)
    assert pending.finish(OpFinish(3)) is None and pending
    # Once more: a snapshot that was beyond the limit at its beginning.
    assert pending.finish(OpFinish(1)) == SnapCreate(1, "s") and pending
    assert pending.finish(OpFinish(2)) == SnapProtect(2, "s") and not pending


def test_an_end_without_a_beginning_was_done_already() -> None:
    assert Pending().finish(OpFinish(7)) is None


def test_what_failed_at_the_primary_is_not_done() -> None:
    pending = Pending()
    pending.begin(SnapCreate(1, "s"))
    pending.begin(SnapProtect(2, "s"))
    pending.begin(SnapCreate(3, "s"))
    pending.begin(UpdateFeatures(4, 8, True))
    assert pending.finish(OpFinish(1, -errno.EDQUOT)) == SnapRemove(1, "s")
    assert pending.finish(OpFinish(2, -errno.EBUSY)) is None
    assert pending.finish(OpFinish(3, -errno.EEXIST)) is None
    assert pending.finish(OpFinish(4, -errno.EIO)) == UpdateFeatures(4, 8, False) and not pending


def test_what_a_resize_that_failed_has_left_nobody_can_tell() -> None:
    pending = Pending()
    pending.begin(Resize(1, 5))
    with pytest.raises(MalformedData, match="resize to 5 bytes failed"):
        pending.finish(OpFinish(1, -errno.EIO))
    assert pending


def test_the_next_owner_carries_out_what_was_begun() -> None:
    pending = Pending()
    pending.begin(Resize(1, 5))
    pending.begin(SnapRemove(2, "s"))
    assert pending.end_all() == [SnapRemove(2, "s")]
    assert not pending and pending.finish(OpFinish(2)) is None
