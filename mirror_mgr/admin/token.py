"""The bootstrap token, by which one site lets another one in; pure.

base64 of a JSON object of four strings, as librbd makes it since Octopus.
"""

import base64
import json
from dataclasses import dataclass, field

from ..errors import InvalidArgument, MalformedData
from ..wire import cephx

_LONGEST = 4096
_FIELDS = ("fsid", "client_id", "key", "mon_host")
_CURE = "make one at the other site by: ceph rbd-mirror pool peer bootstrap create POOL"


@dataclass(frozen=True)
class Token:
    """Where a site is and how to log in there.

    :ivar client_id: a cephx user without ``client.``
    """

    fsid: str
    client_id: str
    key: str = field(repr=False)
    mon_host: str

    def encode(self) -> str:
        text = json.dumps({name: getattr(self, name) for name in _FIELDS}, separators=(",", ":"))
        return base64.b64encode(text.encode()).decode()


def decode(text: str) -> Token:
    """Given a token as it was typed or read from a file, return it.

    Raise InvalidArgument if it is not a token; the message holds no part of it.
    """
    packed = "".join(text.split())
    if not packed:
        raise InvalidArgument(f"token: it is empty; {_CURE}")
    if len(packed) > _LONGEST:
        raise InvalidArgument(f"token: it has {len(packed)} characters, too many for one; {_CURE}")
    try:
        unpacked = base64.b64decode(packed, validate=True)
    except ValueError:
        raise InvalidArgument(f"token: it is not base64; {_CURE}") from None
    try:
        content = json.loads(unpacked)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"token: its content is not JSON; {_CURE}") from None
    if not isinstance(content, dict):
        raise InvalidArgument(f"token: its content is not a JSON object; {_CURE}")
    for name in _FIELDS:
        if not isinstance(content.get(name), str) or not content[name]:
            raise InvalidArgument(f"token: its field {name!r} is missing or empty; {_CURE}")
    try:
        cephx.key_type(content["key"])
    except MalformedData:
        raise InvalidArgument(f"token: its field 'key' holds no cephx key; {_CURE}") from None
    return Token(*(content[name] for name in _FIELDS))
