"""What librbd of this site can do, asked of its Python binding: not every release can do it all."""

import rbd


def has_init_only() -> bool:
    """Whether a pool may be prepared for mirroring without mirroring its default namespace."""
    return isinstance(getattr(rbd, "RBD_MIRROR_MODE_INIT_ONLY", None), int)


def has_remote_namespaces() -> bool:
    """Whether a namespace may be mirrored with one of another name."""
    return hasattr(rbd.RBD, "mirror_remote_namespace_set")
