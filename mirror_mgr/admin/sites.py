"""The local site's name, which its peers show their users."""

import rados
import rbd

from .access import explaining


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
