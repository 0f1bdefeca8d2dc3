"""Numbers of RBD's on-disk formats (``rbd_types.h``, ``cls_rbd_types.h``, ``librbd.h``)."""

from enum import IntEnum, IntFlag

NOSNAP = 2**64 - 2
"""``CEPH_NOSNAP``: the id that stands for the image itself, no snapshot."""

NO_SNAP_LIMIT = 2**64 - 1

NO_POOL = -1


class Feature(IntFlag):
    LAYERING = 1
    STRIPING = 2
    EXCLUSIVE_LOCK = 4
    OBJECT_MAP = 8
    FAST_DIFF = 16
    DEEP_FLATTEN = 32
    JOURNALING = 64
    DATA_POOL = 128
    OPERATIONS = 256
    MIGRATING = 512
    NON_PRIMARY = 1024


class HeaderFlag(IntFlag):
    """Of an image or of one of its snapshots."""

    OBJECT_MAP_INVALID = 1
    FAST_DIFF_INVALID = 2


class OpFeature(IntFlag):
    CLONE_PARENT = 1
    CLONE_CHILD = 2
    GROUP = 4
    SNAP_TRASH = 8


class NamespaceType(IntEnum):
    """Of a snapshot."""

    USER = 0
    GROUP = 1
    TRASH = 2
    MIRROR = 3


class SnapState(IntEnum):
    """Of a mirror snapshot."""

    PRIMARY = 0
    PRIMARY_DEMOTED = 1
    NON_PRIMARY = 2
    NON_PRIMARY_DEMOTED = 3


class Protection(IntEnum):
    UNPROTECTED = 0
    UNPROTECTING = 1
    PROTECTED = 2


class MirrorMode(IntEnum):
    """Of a pool.  INIT_ONLY: since Tentacle."""

    DISABLED = 0
    IMAGE = 1
    POOL = 2
    INIT_ONLY = 3


class ImageMode(IntEnum):
    """Of a mirrored image."""

    JOURNAL = 0
    SNAPSHOT = 1


class MirrorImageState(IntEnum):
    DISABLING = 0
    ENABLED = 1
    DISABLED = 2
    CREATING = 3


class PeerDirection(IntEnum):
    RX = 0
    TX = 1
    RX_TX = 2


class StatusState(IntEnum):
    """Of a mirrored image, as ``rbd mirror image status`` shows it."""

    UNKNOWN = 0
    ERROR = 1
    SYNCING = 2
    STARTING_REPLAY = 3
    REPLAYING = 4
    STOPPING_REPLAY = 5
    STOPPED = 6


class ObjectState(IntEnum):
    """A cell of an object map.  EXISTS: written since the previous snapshot."""

    NONEXISTENT = 0
    EXISTS = 1
    PENDING = 2
    EXISTS_CLEAN = 3


class TrashSource(IntEnum):
    """Who moved an image to the trash."""

    USER = 0
    MIRRORING = 1
    MIGRATION = 2
    REMOVING = 3
    USER_PARENT = 4


class TrashState(IntEnum):
    NORMAL = 0
    MOVING = 1
    REMOVING = 2
    RESTORING = 3
