"""Replay of images that are mirrored by their journal."""
