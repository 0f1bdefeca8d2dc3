"""Ceph's byte formats as values; pure, no I/O."""
