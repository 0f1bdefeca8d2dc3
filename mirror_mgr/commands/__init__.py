"""What ``ceph rbd-mirror`` understands: one file a noun, no logic."""

from . import image, peer, pool, schedule, worker  # noqa: F401  each registers its commands
