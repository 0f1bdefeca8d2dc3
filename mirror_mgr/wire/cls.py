"""A call of an object class method, as a value."""

from typing import NamedTuple


class Call(NamedTuple):
    """``method`` of the object class ``cls``, with its encoded arguments."""

    cls: str
    method: str
    data: bytes = b""
