"""The key of a cephx user (``CryptoKey``, ``auth/Crypto.h``, releases 16 to 20)."""

import base64

from ..errors import MalformedData
from .encoding import Decoder

NONE, AES, AES256K = 0, 1, 2
"""``CEPH_CRYPTO_*`` of ``include/ceph_fs.h``; the last came with releases 19.2.6 and 20.2.4."""

_NAMES = {NONE: "none", AES: "aes", AES256K: "aes256k"}


def type_name(kind: int) -> str:
    """Return what ``ceph auth`` calls a type of keys; its number where that is not known."""
    return _NAMES.get(kind, str(kind))


def key_type(text: str) -> int:
    """Return the type of a key in base64; raise MalformedData, which holds no part of the key."""
    try:
        source = Decoder(base64.b64decode(text.strip(), validate=True))
        kind = source.u16()
        source.utime()
        source.take(source.u16())
    except (ValueError, MalformedData):
        raise MalformedData("that is no cephx key") from None
    return kind
