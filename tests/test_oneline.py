import logging

import pytest

from mirror_mgr.oneline import Formatter, lines, one_line


@pytest.mark.parametrize("name", ["disk", "an image", "диск", "über/人"])
def test_names_as_people_give_them_stay(name: str) -> None:
    assert one_line(name) == name


@pytest.mark.parametrize(("name", "shown"), [
    ("a\nb", "a\\nb"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\u202eb", "a\\u202eb"),
    (b"a\xffb".decode("utf-8", "surrogateescape"), "a\\udcffb"), ("a\x85b", "a\\x85b"),
    ("a\u2028b", "a\\u2028b")])
def test_what_is_not_printable_is_escaped(name: str, shown: str) -> None:
    assert one_line(name) == shown
    assert one_line(name).encode()


def test_long_ones_are_cut() -> None:
    assert one_line("x" * 10, 10) == "x" * 10
    assert one_line("x" * 11, 10) == "x" * 9 + "\u2026"
    assert len(one_line("\n" * 10**6)) < 5000


def test_lines_stay_lines() -> None:
    assert lines("Traceback:\n  a\tb\n") == "Traceback:\n  a\\tb\n"


def test_messages_of_a_log() -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        record = logging.LogRecord("n", logging.INFO, "p", 1, "image %s", ("a\n2026 ERROR",),
                                   (ValueError, error, error.__traceback__))
    first, *trace = Formatter("%(levelname)s %(message)s").format(record).split("\n")
    assert first == "INFO image a\\n2026 ERROR"
    assert trace[0].startswith("Traceback")
