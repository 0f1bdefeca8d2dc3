"""Names and messages as one line for people: of a log, of a health check, of plain output.

Names come from either site, and may hold anything: a line break, what a terminal obeys, bytes that
are no text, or a megabyte.  JSON has them as they are.
"""

import logging

LONGEST = 2000


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return the text with what is not printable escaped, cut to so many characters."""
    return _escaped(text if len(text) <= longest
                    else text[:longest - 1] + "\N{HORIZONTAL ELLIPSIS}")


def lines(text: str) -> str:
    """Return a text of several lines, as a traceback is, with what is not printable escaped."""
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Formatter(logging.Formatter):
    """Of log records, whose messages are one line each."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)
