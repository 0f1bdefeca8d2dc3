import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.schedule.levels import EVERYWHERE, ImageKey, Level, levels_of, parse_key


@pytest.mark.parametrize("key, level", [
    ("12", Level(12)), ("12/", Level(12, "")), ("12/ns", Level(12, "ns")),
    ("12//abcd", Level(12, "", "abcd")), ("12/ns/abcd", Level(12, "ns", "abcd"))])
def test_keys(key: str, level: Level) -> None:
    assert parse_key(key) == level
    assert level.key == key


@pytest.mark.parametrize("key", ["", "x", "12/ns/a/b", "-1", "12 ", "1" * 30])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(MalformedData):
        parse_key(key)


def test_the_most_specific_comes_first() -> None:
    levels = levels_of(ImageKey(12, "", "a"))
    assert levels == (Level(12, "", "a"), Level(12, ""), Level(12), EVERYWHERE)
    assert [level.covers(levels[0]) for level in levels] == [True] * 4
    assert [levels[0].covers(level) for level in levels] == [True, False, False, False]
    assert not Level(12, "ns").covers(levels[0])
    assert not Level(13).covers(Level(12))
