"""``ceph rbd-mirror snapshot schedule ...``: mirror snapshots that are made by themselves."""

from contextlib import contextmanager
from dataclasses import replace
from typing import Iterator, Optional

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
    target = targets.find(mgr.rados, pool, namespace, image).must_fit()
    mgr.scheduler.add(_level(target), target.image, rule)
    return ""


@command(f"{SCHEDULE} remove", "w")
def remove(mgr: Host, interval: Optional[str] = None, start_time: Optional[str] = None,
           pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None) -> str:
    """Remove a schedule, given as it was added, or without interval all schedules of its level"""
    rule = _rule(interval, start_time) if interval is not None else None
    with _found(mgr, pool, namespace, image) as level:
        mgr.scheduler.remove(level, rule)
    return ""


def _listing(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
             image: Optional[Text] = None,
             recursive: bool = False) -> Listing:
    """List the schedules of all images, or of a pool, a namespace or an image; with --recursive
    also those below, and those that apply from above"""
    with _found(mgr, pool, namespace, image) as level:
        found = mgr.scheduler.listing(level, recursive)
        if not found and not recursive:
            raise NotFound(f"snapshot schedules of {mgr.scheduler.level_name(level)}: there are "
                           "none; see: ceph rbd-mirror snapshot schedule ls --recursive")
        return Listing(recursive, found)


for _word in ("ls", "list"):
    command(f"{SCHEDULE} {_word}", "r", render.listing_plain, render.listing_json)(_listing)


@command(f"{SCHEDULE} status", "r", render.status_plain, render.status_json)
def status(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None, sum: bool = False) -> Status:
    """Show when images are due next and how their last runs went; --sum shows that by schedule"""
    target = targets.find(mgr.rados, pool, namespace, image)
    found = mgr.scheduler.status(_level(target))
    if not found:
        target.must_fit()
    return Status(sum, found)


@command(f"{SCHEDULE} pause", "w")
def pause(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
          image: Optional[Text] = None) -> str:
    """Make no scheduled snapshots of all images, or of those of a pool, a namespace or of one"""
    target = targets.find(mgr.rados, pool, namespace, image).must_fit()
    mgr.scheduler.pause(_level(target), target.image)
    return ""


@command(f"{SCHEDULE} resume", "w")
def resume(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
           image: Optional[Text] = None) -> str:
    """End a pause, where it was begun"""
    with _found(mgr, pool, namespace, image) as level:
        mgr.scheduler.resume(level)
    return ""


@command(f"{SCHEDULE} run", "w")
def run(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
        image: Optional[Text] = None) -> Outcome:
    """Make a snapshot of each scheduled image now, of a pool, a namespace or of one image"""
    with _found(mgr, pool, namespace, image) as level:
        count, failures = mgr.scheduler.run_now(level)
    return Outcome(f"Made {count - len(failures)} mirror snapshots",
                   images.together({parse_image(name): error for name, error in failures.items()})
                   if failures else None)


@command(f"{SCHEDULE} adopt", "w", render.adopted_plain, render.adopted_json)
def adopt(mgr: Host, pool: Optional[PoolText] = None, namespace: Optional[Text] = None,
          image: Optional[Text] = None, dry_run: bool = False) -> Adopted:
    """Take over the schedules of the module rbd_support; --dry-run only shows what would be"""
    return mgr.scheduler.adopt(_level(targets.find(mgr.rados, pool, namespace, image)), dry_run)


@contextmanager
def _found(mgr: Host, pool: Optional[str], namespace: Optional[str],
           image: Optional[str]) -> Iterator[Level]:
    """Give the level that is meant; where nothing is found there, tell why nothing can be."""
    target = targets.find(mgr.rados, pool, namespace, image)
    try:
        yield _level(target)
    except NotFound:
        target.must_fit()
        raise


def _level(target: targets.Target) -> Level:
    return Level(target.pool_id, target.namespace, target.image_id)


def _rule(interval: str, start_time: Optional[str]) -> Rule:
    return Rule(parse_interval(interval), parse_start(start_time) if start_time else None)
