"""Keys of cephx users, as Ceph makes them."""

import base64

from mirror_mgr.wire.encoding import Encoder


def key(kind: int, secret: bytes = b"0123456789abcdef") -> str:
    """A key of a type of `mirror_mgr.wire.cephx`, in base64."""
    packed = Encoder().u16(kind).utime(10**18).u16(len(secret)).raw(secret)
    return base64.b64encode(packed.done()).decode()
