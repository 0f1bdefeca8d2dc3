"""What users type to name a pool, a namespace or an image; pure.

The grammar is the ``rbd`` CLI's: ``[POOL][/NAMESPACE]`` and ``[POOL/[NAMESPACE/]]IMAGE``, where a
pool that is left out is called ``rbd``.
"""

import re
from dataclasses import dataclass

from ..errors import InvalidArgument

DEFAULT_POOL = "rbd"
_USAGE = "write POOL or POOL/NAMESPACE"

_IMAGE = re.compile(r"(?:(?P<pool>[^/]+)/(?:(?P<namespace>[^/@]+)/)?)?"
                    r"(?P<name>[^@]+)(?P<snap>@.*)?", re.DOTALL)


@dataclass(frozen=True)
class PoolSpec:
    pool: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool


@dataclass(frozen=True)
class ImageSpec:
    pool: str
    namespace: str
    name: str

    @property
    def pool_spec(self) -> PoolSpec:
        return PoolSpec(self.pool, self.namespace)

    def __str__(self) -> str:
        return f"{self.pool_spec}/{self.name}"


def parse_pool(text: str, strict: bool = False) -> PoolSpec:
    """Given ``pool`` or ``pool/namespace``, return the spec.

    Raise InvalidArgument for a namespace with a ``@`` and, if `strict`, a pool with a ``/`` or
    ``@``: ``rbd`` refuses these at once where it changes something.  Whether there is such a pool
    is seen when it is opened.
    """
    pool, slash, namespace = text.rpartition("/")
    if not slash:
        pool, namespace = text, ""
    if "@" in namespace:
        raise InvalidArgument(f"namespace {namespace!r}: there can't be one with a '@'; {_USAGE}")
    if strict:
        _check_pool(pool)
    return PoolSpec(pool or DEFAULT_POOL, namespace)


def parse_whole_pool(text: str) -> PoolSpec:
    """Given ``pool``, return the spec; raise InvalidArgument for a namespace too.

    Peers belong to a pool as a whole.
    """
    if "/" in text:
        raise InvalidArgument(f"pool {text!r}: peers belong to a whole pool; "
                              "name the pool alone, without a namespace")
    _check_pool(text)
    return PoolSpec(text or DEFAULT_POOL)


def _check_pool(name: str) -> None:
    if "/" in name or "@" in name:
        raise InvalidArgument(f"pool {name!r}: there can't be one with a '/' or '@'; {_USAGE}")


def parse_image(text: str) -> ImageSpec:
    """Given ``pool/image`` or ``pool/namespace/image``, return the spec.

    Raise InvalidArgument if there is no image name in it, or a snapshot's too.
    """
    match = _IMAGE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"image {text!r}: no image is named; write POOL/IMAGE or "
                              "POOL/NAMESPACE/IMAGE")
    if match["snap"]:
        raise InvalidArgument(f"image {text!r}: mirroring is a matter of the whole image; "
                              "name it without the snapshot")
    return ImageSpec(match["pool"] or DEFAULT_POOL, match["namespace"] or "", match["name"])
