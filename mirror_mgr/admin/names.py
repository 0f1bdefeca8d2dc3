"""Images whose names mirrored images of the peer need for their copies.  Pure."""

from typing import Iterable

from .. import states
from ..errors import InvalidArgument
from ..worker.protocol import ImageReport
from .specs import ImageSpec


def require_free(spec: ImageSpec, reports: Iterable[ImageReport]) -> None:
    """Raise InvalidArgument if an image that is not mirrored has the name that a copy needs.

    `reports` are what our own workers say of images.
    """
    for report in reports:
        if report.spec == str(spec) and report.state == states.ERROR:
            raise InvalidArgument(
                f"image '{spec}': this one is not mirrored, and its name is that of a mirrored "
                "image of the peer site, whose copy can't be made beside it; rename this one "
                f"(rbd mv {spec} {spec.pool_spec}/NEWNAME) or remove it, and the copy is made")
