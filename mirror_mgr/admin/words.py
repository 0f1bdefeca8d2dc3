"""librbd's constants of mirroring and the words that users read and write for them."""

import rbd

from ..wire.constants import MirrorMode

POOL_MODES = {
    "disabled": rbd.RBD_MIRROR_MODE_DISABLED,
    "image": rbd.RBD_MIRROR_MODE_IMAGE,
    "pool": rbd.RBD_MIRROR_MODE_POOL,
    "init-only": int(MirrorMode.INIT_ONLY),  # older releases have no name for it
}
IMAGE_MODES = {
    "journal": rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL,
    "snapshot": rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT,
}
DIRECTIONS = {
    "rx-only": rbd.RBD_MIRROR_PEER_DIRECTION_RX,
    "tx-only": rbd.RBD_MIRROR_PEER_DIRECTION_TX,
    "rx-tx": rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX,
}
STATUS_STATES = {
    "unknown": rbd.MIRROR_IMAGE_STATUS_STATE_UNKNOWN,
    "error": rbd.MIRROR_IMAGE_STATUS_STATE_ERROR,
    "syncing": rbd.MIRROR_IMAGE_STATUS_STATE_SYNCING,
    "starting_replay": rbd.MIRROR_IMAGE_STATUS_STATE_STARTING_REPLAY,
    "replaying": rbd.MIRROR_IMAGE_STATUS_STATE_REPLAYING,
    "stopping_replay": rbd.MIRROR_IMAGE_STATUS_STATE_STOPPING_REPLAY,
    "stopped": rbd.MIRROR_IMAGE_STATUS_STATE_STOPPED,
}


def word(words: "dict[str, int]", value: int) -> str:
    """Return the word that stands for `value`, or ``unknown``."""
    return next((word for word, number in words.items() if number == value), "unknown")
