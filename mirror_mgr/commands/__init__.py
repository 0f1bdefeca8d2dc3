"""What ``ceph rbd-mirror`` understands: one file a noun, no logic."""
