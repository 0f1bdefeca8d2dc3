"""Which clients have an image open for writing, and how they are kept from it."""

import json
import re
import subprocess
import threading
import time
from typing import Callable, FrozenSet, List, NamedTuple, Set

import rados
import rbd

from ..errors import DeadlineExceeded, MirrorError, NotFound, from_errno
from ..wire.header import MIRRORING
from .access import explaining
from .child import Login, Start
from .specs import ImageSpec, PoolSpec

FENCED_SECONDS = 3600

_ASK_SECONDS = 8.0
_WATCHER = re.compile(r"^watcher=\S+ client\.(\d+) ", re.MULTILINE)

# Asks for the ids of the clients that mirror a pool or namespace.
Mirroring = Callable[[PoolSpec], FrozenSet[int]]


class Opener(NamedTuple):
    """A client, as monitors and OSDs know it."""

    client_id: int
    address: str

    def __str__(self) -> str:
        return f"client.{self.client_id} at {self.address}"


def mirroring_clients(how: Start, login: Login, pool: PoolSpec) -> FrozenSet[int]:
    """Return the ids of the clients that mirror the pool or namespace, at either site.

    They are those that watch its list of mirrored images, as librbd's own promotion has it.
    python-rados does not list watchers, hence the program.
    """
    subject = f"pool '{pool}': can't tell who mirrors it from who writes to it"
    words = ["rados", "--conf", login.conf, "--name", login.name, "--keyring", login.keyring,
             "--admin-socket=", "--log-file=", f"--pool={pool.pool}",
             f"--namespace={pool.namespace}", "listwatchers", MIRRORING]
    try:
        done = subprocess.run(words, env=dict(how.environment), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=_ASK_SECONDS)
    except FileNotFoundError:
        raise NotFound(f"{subject}: there is no program 'rados' on the manager's host; "
                       "install ceph-common there") from None
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"{subject}: its OSDs do not answer; see `ceph health`") from None
    if done.returncode:
        raise MirrorError(f"{subject}: {done.stderr.decode(errors='replace').strip()}")
    return frozenset(int(found) for found in _WATCHER.findall(done.stdout.decode()))


class Openers:
    """Looks for clients that have images of a pool or namespace open for writing.

    They watch the image's header; who only reads does not.  So do those that mirror it: they are
    asked for once for all images, and again for one with a watcher that was not known before.
    """

    def __init__(self, cluster: "rados.Rados", pool: PoolSpec, mirroring: Mirroring) -> None:
        self._own_id = int(cluster.get_instance_id())
        self._pool = pool
        self._mirroring = mirroring
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._known: FrozenSet[int] = frozenset()

    def of(self, image: "rbd.Image", spec: ImageSpec) -> List[Opener]:
        """Return those of an image that this client has open."""
        with explaining(f"image '{spec}': can't list the clients that have it open"):
            watchers = {Opener(int(watcher["id"]), str(watcher["addr"]))
                        for watcher in image.watchers_list()}
        others = [opener for opener in sorted(watchers) if opener.client_id != self._own_id]
        if {opener.client_id for opener in others} <= self._known:
            return []
        known = self._known_at(time.monotonic())
        return [opener for opener in others if opener.client_id not in known]

    def _known_at(self, moment: float) -> FrozenSet[int]:
        """Who mirrors: asked at this moment or later."""
        with self._lock:
            if self._asked < moment:
                asked = time.monotonic()
                self._known = self._mirroring(self._pool)
                self._asked = asked
            return self._known


class Fence:
    """Has the OSDs refuse clients, so that nothing of theirs lands any more.

    :ivar fenced: who was
    """

    def __init__(self, cluster: "rados.Rados") -> None:
        self._cluster = cluster
        self.fenced: Set[Opener] = set()

    def out(self, opener: Opener) -> None:
        """Blocklist this client."""
        with explaining(f"{opener}: can't be blocklisted"):
            code, _, text = self._cluster.mon_command(json.dumps({
                "prefix": "osd blocklist", "blocklistop": "add", "addr": opener.address,
                "expire": float(FENCED_SECONDS)}), b"")
            if code:
                raise from_errno(code, f"{opener}: can't be blocklisted: {text}")
            self.fenced.add(opener)
            self._cluster.wait_for_latest_osdmap()
