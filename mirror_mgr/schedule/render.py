"""Renders what the schedule commands say, as `output` does for the others."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..output import local_time, table, utc_time, zoned_time
from .model import OURS, Adopted, ImageView, LevelSum, LevelView, Listing, Status, sums
from .rules import Rule, interval_text

_NONE = "-"


# Schedules

def listing_plain(listing: Listing) -> str:
    if not listing.recursive:
        return ", ".join(word for view in listing.levels for word in _words(view))
    return table(("POOL", "NAMESPACE", "IMAGE", "SCHEDULE"), [
        (*_columns(view), ", ".join(_words(view))) for view in listing.levels])


def listing_json(listing: Listing) -> List[Dict[str, Any]]:
    if not listing.recursive:
        return [item for view in listing.levels for item in _items(view)]
    return [{**dict(zip(("pool", "namespace", "image"), _columns(view))), "items": _items(view),
             "owner": view.owner, "paused_since": _utc(view.paused)} for view in listing.levels]


def _columns(view: LevelView) -> List[str]:
    return [_NONE if word is None else word for word in (view.pool, view.namespace, view.image)]


def _words(view: LevelView) -> List[str]:
    if view.owner != OURS:
        return [f"{_as_rbd(rule)} (by {view.owner})" for rule in view.rules]
    return [str(rule) for rule in view.rules] + (["paused"] if view.paused else [])


def _as_rbd(rule: Rule) -> str:
    start = f" starting at {rule.start.text}" if rule.start else ""
    return f"every {interval_text(rule.interval)}{start}"


def _items(view: LevelView) -> List[Dict[str, Any]]:
    return [{
        "interval": interval_text(rule.interval),
        "start_time": rule.start.text if rule.start else "",
        "start_time_utc": utc_time(rule.start.anchor)[11:] if rule.start else "",
        "spread": rule.spread,
        "deadline": "" if rule.deadline is None else interval_text(rule.deadline),
        "owner": view.owner,
    } for rule in view.rules]


# Status

def status_plain(status: Status) -> str:
    return _sums_plain(sums(status.images)) if status.summed else _images_plain(status.images)


def status_json(status: Status) -> List[Dict[str, Any]]:
    return _sums_json(sums(status.images)) if status.summed else _images_json(status.images)


def _images_plain(images: Sequence[ImageView]) -> str:
    return table(
        ("SCHEDULE TIME", "IMAGE", "STATE", "LAST RUN", "LATE", "TOOK", "SKIPPED", "FAILED",
         "LAST ERROR"),
        [(_time(view.next_due), view.image, view.state, _time(view.record.last_run),
          *_seconds(view.record.last_run, view.record.late, view.record.took),
          str(view.record.skipped), str(view.record.failed), view.record.error or _NONE)
         for view in images])


def _images_json(images: Sequence[ImageView]) -> List[Dict[str, Any]]:
    return [{
        "schedule_time": _time(view.next_due, ""), "image": view.image,
        "next_due": _utc(view.next_due), "level": view.level,
        "schedule": [str(rule) for rule in view.rules], "state": view.state, "why": view.why,
        "last_run": _utc(view.record.last_run), "late_seconds": view.record.late,
        "took_seconds": view.record.took, "snapshot_id": view.record.snapshot,
        "done": view.record.done, "skipped": view.record.skipped, "failed": view.record.failed,
        "failed_in_a_row": view.record.in_a_row, "last_error": view.record.error,
    } for view in images]


def _sums_plain(sums: Sequence[LevelSum]) -> str:
    return table(
        ("SCHEDULE TIME", "LEVEL", "SCHEDULE", "IMAGES", "LAST RUN", "LATE", "TOOK", "DONE",
         "SKIPPED", "FAILED"),
        [(_time(view.next_due), view.level, ", ".join(map(str, view.rules)), str(view.sum.images),
          _time(view.sum.last_run),
          *_seconds(view.sum.last_run, view.sum.late, view.sum.took),
          str(view.sum.done), str(view.sum.skipped), str(view.sum.failed)) for view in sums])


def _sums_json(sums: Sequence[LevelSum]) -> List[Dict[str, Any]]:
    return [{
        "level": view.level, "schedule": [str(rule) for rule in view.rules],
        "next_due": _utc(view.next_due), "images": view.sum.images,
        "last_run": _utc(view.sum.last_run), "late_seconds": view.sum.late,
        "took_seconds": view.sum.took, "done": view.sum.done, "skipped": view.sum.skipped,
        "failed": view.sum.failed, "last_error": view.sum.error,
    } for view in sums]


def _time(time: Optional[float], never: str = _NONE) -> str:
    """As rbd prints it: in the manager's time zone."""
    return local_time(zoned_time(time)) if time else never


def _utc(time: Optional[float]) -> str:
    return utc_time(time) if time else ""


def _seconds(last_run: float, late: float, took: float) -> Tuple[str, str]:
    return (f"{late:.1f} s", f"{took:.1f} s") if last_run else (_NONE, _NONE)


# Adoption

def adopted_plain(adopted: Adopted) -> str:
    verb = "would adopt" if adopted.dry_run else "adopted"
    lines = []
    for name, adoption in zip(adopted.names, adopted.adoptions):
        lines.append(f"{verb} {name}: {', '.join(map(str, adoption.rules))}")
        lines += [f"  {note}" for note in adoption.notes]
    lines += [f"left as it is: {text}" for text in adopted.left]
    return "\n".join(lines) or "rbd_support has no schedules there"


def adopted_json(adopted: Adopted) -> Dict[str, Any]:
    return {"dry_run": adopted.dry_run, "left": list(adopted.left), "adopted": [
        {"level": name, "schedule": [str(rule) for rule in adoption.rules],
         "notes": list(adoption.notes)}
        for name, adoption in zip(adopted.names, adopted.adoptions)]}
