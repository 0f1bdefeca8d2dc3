"""Whether the OSDs of a site know what being mirrored from takes."""

import errno

import rados

from ..errors import NotSupported
from ..wire.cls_rbd import mirror_peer_ping
from ..wire.header import MIRRORING

TOO_OLD = ("the OSDs there can't be told who mirrors from them (mirror_peer_ping of cls_rbd); "
           "upgrade that site to Ceph 16 or later or, if it is, set right their osd_class_dir")


def require_ping(ioctx: "rados.Ioctx") -> None:
    """Raise NotSupported where they do not know pings; change nothing there."""
    try:
        ioctx.execute(MIRRORING, *mirror_peer_ping("", ""))  # who knows it refuses an empty uuid
    except rados.Error as error:
        if error.errno == errno.EOPNOTSUPP:
            raise NotSupported(TOO_OLD) from None
