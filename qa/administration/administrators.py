"""Administrators who type at random, at both sites; the model looks on."""

import json
import random
import time
from typing import Any, Callable, Collection, Dict, List, Optional, Tuple

from qa import processes
from qa.administration.clients import Client
from qa.administration.contents import Contents
from qa.administration.model import Fault, Key, Model, Seen, changes, unchanged
from qa.administration.sights import Copied, Eye
from qa.administration.terminal import Answer, Terminal
from qa.mirrored import set_workers
from qa.sites import Site
from qa.waiting import wait_for

NAMES = tuple(f"i{number}" for number in range(7))
SIZE, OBJECT_SIZE = "2M", "512K"
PROMOTE_SECONDS = 60.0


class Found(AssertionError):
    """Something that must not be, of a kind that is not tolerated."""


class Administrators:
    """People at `sites`, whose pools of the same name mirror both ways in image mode.

    All that is random comes from `rng`.  A fault of a kind in `tolerated` is printed and counted
    in `faults`; any other is raised as Found.  `peers_stay`: nobody removes a peer and adds it
    again: librbd then drops the snapshots that both sites share, and images need a resync.
    """

    def __init__(self, sites: Tuple[Site, Site], pool: str, rng: random.Random,
                 tolerated: Collection[str] = (), say: Callable[[str], None] = print,
                 peers_stay: bool = False) -> None:
        self._peers_stay = peers_stay
        self.sites = {site.name: site for site in sites}
        self.pool = self._first_pool = pool
        self.rng = rng
        self.model = Model()
        self.terminal = Terminal(say)
        self.eyes = {site.name: Eye(site) for site in sites}
        self.sight: Dict[str, Dict[str, Seen]] = {site.name: {} for site in sites}
        self.faults: List[Fault] = []
        self._tolerated = tolerated
        self._clients: Dict[Key, Client] = {}

    def close(self) -> None:
        """End what runs and all connections, and give the pool its first name again."""
        self.stop_clients()
        if self.pool != self._first_pool:
            for name in self.sites:
                self._ceph(name, "osd", "pool", "rename", self.pool, self._first_pool)
        for eye in self.eyes.values():
            eye.close()

    # --- looking --------------------------------------------------------------------------------

    def look(self) -> None:
        """See how things stand, and judge that."""
        before = self.sight
        self.sight = {name: eye.look(self.pool) for name, eye in self.eyes.items()}
        for change in changes(before, self.sight):
            self.terminal.tell(f"      {change}")
        self.judge(self.model.saw(self.sight, time.monotonic()))

    def judge(self, faults: List[Fault]) -> None:
        """Print these faults and what the terminal found; raise Found when they count."""
        found = [*faults, *self.terminal.faults]
        self.terminal.faults.clear()
        for fault in found:
            self.terminal.tell(f"!!! {fault.kind}: {fault.text}")
        self.faults += found
        grave = [fault for fault in found if fault.kind not in self._tolerated]
        if grave:
            raise Found("\n".join(f"{fault.kind}: {fault.text}" for fault in grave))

    def read(self) -> None:
        """Look at the bytes: of what is known, and of copies at their mirror snapshots."""
        self.look()
        for key, seen in self.model.expectations().items():
            if key not in self._clients:
                data = self.eyes[key[0]].data(self.pool, seen.id)
                if data is not None:
                    self.judge(self.model.read(key, data))
        for name in self.sites:
            for copied in self.eyes[name].copied(self.pool, self.sight[name]):
                self._compare(name, copied)

    def _compare(self, name: str, copied: Copied) -> None:
        other = self._other(name)
        primary = next((seen for seen in self.sight[other].values()
                        if seen.global_id == copied.global_id), None)
        if primary is None or self.eyes[other].mirror_uuid(self.pool) != copied.primary_uuid:
            return
        theirs = self.eyes[other].data(self.pool, primary.id, copied.primary_snapshot)
        ours = self.eyes[name].data(self.pool, copied.copy_id, copied.snapshot)
        if theirs is not None and ours is not None and theirs != ours:
            blocks = Contents.of(theirs).differences(ours)
            self.judge([Fault("differs", f"{name}: {primary.name} ({copied.copy_id}) at snapshot "
                              f"{copied.snapshot}: {len(blocks)} blocks, of them {blocks[:5]}")])

    def _other(self, name: str) -> str:
        return next(other for other in self.sites if other != name)

    # --- the steps ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make some images, to have something to work on."""
        for image in NAMES[:4]:
            self._create_named(self._site(), image)
        self.look()

    def step(self) -> None:
        """Do one random thing, after a pause as people make it."""
        time.sleep(self.rng.choice((0, 0, 0, 0.3, 1, 3)))
        self.look()
        self._draw()()
        self.look()

    def _draw(self) -> Callable[[], None]:
        choices: Tuple[Tuple[Callable[[], None], float], ...] = (
            (self._create, 10), (self._enable, 8), (self._disable, 4), (self._detach, 4),
            (self._demote, 4), (self._promote, 5), (self._force, 3), (self._resync, 3),
            (self._mirror_snapshot, 10), (self._user_snapshot, 4), (self._rename, 4),
            (self._swap, 2), (self._trash, 2), (self._restore, 3), (self._remove, 2),
            (self._clone, 2), (self._fail_over, 8), (self._fail_over_pool, 1),
            (self._change_mode, 3), (self._replace, 2), (self._start_client, 16),
            (self._stop_a_client, 5), (self._rest, 8), (self._kill_worker, 1.5),
            (self._restart_workers, 1), (self._fail_manager, 1),
            (self._daemon_s_turn, 0.7), (self._peer_anew, 0 if self._peers_stay else 1.5),
            (self._rename_pool, 1), (self._lose_pool, 0.5))
        return self.rng.choices([c[0] for c in choices], [c[1] for c in choices])[0]

    def _create(self) -> None:
        name = self._site()
        taken = {seen.name for seen in self._here(name)}
        if self.rng.random() < 0.7:
            taken |= {seen.name for seen in self._here(self._other(name))}
        free = [image for image in NAMES if image not in taken]
        if free:
            self._create_named(name, self.rng.choice(free))

    def _create_named(self, name: str, image: str) -> None:
        answer = self._rbd(name, "create", "--size", SIZE, "--object-size", OBJECT_SIZE,
                           self.spec(image))
        self.sight[name] = self.eyes[name].look(self.pool)
        seen = self._named(name, image)
        if answer.code == 0 and seen is not None:
            self.model.created((name, seen.id), seen, Contents({}))
            if self.rng.random() < 0.7:
                self._write_to((name, seen.id))
            if self.rng.random() < 0.8:
                self.image(name, seen, "enable", self.rng.choice(("snapshot", "journal")))

    def _clone(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is None:
            return
        child = self.rng.choice(NAMES)
        base = f"{self.spec(seen.name)}@base"
        self._rbd(name, "snap", "create", base)
        self._rbd(name, "snap", "protect", base)
        if self._rbd(name, "clone", base, self.spec(child)).code == 0:
            self.sight[name] = self.eyes[name].look(self.pool)
            made = self._named(name, child)
            data = self.eyes[name].data(self.pool, made.id) if made is not None else None
            if made is not None and data is not None:
                self.model.created((name, made.id), made, Contents.of(data))
                self.image(name, made, "enable", self.rng.choice(("snapshot", "journal")))

    def _enable(self) -> None:
        name, seen = self._pick(lambda seen: not seen.primary)
        if seen is not None:
            self.image(name, seen, "enable", self.rng.choice(("snapshot", "journal")))

    def _disable(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is not None:
            self.image(name, seen, "disable")

    def _detach(self) -> None:
        name, seen = self._pick(lambda seen: seen.enabled and not seen.primary)
        if seen is not None and self.image(name, seen, "disable", "--force") == 0:
            if self.rng.random() < 0.5:
                self._write_to((name, seen.id))

    def _demote(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is not None:
            if self.rng.random() < 0.5:
                self.stop_client((name, seen.id))
            self.image(name, seen, "demote")

    def _promote(self) -> None:
        name, seen = self._pick(lambda seen: seen.enabled and not seen.primary)
        if seen is not None:
            self.image(name, seen, "promote")

    def _force(self) -> None:
        name, seen = self._pick(lambda seen: seen.enabled and not seen.primary)
        if seen is not None:
            self.image(name, seen, "promote", "--force")

    def _resync(self) -> None:
        name, seen = self._pick(lambda seen: seen.enabled and not seen.primary)
        if seen is not None:
            self.image(name, seen, "resync")

    def _mirror_snapshot(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary and seen.mode == "snapshot")
        if seen is not None:
            self.image(name, seen, "snapshot")

    def _user_snapshot(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary or not seen.enabled)
        if seen is not None:
            number = self.rng.randrange(3)
            self._rbd(name, "snap", self.rng.choice(("create", "create", "rm")),
                      f"{self.spec(seen.name)}@u{number}")

    def _rename(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary or not seen.enabled)
        if seen is not None:
            self._rbd(name, "rename", self.spec(seen.name), self.spec(self.rng.choice(NAMES)))

    def _swap(self) -> None:
        name = self._site()
        primaries = [seen for seen in self._here(name) if seen.primary]
        if len(primaries) > 1:
            one, two = self.rng.sample(primaries, 2)
            for old, new in ((one.name, "aside"), (two.name, one.name), ("aside", two.name)):
                self._rbd(name, "rename", self.spec(old), self.spec(new))

    def _trash(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary or not seen.enabled)
        if seen is not None:
            self._remove_by(name, seen, "trash", "mv")

    def _restore(self) -> None:
        name = self._site()
        trashed = [seen for seen in self.sight[name].values() if seen.trashed]
        if not trashed:
            return
        seen = self.rng.choice(trashed)
        spec = self.spec(seen.id)
        answer = (self._rbd(name, "trash", "restore", spec) if self.rng.random() < 0.5 else
                  self._ceph(name, "rbd-mirror", "image", "restore", spec))
        data = self.eyes[name].data(self.pool, seen.id) if answer.code == 0 else None
        if data is not None:
            self.model.restored((name, seen.id), data)

    def _remove(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary or not seen.enabled)
        if seen is not None:
            self._remove_by(name, seen, "rm")

    def _remove_by(self, name: str, seen: Seen, *words: str) -> bool:
        if self.rng.random() < 0.8:
            self.stop_client((name, seen.id))
        if words == ("rm",):
            self._rbd(name, "snap", "purge", self.spec(seen.name))
        done = self._rbd(name, *words, self.spec(seen.name)).code == 0
        if done:
            self.model.removed((name, seen.id), seen)
        return done

    def _fail_over(self) -> None:
        """Demote, and promote at the other site as soon as that is let; then maybe write there."""
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is None:
            return
        if self.rng.random() < 0.7:
            self.stop_client((name, seen.id))
        if self.image(name, seen, "demote") == 0:
            time.sleep(self.rng.choice((0, 0, 1, 5)))
            self.promote_soon(self._other(name), seen)

    def promote_soon(self, name: str, of: Seen) -> bool:
        """Try without force until it is let."""
        by = self._program()
        deadline = time.monotonic() + PROMOTE_SECONDS
        while time.monotonic() < deadline:
            self.look()
            copy = next((seen for seen in self._here(name) if seen.global_id == of.global_id), None)
            if copy is None or copy.primary:
                return False
            if self.image(name, copy, "promote", by=by) == 0:
                return True
            time.sleep(0.5)
        self.terminal.tell(f"{name}: {of.name} could not be promoted")
        return False

    def _fail_over_pool(self) -> None:
        """All that is primary at one site, by our commands."""
        name = self._site()
        for key in [key for key in self._clients if key[0] == name]:
            self.stop_client(key)
        self.look()
        primaries = [seen for seen in self._here(name) if seen.primary]
        self._ceph(name, "rbd-mirror", "pool", "demote", self.pool)
        now = self.eyes[name].look(self.pool)
        for seen in primaries:
            if seen.id in now and not now[seen.id].primary:
                self.model.demoted((name, seen.id), seen, is_strict=True)
        self._promote_pool(self._other(name))

    def _promote_pool(self, name: str) -> None:
        deadline = time.monotonic() + PROMOTE_SECONDS
        code = 1
        while code and time.monotonic() < deadline:
            self.look()
            copies = [seen for seen in self._here(name) if seen.enabled and not seen.primary]
            code = self._ceph(name, "rbd-mirror", "pool", "promote", self.pool).code
            now = self.eyes[name].look(self.pool)
            for seen in copies:
                if seen.id in now and now[seen.id].primary:
                    self._done((name, seen.id), seen, "promote", (), True, False)
            time.sleep(1)

    def _change_mode(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is not None and self.image(name, seen, "disable") == 0:
            time.sleep(self.rng.choice((0, 0.2, 2)))
            self.image(name, seen._replace(global_id=None, enabled=False, primary=False), "enable",
                       "journal" if seen.mode == "snapshot" else "snapshot")

    def _replace(self) -> None:
        """Remove an image and have another one of that name mirrored at once."""
        name, seen = self._pick(lambda seen: seen.primary)
        if seen is not None and self._remove_by(name, seen, "rm"):
            self._create_named(name, seen.name)

    # --- clients --------------------------------------------------------------------------------

    def _start_client(self) -> None:
        name, seen = self._pick(lambda seen: seen.primary or not seen.enabled)
        if seen is not None:
            self.start_client((name, seen.id))

    def start_client(self, key: Key) -> None:
        """Have a client write to the image, if nobody does and it is known what it holds."""
        contents = self.model.contents(key)
        if contents is not None and key not in self._clients:
            self.terminal.tell(f"{key[0]}: a client writes to {key[1]}")
            self._clients[key] = Client(self.sites[key[0]], self.pool, key[1], contents,
                                        random.Random(self.rng.random()))

    def _write_to(self, key: Key) -> None:
        self.start_client(key)
        time.sleep(self.rng.random())
        self.stop_client(key)

    def _stop_a_client(self) -> None:
        if self._clients:
            self.stop_client(self.rng.choice(list(self._clients)))

    def stop_client(self, key: Key) -> None:
        """Have the client of this image end, if there is one."""
        client = self._clients.pop(key, None)
        if client is not None:
            if not client.stop():
                self.terminal.faults.append(Fault("hung", f"a client of {key} did not end"))
            self.terminal.tell(f"{key[0]}: the client of {key[1]} ended: {client.ended or 'ok'}")

    def stop_clients(self) -> None:
        """Have all clients end."""
        for key in list(self._clients):
            self.stop_client(key)

    # --- what is broken on purpose --------------------------------------------------------------

    def _rest(self) -> None:
        time.sleep(self.rng.choice((2, 5, 10)))

    def _kill_worker(self) -> None:
        name = self._site()
        workers = self._asked(name, "ceph", "rbd-mirror", "worker", "ls", "--format", "json")
        pids = [worker["pid"] for worker in workers or () if worker["pid"]]
        for pid in pids:
            if processes.belongs_to(pid, self.sites[name].lab):
                self.terminal.tell(f"{name}: kill -9 {pid}, a worker")
                processes.kill(pid)

    def _restart_workers(self) -> None:
        self._ceph(self._site(), "rbd-mirror", "worker", "restart")

    def _fail_manager(self) -> None:
        name = self._site()
        self._ceph(name, "mgr", "fail")
        if self.rng.random() < 0.7:
            self.sites[name].wait_ready()

    def _daemon_s_turn(self) -> None:
        """The rbd-mirror daemon in the workers' place; what it removes is gone at once."""
        name = self._site()
        site = self.sites[name]
        self.terminal.tell(f"{name}: an rbd-mirror daemon has its turn")
        with self.model.no_hour_in_the_trash():
            set_workers(site, 0)
            wait_for(lambda: not site.ceph_json("rbd-mirror", "worker", "ls"))
            site.start_rbd_mirror("turn")
            time.sleep(self.rng.choice((5, 15)))
            site.stop_rbd_mirror("turn")
            self.look()
        set_workers(site, 1)

    def _peer_anew(self) -> None:
        name = self._site()
        self._remove_peers(name)
        time.sleep(self.rng.choice((0, 3, 12)))
        self.add_peers()

    def _remove_peers(self, name: str) -> None:
        for peer in self._peers(name):
            self._ceph(name, "rbd-mirror", "pool", "peer", "remove", self.pool, peer["uuid"])
            self.model.peer_removed()

    def _peers(self, name: str) -> List[Dict[str, str]]:
        info = self._asked(name, "ceph", "rbd-mirror", "pool", "info", self.pool,
                           "--format", "json")
        return (info or {}).get("peers", [])

    def add_peers(self) -> None:
        """Make the sites known to each other, if they are not."""
        for name, site in self.sites.items():
            site.wait_ready()
            if not self._has_peer(name):
                self._import_peer(name)
                if not self._has_peer(name):
                    self.judge([Fault("uncured", f"{name}: no peer to replay from after bootstrap "
                                      "import, which succeeded")])
                    self._remove_peers(name)
                    self._import_peer(name)

    def _has_peer(self, name: str) -> bool:
        return any(peer["direction"] == "rx-tx" for peer in self._peers(name))

    def _import_peer(self, name: str) -> None:
        token = self._ceph(self._other(name), "rbd-mirror", "pool", "peer", "bootstrap", "create",
                           self.pool).out
        self._ceph(name, "rbd-mirror", "pool", "peer", "bootstrap", "import", self.pool, "-i", "-",
                   input=token)

    def _rename_pool(self) -> None:
        """At both sites, one after the other; clients that have it open go on."""
        new = f"{self.pool[:-1]}{'y' if self.pool[-1] == 'x' else 'x'}"
        for name in self.rng.sample(list(self.sites), 2):
            self._ceph(name, "osd", "pool", "rename", self.pool, new)
            time.sleep(self.rng.choice((0, 2, 8)))
        self.pool = new

    def _lose_pool(self) -> None:
        name = self._site()
        for key in [key for key in self._clients if key[0] == name]:
            self.stop_client(key)
        self._ceph(name, "osd", "pool", "rm", self.pool, self.pool, "--yes-i-really-really-mean-it")
        self.model.pool_lost(name)
        time.sleep(self.rng.choice((0, 3, 12)))
        self._ceph(name, "osd", "pool", "create", self.pool, "8")
        self._rbd(name, "pool", "init", self.pool)
        self._ceph(name, "rbd-mirror", "pool", "enable", self.pool, "image", "--site-name", name)
        self._remove_peers(self._other(name))
        self.add_peers()

    # --- typing ---------------------------------------------------------------------------------

    def spec(self, image: str) -> str:
        """The image as commands name it."""
        return f"{self.pool}/{image}"

    def image(self, name: str, seen: Seen, verb: str, *more: str, by: str = "") -> int:
        """Type an image command, by ours or by `rbd`; tell the model; return the exit code."""
        by = by or self._program()
        key = name, seen.id
        had_client = key in self._clients and self._clients[key].alive
        before = ("rbd-mirror", "image") if by == "ceph" else ("mirror", "image")
        words = (*before, verb, self.spec(seen.name), *more)
        answer = self.terminal.type(self.sites[name], by, *words)
        if answer.code:
            self._require_unchanged(name, seen, verb)
        else:
            self._done(key, seen, verb, more, is_strict=by == "ceph" or not had_client,
                       is_free="--force" in more or by == "rbd" and self._is_primary_elsewhere(key))
        return answer.code

    def _done(self, key: Key, seen: Seen, verb: str, more: Tuple[str, ...], is_strict: bool,
              is_free: bool) -> None:
        if verb == "demote":
            self.model.demoted(key, seen, is_strict)
        elif verb == "resync":
            self.model.resynced(key)
        elif verb in ("disable", "promote"):
            data = self.eyes[key[0]].data(self.pool, key[1])
            if data is None:
                self.judge([Fault("lost", f"{key[0]}: {seen} was gone after {verb}")])
            elif verb == "promote":
                self.judge(self.model.promoted(key, seen, is_free, data))
            else:
                self.model.disabled(key, seen, data)

    def _is_primary_elsewhere(self, key: Key) -> bool:
        here = self.sight[key[0]].get(key[1])
        other = self.eyes[self._other(key[0])].look(self.pool)
        return here is not None and any(seen.primary and seen.global_id == here.global_id
                                        for seen in other.values())

    def _require_unchanged(self, name: str, before: Seen, verb: str) -> None:
        after = self.eyes[name].look(self.pool).get(before.id)
        if not unchanged(before, after):
            self.judge([Fault("half-done", f"{name}: {verb} failed; before {before}, "
                              f"after {after}")])

    def _ceph(self, name: str, *args: str, input: str = "") -> Answer:
        return self.terminal.type(self.sites[name], "ceph", *args, input=input)

    def _rbd(self, name: str, *args: str) -> Answer:
        return self.terminal.type(self.sites[name], "rbd", *args)

    def _asked(self, name: str, *words: str) -> Any:
        answer = self.terminal.type(self.sites[name], *words)
        return json.loads(answer.out) if answer.code == 0 else None

    # --- choosing -------------------------------------------------------------------------------

    def _program(self) -> str:
        return self.rng.choice(("ceph", "ceph", "rbd"))

    def _site(self) -> str:
        return self.rng.choice(list(self.sites))

    def _here(self, name: str) -> List[Seen]:
        return sorted((seen for seen in self.sight[name].values() if not seen.trashed),
                      key=lambda seen: seen.name)

    def _named(self, name: str, image: str) -> Optional[Seen]:
        return next((seen for seen in self._here(name) if seen.name == image), None)

    def _pick(self, is_fit: Callable[[Seen], bool]) -> "Tuple[str, Optional[Seen]]":
        """An image that the step is for, and now and then any."""
        found = [(name, seen) for name in self.sites for seen in self._here(name)
                 if is_fit(seen) or self.rng.random() < 0.03]
        return self.rng.choice(found) if found else ("", None)
