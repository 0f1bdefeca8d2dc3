"""What the local site is called: by users, and in what mirroring writes."""

import rados
import rbd

from .access import explaining, in_default_namespace


def name(cluster: "rados.Rados") -> str:
    """Return the site's name: its fsid where none was given."""
    with explaining("site name"):
        return str(rbd.RBD().mirror_site_name_get(cluster))


def set_name(cluster: "rados.Rados", new: str) -> bool:
    """Name the site (its fsid if `new` is empty) and return whether that changed anything."""
    before = name(cluster)
    with explaining(f"site name {new!r}"):
        rbd.RBD().mirror_site_name_set(cluster, new)
    return name(cluster) != before


def mirror_uuid(ioctx: "rados.Ioctx") -> str:
    """Return the mirror uuid by which images of a pool name it, those of its namespaces too.

    Each namespace has one of its own as well, which nothing makes use of.
    """
    with explaining("mirror uuid"), in_default_namespace(ioctx):
        return str(rbd.RBD().mirror_uuid_get(ioctx))
