import time
from typing import Iterator

import pytest

from mirror_mgr.schedule import render
from mirror_mgr.schedule.entries import Entry
from mirror_mgr.schedule.levels import EVERYWHERE
from mirror_mgr.schedule.model import (
    OURS,
    SCHEDULED,
    THEIRS,
    Adopted,
    ImageView,
    LevelView,
    Listing,
    Status,
)
from mirror_mgr.schedule.rbd_support import Adoption
from mirror_mgr.schedule.records import Record
from mirror_mgr.schedule.rules import Rule, parse_start

AT = Rule(86400, parse_start("14:00:00-05:00"))
LEVELS = (
    LevelView("data", None, None, OURS, (Rule(21600), AT)),
    LevelView("data", "", "disk", OURS, (), paused=1_700_000_000),
    LevelView("data", "ns", None, THEIRS, (Rule(86400, parse_start("14:00")),)))
T = 1_700_000_040
IMAGES = (
    ImageView("data/disk", "data", (Rule(60),), T + 60, SCHEDULED, "",
              Record(due=T, last_run=T + 0.2, late=0.2, took=1.25, done=3, skipped=1)),
    ImageView("data/other", "data", (Rule(60),), None, "no peer", "why", Record(error="x")))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_listing_plain() -> None:
    assert render.listing_plain(Listing(False, LEVELS[:1])) == (
        "every 6h, every 1d starting at 14:00:00-05:00")
    assert render.listing_plain(Listing(True, LEVELS)).splitlines() == [
        "POOL  NAMESPACE  IMAGE  SCHEDULE",
        "data  -          -      every 6h, every 1d starting at 14:00:00-05:00",
        "data             disk   paused",
        "data  ns         -      every 1d starting at 14:00:00 (by rbd_support)"]


def test_listing_json() -> None:
    [first, second] = render.listing_json(Listing(False, LEVELS[:1]))
    assert (first["interval"], first["start_time"], first["owner"]) == ("6h", "", OURS)
    assert (second["interval"], second["start_time"], second["start_time_utc"]) == (
        "1d", "14:00:00-05:00", "19:00:00Z")
    found = render.listing_json(Listing(True, LEVELS))
    assert [(row["pool"], row["namespace"], row["image"], len(row["items"])) for row in found] == [
        ("data", "-", "-", 2), ("data", "", "disk", 0), ("data", "ns", "-", 1)]
    assert found[1]["paused_since"] == "2023-11-14T22:13:20Z"


def test_status_plain() -> None:
    lines = render.status_plain(Status(False, IMAGES)).splitlines()
    assert lines[0].startswith("SCHEDULE TIME        IMAGE")
    assert lines[1].split("  ")[:2] == ["2023-11-14 22:15:00", "data/disk"]
    assert "0.2 s" in lines[1] and "1.2 s" in lines[1]
    assert lines[2].split() == ["-", "data/other", "no", "peer", "-", "-", "-", "0", "0", "x"]
    [header, line] = render.status_plain(Status(True, IMAGES)).splitlines()
    assert line.split()[2:6] == ["data", "every", "1m", "2"]


def test_status_json() -> None:
    [first, second] = render.status_json(Status(False, IMAGES))
    assert (first["schedule_time"], first["image"]) == ("2023-11-14 22:15:00", "data/disk")
    assert (first["next_due"], first["late_seconds"]) == ("2023-11-14T22:15:00Z", 0.2)
    assert (second["schedule_time"], second["last_run"], second["last_error"]) == ("", "", "x")
    [row] = render.status_json(Status(True, IMAGES))
    assert (row["images"], row["done"], row["skipped"], row["last_error"]) == (2, 3, 1, "x")


def test_adoption() -> None:
    adopted = Adopted(True, (Adoption(EVERYWHERE, Entry(), (AT,), ("mind the time",)),),
                      ("all pools",), ("pool 'p': broken",))
    assert render.adopted_plain(adopted).splitlines() == [
        "would adopt all pools: every 1d starting at 14:00:00-05:00", "  mind the time",
        "left as it is: pool 'p': broken"]
    assert render.adopted_json(adopted)["adopted"][0]["notes"] == ["mind the time"]
    assert "no schedules" in render.adopted_plain(Adopted(False, (), (), ()))
