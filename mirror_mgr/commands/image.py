"""``ceph rbd-mirror image ...``: one image."""

from typing import Optional

from .. import output
from ..admin import demotion, images, promotion, removals, resync, status
from ..admin.specs import parse_image
from ..model import ImageStatus, Outcome
from .deadline import FORCED_SECONDS
from .registry import Host, ImageText, Text, command


@command("image enable", "w")
def enable(mgr: Host, image: ImageText, mode: str = "journal") -> str:
    """Enable RBD mirroring of an image; mode is 'journal' (default) or 'snapshot'"""
    images.enable(mgr.rados, parse_image(image), mode, mgr.supervisor.images())
    mgr.supervisor.refresh()
    return "Mirroring enabled"


@command("image disable", "w")
def disable(mgr: Host, image: ImageText, force: bool = False) -> str:
    """Disable RBD mirroring of an image; --force if it is not primary"""
    images.disable(mgr.rados, parse_image(image), force)
    mgr.supervisor.refresh()
    return "Mirroring disabled"


@command("image status", "r", output.image_status_plain, output.image_status_json)
def image_status(mgr: Host, image: ImageText) -> ImageStatus:
    """Show the RBD mirroring status of an image"""
    return status.image_status(mgr.rados, mgr.witnesses(), parse_image(image))


@command("image snapshot", "w")
def snapshot(mgr: Host, image: ImageText) -> str:
    """Create a mirror snapshot of an image"""
    return f"Snapshot ID: {images.snapshot(mgr.rados, parse_image(image))}"


@command("image promote", "w", least_seconds=FORCED_SECONDS)
def promote(mgr: Host, image: ImageText, force: bool = False) -> str:
    """Make an image primary here; --force if the primary site is lost"""
    promotion.promote(mgr.rados, parse_image(image), force, mgr.promote_by_force,
                      mgr.look, mgr.supervisor.images())
    mgr.supervisor.refresh()
    return "Image promoted to primary"


@command("image demote", "w")
def demote(mgr: Host, image: ImageText, force: bool = False) -> Outcome:
    """Make an image non-primary here, so that another site may promote it; --force blocklists
    the clients that have it open for writing"""
    demoted = demotion.demote(mgr.rados, parse_image(image), force, mgr.mirroring_clients)
    mgr.supervisor.refresh()
    if demoted.failures:
        return Outcome("", images.together(demoted.failures), demoted.note)
    return Outcome("Image demoted to non-primary", note=demoted.note)


@command("image resync", "w")
def image_resync(mgr: Host, image: ImageText, force: bool = False) -> str:
    """Have an image made anew from its primary; --force if that can't be looked at"""
    global_id = resync.resync(mgr.rados, parse_image(image), force, mgr.look)
    mgr.supervisor.refresh(global_id)
    return "Flagged image for resync from primary"


@command("image restore", "w")
def restore(mgr: Host, image: ImageText, name: Optional[Text] = None) -> str:
    """Take a removed copy, by its name or id, out of the trash and make it an ordinary image"""
    found = removals.restore(mgr.rados, parse_image(image), name, mgr.make_writable)
    mgr.supervisor.refresh()
    return f"Restored '{found}': clients may write to it, and it is not mirrored"
