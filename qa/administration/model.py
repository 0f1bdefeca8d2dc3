"""What must hold whatever administrators do, told from what is on disk and what they typed.  Pure.

It knows nothing of how mirroring is done: only whose data an image holds, who may have it removed,
and what it must contain.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from qa.administration.contents import Contents

HOUR = 3600.0
# So long after an image was primary may a copy of it turn up that had been begun before.
BEGUN_SECONDS = 15.0

Key = Tuple[str, str]  # a site, and the id of an image there


class Seen(NamedTuple):
    """How an image stands on disk.

    `global_id` is None where it is not mirrored; `demoted`: it has all of an image that its
    primary demoted.
    """

    id: str
    name: str
    trashed: bool = False
    global_id: Optional[str] = None
    mode: str = ""
    enabled: bool = False
    primary: bool = False
    demoted: bool = False

    def __str__(self) -> str:
        if self.trashed:
            role = "in the trash"
        elif self.global_id is None:
            role = "not mirrored"
        else:
            kind = ("primary" if self.primary else "demoted" if self.demoted else
                    "copy" if self.enabled else "coming or going")
            role = f"{self.mode} {kind} of {self.global_id[:8]}"
        return f"{self.name} ({self.id}, {role})"


Sight = Mapping[str, Mapping[str, Seen]]  # by site and id


class Fault(NamedTuple):
    """What must not be; `kind` is one of KINDS."""

    kind: str
    text: str


KINDS = {
    "lost": "an image is gone that nobody had removed",
    "purged": "a copy was removed without an hour in the trash",
    "overwritten": "an image that is nobody's copy has other bytes than it had",
    "lost-writes": "what was acknowledged is missing after an orderly change of roles",
    "differs": "a copy is not equal to its primary at the same mirror snapshot",
    "split-brain": "status says split-brain of an image that was primary at one site only",
    "two-primaries": "an image is primary at both sites and nobody forced that",
    "no-primary": "two images are each other's copies",
    "copy-of-none": "a copy was made of an image that is primary nowhere",
    "never": "what must come did not, and status tells no reason with a cure",
    "uncured": "what must come did not, though the cure was done that status names",
    "leftover": "objects of an image that is nowhere",
    "noise": "a traceback, a crash or an internal error",
    "half-done": "a command failed and changed something all the same",
    "message": "a command failed without a message",
    "hung": "a client or a command did not end",
}


@dataclass
class _Image:
    """What is known of an image beyond what is seen.

    `own`: it is no copy.  `excuse`: what an administrator did by which it may go.
    """

    seen: Seen
    own: bool = False
    excuse: str = ""
    trashed_at: Optional[float] = None
    contents: Optional[Contents] = None


class Model:
    """What the images of two sites are to administrators."""

    def __init__(self) -> None:
        self._images: Dict[Key, _Image] = {}
        # By global id: whose primary an administrator removed or disabled; who was promoted over
        # another primary; whose pool lost a peer; when there was a primary last; what was demoted
        # in order, and when.
        self._retired: Set[str] = set()
        self._forced: Set[str] = set()
        self._forgotten: Set[str] = set()
        self._primary_at: Dict[str, float] = {}
        self._demoted: Set[str] = set()
        self._handed_over: Dict[str, Contents] = {}
        self._may_purge = False

    @contextmanager
    def no_hour_in_the_trash(self) -> Iterator[None]:
        """What is moved to the trash meanwhile may be gone at once, also later: it is due."""
        self._may_purge = True
        try:
            yield
        finally:
            self._may_purge = False

    # --- what was seen ------------------------------------------------------------------------

    def saw(self, sight: Sight, now: float) -> List[Fault]:
        """Take in how things stand; return what must not be."""
        faults = [*self._gone(sight, now), *self._come(sight, now)]
        self._take(sight, now)
        return faults + [*self._roles()]

    def _gone(self, sight: Sight, now: float) -> Iterator[Fault]:
        for (site, id), image in list(self._images.items()):
            seen = sight[site].get(id)
            if seen is None:
                del self._images[site, id]
                fault = self._vanished(site, image, now)
            elif seen.trashed and not image.seen.trashed:
                image.trashed_at = now - HOUR if self._may_purge else now
                fault = self._trashed(site, image)
            else:
                continue
            if fault is not None:
                yield fault

    def _vanished(self, site: str, image: _Image, now: float) -> Optional[Fault]:
        if image.excuse or not image.seen.enabled and not image.own:
            return None
        if image.trashed_at is not None:
            age = now - image.trashed_at
            return None if age >= HOUR or self._may_purge else Fault(
                "purged", f"{site}: {image.seen} was removed from the trash after {age:.0f} s")
        fault = self._trashed(site, image)
        if fault is not None or self._may_purge:
            return fault
        return Fault("purged", f"{site}: {image.seen} was removed, not trashed")

    def _trashed(self, site: str, image: _Image) -> Optional[Fault]:
        if image.excuse or not image.seen.enabled and not image.own:
            return None
        global_id = image.seen.global_id
        if self._is_protected(image):
            return Fault("lost", f"{site}: {image.seen} is gone or in the trash; "
                         f"{'it was no copy' if image.own else 'it was demoted whole'}")
        if global_id not in self._retired:
            return Fault("lost", f"{site}: {image.seen} is gone or in the trash, and nobody "
                         "removed or disabled its primary")
        return None

    def _is_protected(self, image: _Image) -> bool:
        return image.own or image.seen.demoted and image.seen.global_id in self._demoted

    def _come(self, sight: Sight, now: float) -> Iterator[Fault]:
        for (site, id), seen in _all(sight):
            if (site, id) in self._images or not seen.enabled or seen.primary or seen.trashed:
                continue
            assert seen.global_id is not None
            since = now - self._primary_at.get(seen.global_id, now)
            elsewhere = any(other.global_id == seen.global_id and other.primary
                            for _, other in _all(sight))
            if not elsewhere and (since > BEGUN_SECONDS or seen.global_id not in self._primary_at):
                yield Fault("copy-of-none", f"{site}: {seen} came, and it is primary nowhere")

    def _take(self, sight: Sight, now: float) -> None:
        for (site, id), seen in _all(sight):
            image = self._images.setdefault((site, id), _Image(seen))
            is_going = image.seen.enabled and seen.global_id is not None and not seen.enabled
            if is_going or seen.trashed:  # what it was tells whether it may
                image.seen = image.seen._replace(name=seen.name, trashed=seen.trashed)
                continue
            image.seen = seen
            if seen.enabled:
                image.own = seen.primary
            if seen.primary and seen.global_id is not None:
                self._primary_at[seen.global_id] = now
                self._demoted.discard(seen.global_id)

    def _roles(self) -> Iterator[Fault]:
        by_global_id: Dict[str, List[Tuple[str, Seen]]] = {}
        for (site, _), image in self._images.items():
            if image.seen.enabled and image.seen.global_id and not image.seen.trashed:
                by_global_id.setdefault(image.seen.global_id, []).append((site, image.seen))
        for global_id, found in by_global_id.items():
            primaries = sum(seen.primary for _, seen in found)
            if primaries > 1 and global_id not in self._forced:
                self._forced.add(global_id)
                yield Fault("two-primaries", _each(found))
            if primaries == 0 and len(found) > 1 and global_id not in self._demoted:
                self._demoted.add(global_id)
                yield Fault("no-primary", _each(found))

    # --- what was done, with success ------------------------------------------------------------

    def created(self, key: Key, seen: Seen, contents: Contents) -> None:
        """An administrator made the image, and it holds this."""
        self._images[key] = _Image(seen, own=True, contents=contents)

    def disabled(self, key: Key, before: Seen, data: bytes) -> None:
        """Mirroring of the image ended here: it belongs to nobody else now."""
        self._retire(before)
        image = self._images.get(key)
        if image is not None:
            if not before.primary and before.enabled:
                image.contents = Contents.of(data)
            image.own, image.excuse = True, ""

    def demoted(self, key: Key, before: Seen, is_strict: bool) -> None:
        """The image was demoted; `is_strict`: in such a way that nothing may be lost."""
        global_id, image = before.global_id, self._images.get(key)
        if global_id is None or image is None:
            return
        self._demoted.add(global_id)
        self._handed_over.pop(global_id, None)
        if is_strict and image.contents is not None:
            self._handed_over[global_id] = image.contents.copy()

    def promoted(self, key: Key, before: Seen, is_free: bool, data: bytes) -> List[Fault]:
        """The image was promoted, and holds `data`; `is_free`: no demotion has to be waited for."""
        global_id, image = before.global_id, self._images.get(key)
        if global_id is None or image is None:
            return []
        if is_free:
            self._forced.add(global_id)
        self._retired.discard(global_id)
        self._demoted.discard(global_id)
        expected = self._handed_over.pop(global_id, None)
        image.own, image.excuse, image.contents = True, "", Contents.of(data)
        if expected is None or global_id in self._forced:
            return []
        return _difference("lost-writes", key, image, expected, data)

    def peer_removed(self) -> None:
        """An administrator removed a peer: librbd forgets what the sites shared."""
        self._forgotten.update(str(image.seen.global_id) for image in self._images.values()
                               if image.seen.enabled)

    def resynced(self, key: Key) -> None:
        """An administrator wants the copy to be made anew."""
        self._excuse(key, "resync")

    def removed(self, key: Key, before: Seen) -> None:
        """An administrator removed the image, or put it into the trash."""
        self._retire(before)
        self._excuse(key, "removed")

    def restored(self, key: Key, data: bytes) -> None:
        """An administrator took the image out of the trash."""
        image = self._images.get(key)
        if image is not None:
            image.excuse, image.trashed_at, image.own = "", None, True
            image.contents = image.contents or Contents.of(data)

    def pool_lost(self, site: str) -> None:
        """An administrator removed the pool of a site."""
        for key in [key for key in self._images if key[0] == site]:
            del self._images[key]

    def _retire(self, before: Seen) -> None:
        if before.primary and before.global_id is not None:
            self._retired.add(before.global_id)

    def _excuse(self, key: Key, excuse: str) -> None:
        image = self._images.get(key)
        if image is not None:
            image.excuse = excuse

    # --- what images hold -----------------------------------------------------------------------

    def contents(self, key: Key) -> Optional[Contents]:
        """What the image must hold, for a client to note its writes in."""
        image = self._images.get(key)
        return None if image is None else image.contents

    def expectations(self) -> Dict[Key, Seen]:
        """The images whose bytes are known while no client writes to them."""
        return {key: image.seen for key, image in self._images.items()
                if self._expected(image) is not None}

    def read(self, key: Key, data: bytes) -> List[Fault]:
        """Hold against the model what an image that nobody writes to holds."""
        image = self._images.get(key)
        expected = self._expected(image) if image is not None else None
        if image is None or expected is None:
            return []
        kind = "overwritten" if image.own else "lost-writes"
        faults = _difference(kind, key, image, expected, data)
        if faults:
            image.contents = Contents.of(data)
            self._handed_over.pop(image.seen.global_id or "", None)
        return faults

    def _expected(self, image: _Image) -> Optional[Contents]:
        global_id = image.seen.global_id or ""
        if image.seen.trashed or image.excuse == "removed":
            return None
        if image.own:
            return image.contents
        if image.seen.demoted and global_id in self._demoted and global_id not in self._forced:
            return self._handed_over.get(global_id)
        return None

    # --- what must come -------------------------------------------------------------------------

    def may_differ(self, global_id: str) -> bool:
        """Whether status may say split-brain of it.

        It was promoted over another primary; or a peer was removed, and with that what shows
        which of the sites followed the other.
        """
        return global_id in self._forced or global_id in self._forgotten

    def is_retired(self, global_id: str) -> bool:
        """Whether the copies of it must go."""
        return global_id in self._retired


def changes(before: Sight, after: Sight) -> Iterator[str]:
    """What is different, a line each."""
    for (site, id), seen in _all(before):
        if id not in after[site]:
            yield f"{site}: {seen} is gone"
    for (site, id), seen in _all(after):
        if before[site].get(id) != seen:
            yield f"{site}: {seen}"


def unchanged(before: Optional[Seen], after: Optional[Seen]) -> bool:
    """Whether an image is to administrators what it was.

    Workers may have gone on meanwhile: they remove copies, and rename them.
    """
    if before is None or before.enabled and not before.primary:
        return after is None or not after.primary
    return after is not None and before._replace(mode="", demoted=False) == after._replace(
        mode="", demoted=False)


def _difference(kind: str, key: Key, image: _Image, expected: Contents,
                data: bytes) -> List[Fault]:
    found = expected.differences(data)
    return [Fault(kind, f"{key[0]}: {image.seen}: {len(found)} blocks, of them {found[:5]}")
            ] if found else []


def _each(found: List[Tuple[str, Seen]]) -> str:
    return "; ".join(f"{site}: {seen}" for site, seen in found)


def _all(sight: Sight) -> Iterator[Tuple[Key, Seen]]:
    for site, images in sight.items():
        for id, seen in images.items():
            yield (site, id), seen
