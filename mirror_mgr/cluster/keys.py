"""Whether this host's librados can log in with a key, asked before it tries.

One that does not know the type of a key says only that an argument is invalid, and writes the key
to the log.
"""

import configparser
import os
from typing import Optional

import rados

from ..errors import MalformedData, NotSupported
from ..wire import cephx

# It came with the keys of type aes256k: a librados that knows it reads them.
_OPTION = "mon_auth_allow_insecure_key"


def require_readable(cluster: "rados.Rados", entity: str) -> None:
    """Look at the key with which `cluster` is about to connect as `entity` ("client.x").

    Raise NotSupported for one of a type that it can't read, MalformedData for what is no key.
    """
    key = key_of(cluster, entity)
    if key:
        check(cluster, key, entity)


def check(cluster: "rados.Rados", key: str, entity: str) -> None:
    """The same for a key that is given in base64."""
    try:
        kind = cephx.key_type(key)
    except MalformedData:
        raise MalformedData(f"the key of {entity} is no cephx key; get one at the other site by: "
                            f"ceph auth get-key {entity}") from None
    if kind not in (cephx.NONE, cephx.AES) and not cluster.conf_get(_OPTION):
        raise NotSupported(
            f"the key of {entity} is of type {cephx.type_name(kind)}, which this site's Ceph can't "
            "read: upgrade it to 19.2.6, 20.2.4 or later, or give that user a key of type aes at "
            "the other site (ceph mon set auth_allowed_ciphers aes,aes256k; ceph auth rotate "
            f"{entity} --key_type aes) and enter that one here, by a new token if it came by one")


def hint(key: Optional[str]) -> str:
    """What else to look at where monitors refuse a user with a key that may be right."""
    try:
        kind = cephx.key_type(key or "")
    except MalformedData:
        return ""
    return (f"; if that site's 'ceph mon dump' shows auth_allowed_ciphers, "
            f"{cephx.type_name(kind)} must be among them")


def key_of(cluster: "rados.Rados", entity: str) -> Optional[str]:
    """The key that it will connect with; None where it can't be told beforehand."""
    return cluster.conf_get("key") or _in_keyring(cluster.conf_get("keyring") or "", entity)


def _in_keyring(paths: str, entity: str) -> Optional[str]:
    """What the first of these files that can be read has for a user, as librados takes it."""
    path = next((path for path in paths.split(",") if os.access(path, os.R_OK)), None)
    if path is None:
        return None
    found = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        with open(path, encoding="utf-8") as file:
            # With its indent a line would continue the one before.
            found.read_string("\n".join(line.strip() for line in file))
    except (OSError, ValueError, configparser.Error):
        return None  # librados says what is wrong with it
    return found.get(entity, "key", fallback=None)
