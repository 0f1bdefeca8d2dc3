import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_mgr.cluster.operation import Operation
from mirror_mgr.errors import InvalidArgument
from tests.replay.fake_rados import FakeRados


def test_steps_keep_their_order():
    assert Operation().create().truncate(5).write(1, b"x").remove().steps == [
        ("create", False), ("truncate", 5), ("write", 1, b"x"), ("remove",)]
    assert Operation().create(exclusive=True).steps == [("create", True)]


@pytest.mark.parametrize("length", [0, -1])
def test_a_zero_of_no_bytes_never_reaches_an_osd(length):
    with pytest.raises(InvalidArgument):
        Operation().zero(0, length)


# --- parts ------------------------------------------------------------------------------------

PLACES = st.integers(0, 40)
STEPS = st.one_of(
    st.builds(lambda offset, data: ("write", offset, data), PLACES, st.binary(min_size=1,
                                                                              max_size=9)),
    st.builds(lambda offset, length: ("zero", offset, length), PLACES, st.integers(1, 20)),
    st.builds(lambda size: ("truncate", size), PLACES),
    st.just(("create",)))


def of(steps):
    operation = Operation()
    for name, *arguments in steps:
        getattr(operation, name)(*arguments)
    return operation


@given(st.lists(STEPS, min_size=1), st.none() | st.binary(max_size=30))
def test_parts_give_what_the_whole_gives(steps, before):
    whole, split = FakeRados(), FakeRados(erasure_coded=True)
    for rados in (whole, split):
        if before is not None:
            rados.operate("o", [("create", False)])
            rados.operate("o", [("write", 0, before)])
    whole.operate("o", of(steps).steps, [1])
    parts = of(steps).parts()
    for part in parts:
        split.operate("o", part.steps, [1])
        assert not part.mixed
    assert split.content("o") == whole.content("o")
    assert split.content("o", 1) == whole.content("o", 1) == before
    assert (len(parts) == 1) is not of(steps).mixed


@pytest.mark.parametrize("steps, expected", [
    ([("create",), ("write", 0, b"a"), ("write", 5, b"b")], 1),
    ([("create",), ("truncate", 5)], 1),
    ([("zero", 5, 9)], 1),
    ([("truncate", 5), ("write", 0, b"a"), ("write", 1, b"b")], 2),
    ([("truncate", 0), ("truncate", 5)], 2),
    ([("zero", 5, 9), ("zero", 50, 9)], 2),
    ([("write", 0, b"a"), ("zero", 5, 9), ("write", 1, b"b")], 3),
    ([("remove",)], 1),
    ([("compare", 0, b"a"), ("write", 0, b"b")], 1),
])
def test_how_many_parts(steps, expected):
    assert len(of(steps).parts()) == expected
