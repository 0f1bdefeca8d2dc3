"""``ceph rbd-mirror snapshot schedule ...``: mirror snapshots that are made by themselves."""

from dataclasses import replace
from typing import Optional

from ..admin import images, targets
from ..admin.specs import parse_image
from ..errors import NotFound
from ..model import Outcome
from ..schedule import render
from ..schedule.levels import Level
from ..schedule.model import Adopted, Listing, Status
from ..schedule.rules import Rule, parse_interval, parse_start
from .registry import Host, PoolText, Text, command

SCHEDULE = "snapshot schedule"


@command(f"{SCHEDULE} add", "w")
def add(mgr: Host, interval: str, start_time: Optional[str] = None,
        pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
        image: Optional[Text] = None, spread: bool = False,
        deadline: Optional[str] = None) -> str:
    """Make mirror snapshots every interval (like 1d, 6h or 15m) of all images, or of those of a
    pool, a namespace or of one image; start_time (ISO 8601, UTC unless it names a zone) says from
    when on; --spread gives each image a moment of its own; runs later than --deadline are skipped
    """
    rule = replace(
        _rule(interval, start_time), spread=spread,
        deadline=parse_interval(deadline, "deadline") if deadline is not None else None)
    target = targets.find(mgr.rados, pool, namespace, image, in_snapshot_mode=True)
    mgr.scheduler.add(_level(target), target.image, rule)
    return ""


@command(f"{SCHEDULE} remove", "w")
def remove(mgr: Host, interval: Optional[str] = None, start_time: Optional[str] = None,
           pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None) -> str:
    """Remove a schedule, given as it was added, or without interval all schedules of its level"""
    rule = _rule(interval, start_time) if interval is not None else None
    mgr.scheduler.remove(_level(targets.find(mgr.rados, pool, namespace, image)), rule)
    return ""


def _listing(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
             image: Optional[Text] = None,
             recursive: bool = False) -> Listing:
    """List the schedules of all images, or of a pool, a namespace or an image; with --recursive
    also those below, and those that apply from above"""
    level = _level(targets.find(mgr.rados, pool, namespace, image))
    found = mgr.scheduler.listing(level, recursive)
    if not found and not recursive:
        raise NotFound(f"snapshot schedules of {mgr.scheduler.level_name(level)}: there are none; "
                       "see: ceph rbd-mirror snapshot schedule ls --recursive")
    return Listing(recursive, found)


for _word in ("ls", "list"):
    command(f"{SCHEDULE} {_word}", "r", render.listing_plain, render.listing_json)(_listing)


@command(f"{SCHEDULE} status", "r", render.status_plain, render.status_json)
def status(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None, sum: bool = False) -> Status:
    """Show when images are due next and how their last runs went; --sum shows that by schedule"""
    return Status(
        sum, mgr.scheduler.status(_level(targets.find(mgr.rados, pool, namespace, image))))


@command(f"{SCHEDULE} pause", "w")
def pause(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
          image: Optional[Text] = None) -> str:
    """Make no scheduled snapshots of all images, or of those of a pool, a namespace or of one"""
    target = targets.find(mgr.rados, pool, namespace, image)
    mgr.scheduler.pause(_level(target), target.image)
    return ""


@command(f"{SCHEDULE} resume", "w")
def resume(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None) -> str:
    """End a pause, where it was begun"""
    mgr.scheduler.resume(_level(targets.find(mgr.rados, pool, namespace, image)))
    return ""


@command(f"{SCHEDULE} run", "w")
def run(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
        image: Optional[Text] = None) -> Outcome:
    """Make a snapshot of each scheduled image now, of a pool, a namespace or of one image"""
    count, failures = mgr.scheduler.run_now(
        _level(targets.find(mgr.rados, pool, namespace, image)))
    return Outcome(f"Made {count - len(failures)} mirror snapshots",
                   images.together({parse_image(name): error for name, error in failures.items()})
                   if failures else None)


@command(f"{SCHEDULE} adopt", "w", render.adopted_plain, render.adopted_json)
def adopt(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
          image: Optional[Text] = None, dry_run: bool = False) -> Adopted:
    """Take over the schedules of the module rbd_support; --dry-run only shows what would be"""
    return mgr.scheduler.adopt(_level(targets.find(mgr.rados, pool, namespace, image)), dry_run)


def _level(target: targets.Target) -> Level:
    return Level(target.pool_id, target.namespace, target.image_id)


def _rule(interval: str, start_time: Optional[str]) -> Rule:
    return Rule(parse_interval(interval), parse_start(start_time) if start_time else None)
