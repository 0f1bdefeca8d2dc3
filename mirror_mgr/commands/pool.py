"""``ceph rbd-mirror pool ...``: a pool or namespace as a whole."""

from typing import Dict, Optional, Tuple

from .. import output
from ..admin import demotion, images, pools, promotion, removals, status
from ..admin.specs import ImageSpec, parse_pool
from ..errors import MirrorError
from ..model import Outcome, PoolInfo, PoolStatus
from .deadline import FORCED_SECONDS
from .registry import Host, PoolText, Text, command


@command("pool enable", "w")
def enable(mgr: Host, pool: PoolText, mode: str = "pool",
           site_name: Optional[Text] = None, remote_namespace: Optional[Text] = None) -> str:
    """Enable RBD mirroring in a pool or namespace; mode is 'image', 'pool' (default) or
    'init-only', which only prepares a pool for it; --remote-namespace is the peer's namespace that
    this one is mirrored with, where that is not the one of the same name"""
    news = pools.enable(mgr.rados, parse_pool(pool, strict=True), mode, site_name,
                        remote_namespace)
    mgr.supervisor.refresh()
    return news


@command("pool disable", "w")
def disable(mgr: Host, pool: PoolText) -> str:
    """Disable RBD mirroring in a pool or namespace and on all of its images"""
    news = pools.disable(mgr.rados, parse_pool(pool, strict=True))
    mgr.supervisor.refresh()
    return news


@command("pool info", "r", output.pool_info_plain, output.pool_info_json)
def info(mgr: Host, pool: PoolText, all: bool = False) -> PoolInfo:
    """Show how mirroring of a pool or namespace is configured"""
    return pools.info(mgr.rados, parse_pool(pool), with_mon_host=all)


@command("pool status", "r", output.pool_status_plain, output.pool_status_json)
def pool_status(mgr: Host, pool: PoolText, detail: bool = False) -> PoolStatus:
    """Show the status of all mirrored images in a pool or namespace"""
    return status.pool_status(mgr.rados, mgr.witnesses(), parse_pool(pool), detail)


@command("pool promote", "w", least_seconds=FORCED_SECONDS)
def promote(mgr: Host, pool: PoolText, force: bool = False) -> Outcome:
    """Make all images of a pool or namespace primary here; --force if the primary site is lost"""
    return _outcome(mgr, "Promoted", promotion.promote_all(
        mgr.rados, parse_pool(pool, strict=True), force, mgr.promote_by_force, mgr.look))


@command("pool demote", "w")
def demote(mgr: Host, pool: PoolText, force: bool = False) -> Outcome:
    """Make all images of a pool or namespace non-primary here; --force blocklists the clients
    that have them open for writing"""
    demoted = demotion.demote_all(mgr.rados, parse_pool(pool, strict=True), force,
                                  mgr.mirroring_clients)
    return _outcome(mgr, "Demoted", (demoted.total, demoted.failures), demoted.note)


@command("pool confirm-removal", "w")
def confirm_removal(mgr: Host, pool: PoolText) -> str:
    """Let go the copies that are kept because so many primaries disappeared at once"""
    count = removals.confirm(mgr.rados, parse_pool(pool, strict=True))
    mgr.supervisor.refresh()
    return f"Confirmed the removal of {count} copies: they move to the trash"


def _outcome(mgr: Host, verb: str,
             result: Tuple[int, Dict[ImageSpec, MirrorError]], note: str = "") -> Outcome:
    count, failures = result
    mgr.supervisor.refresh()
    return Outcome(f"{verb} {count - len(failures)} mirrored images",
                   images.together(failures) if failures else None, note)
