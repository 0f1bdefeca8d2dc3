"""Starts, watches, restarts and fences the worker processes."""
