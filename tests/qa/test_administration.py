"""What the model of administrators lets pass, and what it does not."""

from typing import Dict, List

import pytest

pytest.importorskip("rados")
pytest.importorskip("rbd")

from qa.administration.contents import BLOCK, Contents, stamped  # noqa: E402
from qa.administration.logs import trouble  # noqa: E402
from qa.administration.model import HOUR, Model, Seen, unchanged  # noqa: E402

PLAIN = Seen("1", "disk")
PRIMARY = PLAIN._replace(global_id="g", mode="snapshot", enabled=True, primary=True)
GIVEN_UP = PRIMARY._replace(primary=False, demoted=True)
COPY = PRIMARY._replace(id="9", primary=False)
DATA = stamped(1) + bytes(BLOCK)
OTHER = stamped(2) + bytes(BLOCK)
A, B = ("a", "1"), ("b", "9")


def sight(a: "List[Seen]", b: "List[Seen]") -> Dict[str, Dict[str, Seen]]:
    return {"a": {seen.id: seen for seen in a}, "b": {seen.id: seen for seen in b}}


def kinds(model: Model, a: "List[Seen]", b: "List[Seen]", now: float = 1.0) -> List[str]:
    return [fault.kind for fault in model.saw(sight(a, b), now)]


@pytest.fixture
def model() -> Model:
    """Of an image that is primary at `a` and has a copy at `b`."""
    model = Model()
    model.created(A, PLAIN, Contents.of(DATA))
    assert kinds(model, [PRIMARY], []) == []
    assert kinds(model, [PRIMARY], [COPY]) == []
    return model


def test_an_image_goes_only_when_somebody_removes_it(model: Model) -> None:
    assert kinds(model, [], [COPY]) == ["lost"]


def test_who_removes_an_image_may_miss_it(model: Model) -> None:
    model.removed(A, PRIMARY)
    assert kinds(model, [], [COPY]) == []


def test_a_copy_does_not_go_while_its_primary_stays(model: Model) -> None:
    assert kinds(model, [PRIMARY], []) == ["lost"]


def test_a_copy_goes_to_the_trash_after_its_primary(model: Model) -> None:
    model.disabled(A, PRIMARY, DATA)
    assert kinds(model, [PLAIN], [COPY._replace(trashed=True)], 10) == []
    assert kinds(model, [PLAIN], [], 11 + HOUR) == []


def test_a_copy_does_not_go_at_once(model: Model) -> None:
    model.disabled(A, PRIMARY, DATA)
    assert kinds(model, [PLAIN], []) == ["purged"]


def test_nor_before_the_hour_is_over(model: Model) -> None:
    model.disabled(A, PRIMARY, DATA)
    assert kinds(model, [PLAIN], [COPY._replace(trashed=True)], 10) == []
    assert kinds(model, [PLAIN], [], 60) == ["purged"]


def test_what_a_daemon_moved_to_the_trash_is_due_at_once(model: Model) -> None:
    model.disabled(A, PRIMARY, DATA)
    with model.no_hour_in_the_trash():
        assert kinds(model, [PLAIN], [COPY._replace(trashed=True)], 10) == []
    assert kinds(model, [PLAIN], [], 13) == []


def test_what_is_half_made_may_go(model: Model) -> None:
    half_made = COPY._replace(id="8", global_id=None, enabled=False)
    assert kinds(model, [PRIMARY], [COPY, half_made]) == []
    assert kinds(model, [PRIMARY], [COPY]) == []


def test_a_resync_takes_the_copy_away(model: Model) -> None:
    model.resynced(B)
    assert kinds(model, [PRIMARY], []) == []


def test_a_copy_that_was_taken_out_stays(model: Model) -> None:
    model.disabled(B, COPY, DATA)
    assert kinds(model, [PRIMARY], [COPY._replace(global_id=None, enabled=False)]) == []
    model.disabled(A, PRIMARY, DATA)
    assert kinds(model, [PLAIN], []) == ["lost"]


def test_a_demoted_copy_outlives_its_old_primary(model: Model) -> None:
    model.demoted(A, PRIMARY, is_strict=True)
    assert kinds(model, [GIVEN_UP], [COPY._replace(demoted=True)]) == []
    model.disabled(A, GIVEN_UP, DATA)
    assert kinds(model, [PLAIN], []) == ["lost"]


def test_a_copy_outlives_the_pool_of_its_primary(model: Model) -> None:
    model.pool_lost("a")
    assert kinds(model, [], []) == ["lost"]


def test_two_primaries_need_force(model: Model) -> None:
    assert kinds(model, [PRIMARY], [COPY._replace(primary=True)]) == ["two-primaries"]


def test_with_force_there_may_be_two(model: Model) -> None:
    assert model.promoted(B, COPY, is_free=True, data=DATA) == []
    assert kinds(model, [PRIMARY], [COPY._replace(primary=True)]) == []


def test_somebody_is_primary_unless_it_was_demoted(model: Model) -> None:
    assert kinds(model, [GIVEN_UP], [COPY]) == ["no-primary"]


def test_a_copy_needs_a_primary() -> None:
    model = Model()
    assert kinds(model, [], [COPY]) == ["copy-of-none"]


def test_a_copy_that_was_begun_may_turn_up_after_a_demotion() -> None:
    model = Model()
    assert kinds(model, [PRIMARY], [], 0) == []
    model.demoted(A, PRIMARY, is_strict=True)
    assert kinds(model, [GIVEN_UP], [COPY], 5) == []


def test_an_orderly_change_of_roles_keeps_what_was_acknowledged(model: Model) -> None:
    model.demoted(A, PRIMARY, is_strict=True)
    late = COPY._replace(demoted=True)
    assert [fault.kind for fault in model.promoted(B, late, is_free=False, data=OTHER)] == [
        "lost-writes"]


def test_what_a_demoted_copy_holds_is_known(model: Model) -> None:
    model.demoted(A, PRIMARY, is_strict=True)
    kinds(model, [GIVEN_UP], [COPY._replace(demoted=True)])
    assert set(model.expectations()) == {A, B}
    assert model.read(B, DATA) == []
    assert [fault.kind for fault in model.read(B, OTHER)] == ["lost-writes"]


def test_what_an_image_of_ones_own_holds_stays(model: Model) -> None:
    assert model.read(A, DATA) == []
    assert [fault.kind for fault in model.read(A, OTHER)] == ["overwritten"]


def test_a_write_that_was_not_acknowledged_may_be_there_or_not() -> None:
    contents = Contents.of(DATA)
    contents.begin(1, stamped(7))
    assert not contents.differences(DATA)
    assert not contents.differences(DATA[:BLOCK] + stamped(7))
    assert contents.differences(stamped(7) + bytes(BLOCK)) == [0]
    contents.acknowledge(1, stamped(7))
    assert contents.differences(DATA) == [1]


def test_a_command_that_fails_changes_nothing() -> None:
    assert unchanged(PRIMARY, PRIMARY)
    assert not unchanged(PRIMARY, PRIMARY._replace(primary=False))
    assert not unchanged(PLAIN, None)
    assert unchanged(COPY, None)
    assert not unchanged(COPY, COPY._replace(primary=True))


STOCK = ('2026-11-28T10:48:05.7+0000 7f -1 mgr load\nTraceback (most recent call last):\n'
         '  File "/usr/share/ceph/mgr/volumes/module.py", line 5\nAttributeError: NOTIFY_TYPES\n\n'
         '2026-11-28T10:48:06.1+0000 7f  0 [mirror_mgr INFO root] worker starts\n')
OURS = STOCK.replace("mgr/volumes", "mgr/mirror_mgr")


def test_modules_of_ceph_itself_may_fail_in_a_manager() -> None:
    assert not list(trouble(STOCK, of_manager=True))
    assert len(list(trouble(STOCK + OURS, of_manager=True))) == 1
    assert len(list(trouble(STOCK, of_manager=False))) == 1
    assert len(list(trouble("*** Caught signal (Aborted)", of_manager=True))) == 1
