"""What must come once administrators and clients rest, with the cures that status names."""

import json
import re
import time
from collections import Counter
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from qa.administration.administrators import Administrators
from qa.administration.logs import is_of_a_stock_module, trouble
from qa.administration.model import Fault, Seen
from qa.leftovers import leftovers

# Twice what anything takes here on a busy machine, with some cures one after the other.
REST_SECONDS = 150.0
CURE_SECONDS = 15.0
_CURE = re.compile(r"\b(?:ceph rbd-mirror|rbd) [a-z]|rename or remove")
_RESYNC = re.compile(r"make it anew: ceph rbd-mirror image resync (\S+)$")


class Lack(NamedTuple):
    """What is missing still: of the image at this site."""

    name: str
    seen: Seen
    what: str


class Rest:
    """Has everything come to rest, and looks whether each primary has its copy then."""

    def __init__(self, people: Administrators) -> None:
        self._people = people
        self._snapped: Dict[str, Tuple[str, str]] = {}

    def come(self) -> None:
        """Stop clients, wait, cure what status says how to, and judge what is missing then."""
        people = self._people
        people.stop_clients()
        people.add_peers()
        people.terminal.tell("--- at rest")
        start = cured = time.monotonic()
        lacks = self._look()
        while lacks and time.monotonic() - start < REST_SECONDS:
            time.sleep(1)
            if time.monotonic() - cured > CURE_SECONDS:
                for lack in lacks:
                    people.look()
                    self._cure(lack)
                cured = time.monotonic()
            lacks = self._look()
        for lack in lacks:
            self._judge_lack(lack)
        people.read()
        people.judge([*self._twisted(), *self._leftovers()])
        count = sum(len(images) for images in people.sight.values())
        people.terminal.tell(f"--- after {time.monotonic() - start:.0f} s: {count} images")

    # --- what is missing ------------------------------------------------------------------------

    def _look(self) -> List[Lack]:
        self._people.look()
        self._snap()
        return list(self._lacks())

    def _snap(self) -> None:
        """A mirror snapshot of each primary as it is now: what it holds and how it is named."""
        for name, images in self._people.sight.items():
            for seen in images.values():
                facts = str(seen.global_id), seen.name
                if (seen.primary and seen.mode == "snapshot" and self._snapped.get(seen.id) != facts
                        and self._people.image(name, seen, "snapshot", by="rbd") == 0):
                    self._snapped[seen.id] = facts

    def _lacks(self) -> Iterator[Lack]:
        sight = self._people.sight
        images = [(name, seen) for name in sight for seen in sight[name].values()
                  if seen.enabled and not seen.trashed]
        primaries = Counter(seen.global_id for _, seen in images if seen.primary)
        for name, seen in images:
            if primaries[seen.global_id] > 1:
                yield Lack(name, seen, "primary at both sites")
            elif seen.primary:
                what = self._lack_of_copy(name, seen)
                if what:
                    yield Lack(name, seen, what)
            elif not primaries[seen.global_id]:
                retired = self._people.model.is_retired(str(seen.global_id))
                yield Lack(name, seen, "its primary was removed, and it stays" if retired and
                           not seen.demoted else "primary nowhere")

    def _lack_of_copy(self, name: str, seen: Seen) -> str:
        other = next(site for site in self._people.sites if site != name)
        found = [one for one in self._people.sight[other].values()
                 if one.global_id == seen.global_id and not one.trashed]
        if len(found) != 1:
            return f"{len(found)} copies"
        [copy] = found
        if copy.name != seen.name:
            return f"its copy is named {copy.name}"
        try:
            return self._difference(name, seen, other, copy)
        except Exception as error:  # it comes or goes
            return f"can't be looked at: {error}"

    def _difference(self, name: str, seen: Seen, other: str, copy: Seen) -> str:
        eyes, pool = self._people.eyes, self._people.pool
        if eyes[name].data(pool, seen.id) != eyes[other].data(pool, copy.id):
            return "its copy differs"
        theirs = eyes[name].user_snapshots(pool, seen.id)
        ours = eyes[other].user_snapshots(pool, copy.id)
        if theirs != ours:
            return f"user snapshots: {sorted(theirs)} there, {sorted(ours)} in the copy"
        return ""

    def _judge_lack(self, lack: Lack) -> None:
        said = self._said(lack.seen)
        kind = "uncured" if _CURE.search(said) else "never"
        self._people.judge([Fault(kind, f"{lack.name}: {lack.seen.name}: {lack.what}; {said}")])

    # --- cures ----------------------------------------------------------------------------------

    def _cure(self, lack: Lack) -> None:
        people = self._people
        people.terminal.tell(f"lacks: {lack.name}: {lack.seen.name}: {lack.what}; "
                             f"{self._said(lack.seen)}")
        split = next(filter(None, (one.get("split_brain") for _, one in self._asked(lack.seen))),
                     None)
        if split:
            if not people.model.may_differ(str(lack.seen.global_id)):
                people.judge([Fault("split-brain", f"{lack.name}: {lack.seen}")])
            self._follow(people.rng.choice(split["ways_out"]))
        elif not self._make_anew(lack):
            if lack.seen.primary:
                self._make_room(lack)
            elif lack.what == "primary nowhere":
                self._promote(lack)

    def _make_anew(self, lack: Lack) -> bool:
        """Resync what status says that of, and tell whether there was any."""
        people = self._people
        for name, one in self._asked(lack.seen):
            told = _RESYNC.search(one.get("standing", {}).get("reason", ""))
            seen = next((seen for seen in people.sight[name].values() if told
                         and told[1] == people.spec(seen.name) and not seen.trashed), None)
            if seen is not None:
                people.image(name, seen, "resync", by="ceph")
                return True
        return False

    def _follow(self, way: Dict[str, Any]) -> None:
        people = self._people
        for command in way["commands"]:
            name, words = command["site"], command["command"].split()
            people.look()
            seen = next((one for one in people.sight[name].values()
                         if words[4] == people.spec(one.name) and not one.trashed), None)
            if seen is None:
                people.terminal.tell(f"{name}: {' '.join(words)}: there is no such image")
                return
            people.image(name, seen, words[3], *words[5:], by="ceph")

    def _promote(self, lack: Lack) -> None:
        """Where it was demoted; what has lost its primary needs force."""
        people = self._people
        if people.image(lack.name, lack.seen, "promote", by="ceph") and not lack.seen.demoted:
            people.image(lack.name, lack.seen, "promote", "--force", by="ceph")

    def _make_room(self, lack: Lack) -> None:
        """Rename what has the copy's name and is nobody's copy."""
        people = self._people
        for name in people.sites:
            if name != lack.name:
                for seen in people.sight[name].values():
                    if (seen.name == lack.seen.name and seen.global_id != lack.seen.global_id
                            and not seen.trashed and (seen.primary or not seen.enabled)):
                        people.terminal.type(people.sites[name], "rbd", "rename",
                                             people.spec(seen.name),
                                             people.spec(f"{seen.name}-{seen.id[-3:]}"))

    # --- what is told ---------------------------------------------------------------------------

    def _said(self, seen: Seen) -> str:
        """How the image stands, as status tells it at each site."""
        told = []
        for name, one in self._asked(seen):
            standing = one.get("standing", {})
            told.append(f"{name}: {one.get('name')}: {standing.get('state')}: "
                        f"{standing.get('reason')}")
            for way in (one.get("split_brain") or {}).get("ways_out", ()):
                told.append("; ".join(command["command"] for command in way["commands"]))
        return " | ".join(told)

    def _asked(self, seen: Seen) -> "List[Tuple[str, Dict[str, Any]]]":
        found = []
        people = self._people
        for name, site in people.sites.items():
            for one in people.eyes[name].look(people.pool).values():
                if one.global_id == seen.global_id and not one.trashed:
                    answer = site.ceph("rbd-mirror", "image", "status", people.spec(one.name),
                                       "--format", "json", check=False)
                    if answer.strip():
                        found.append((name, json.loads(answer)))
        return found

    # --- noise ----------------------------------------------------------------------------------

    def _leftovers(self) -> "List[Fault]":
        deadline = time.monotonic() + 60
        found = self._left()
        while found and time.monotonic() < deadline:
            time.sleep(2)
            found = self._left()
        return [Fault("leftover", f"{len(found)}: {'; '.join(found[:5])}")] if found else []

    def _left(self) -> List[str]:
        """Objects of images that are nowhere, the trash included."""
        people = self._people
        people.look()
        trashed = {name: [seen.id for seen in images.values() if seen.trashed]
                   for name, images in people.sight.items()}
        return [f"{name}: {what}" for name, site in people.sites.items()
                for what in leftovers(site, people.pool) if "mirror snapshots" not in what
                and not any(id in what for id in trashed[name])]

    def _twisted(self) -> Iterator[Fault]:
        """Statuses that no administrator should see."""
        people = self._people
        for name, site in people.sites.items():
            answer = site.ceph("rbd-mirror", "pool", "status", people.pool, "--detail", "--format",
                               "json", check=False)
            if "internal error" in answer:
                yield Fault("noise", f"{name}: {answer}")


def noise(people: Administrators, since: Dict[str, int]) -> Iterator[Fault]:
    """What the logs of managers and workers hold beyond `since`, and whether all OSDs are up."""
    for name, site in people.sites.items():
        for log in sorted((site.directory / "log").glob("*.log")):
            with open(log, errors="replace") as lines:
                lines.seek(since.get(str(log), 0))
                found = next(trouble(lines.read(), log.name.startswith("mgr.")), None)
            if found is not None:
                yield Fault("noise", f"{log}: {found}")
        crashes = [path.name for path in sorted((site.directory / "crash").iterdir())
                   if not is_of_a_stock_module(path / "meta")]
        if crashes:
            yield Fault("noise", f"{name}: crashed: {', '.join(crashes)}")
        osds = site.ceph_json("osd", "stat")
        if osds["num_up_osds"] != osds["num_osds"]:
            yield Fault("noise", f"{name}: {osds}")


def log_ends(people: Administrators) -> Dict[str, int]:
    """Where each log ends now."""
    return {str(log): log.stat().st_size for site in people.sites.values()
            for log in (site.directory / "log").glob("*.log")}

