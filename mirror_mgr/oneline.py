"""Names and messages as one line for people: of a log, of a health check, of plain output.

Names come from either site, and may hold anything: a line break, what a terminal obeys, bytes that
are no text, or a megabyte.  JSON has them as they are.
"""

LONGEST = 2000


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return the text with what is not printable escaped, cut to so many characters."""
    text = text if len(text) <= longest else text[:longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines(text: str) -> str:
    """Return a text of several lines, as a traceback is, each as :func:`one_line`."""
    return "\n".join(one_line(line) for line in text.split("\n"))
