"""Two Ceph sites that are only dictionaries, behind the calls of python-rados and python-rbd."""

import errno
import json
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import pytest
import rados
import rbd

from mirror_mgr.admin import headers
from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import Feature, StatusState
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.mirror import SiteStatus
from tests.replay.headers import replica, writable

DISABLED, IMAGE, POOL, INIT_ONLY = 0, 1, 2, 3
OWN_ID = 1

if not hasattr(rbd, "__file__"):  # python-rbd is not installed: its numbers from rbd/librbd.h
    for _name, _number in {
        "MODE_DISABLED": DISABLED, "MODE_IMAGE": IMAGE, "MODE_POOL": POOL,
        "IMAGE_ENABLED": 1, "IMAGE_MODE_JOURNAL": 0, "IMAGE_MODE_SNAPSHOT": 1,
        "PEER_DIRECTION_RX": 0, "PEER_DIRECTION_TX": 1, "PEER_DIRECTION_RX_TX": 2,
    }.items():
        setattr(rbd, f"RBD_MIRROR_{_name}", _number)
    rbd.RBD_FEATURE_EXCLUSIVE_LOCK, rbd.RBD_LOCK_MODE_EXCLUSIVE = 4, 0


def status_of(own: SiteStatus) -> bytes:
    """As the OSD gives it."""
    body = Encoder().u8(own.state).string(own.description).utime(own.last_update_ns)
    return Encoder().struct(2, 1, body.boolean(own.up).boolean(True).u32(0)).done()


STALE = status_of(SiteStatus("", StatusState.REPLAYING, "replaying, {}", 5))


def failure(kind: type, number: int) -> Exception:
    """An error as the bindings raise it; also where they are not installed."""
    error = kind.__new__(kind)
    Exception.__init__(error, f"[errno {number}]")
    error.errno = number
    return error


class FakeImage:
    def __init__(self, primary: bool = True, mirrored: bool = False, mode: int = 1,
                 clones: Tuple[str, ...] = (), parent: str = "",
                 broken: bool = False) -> None:
        self.primary = primary
        self.mirrored = mirrored
        self.mode = mode
        self.clones = clones  # names
        self.parent = parent
        self.broken = broken
        self.snapshots = 0
        self.flagged = False  # for resync
        self.header = replica() if mirrored and not primary else writable()
        self.promotable = False
        self.watchers: List[Tuple[int, str]] = []  # client ids and addresses
        self.non_primary = False  # the feature
        self.keeps_lock = False  # the client that has it open
        self.on_lock: Callable[[], None] = lambda: None
        self.on_demote: Callable[[], None] = lambda: None


class FakePool:
    def __init__(self) -> None:
        self.modes = {"": DISABLED}  # by namespace
        self.remotes: Dict[str, str] = {}  # namespaces of the peer, likewise
        self.old_osds = False
        self.images: Dict[Tuple[str, str], FakeImage] = {}
        self.peers: List[Dict[str, Any]] = []
        self.attributes: Dict[str, Dict[str, str]] = {}
        self.executed: List[Tuple[Any, ...]] = []
        self.answers: Dict[str, bytes] = {"mirror_image_status_get": STALE}
        self.applications = ["rbd"]

    def add_peer(self, site_name: str, client_name: str = "client.c", direction: int = 2) -> str:
        uuid = f"00000000-0000-0000-0000-{len(self.peers):012}"
        self.peers.append({"uuid": uuid, "direction": direction, "site_name": site_name,
                           "mirror_uuid": "", "client_name": client_name})
        return uuid


class FakeSite:
    """Stands for a connected rados.Rados."""

    def __init__(self, fsid: str) -> None:
        self.fsid = fsid
        self.site_name = ""
        self.pools: Dict[str, FakePool] = {}
        self.imported: List[Tuple[int, str]] = []
        self.import_fails: Optional[int] = None
        self.blocklisted: List[str] = []
        self.has_latest_map = False
        self.silent = False  # some client does not answer
        self.options: Dict[str, str] = {}

    def conf_get(self, name: str) -> Optional[str]:
        return self.options.get(name)

    def get_fsid(self) -> str:
        return self.fsid

    def get_instance_id(self) -> int:
        return OWN_ID

    def mon_command(self, command: str, data: bytes) -> Tuple[int, bytes, str]:
        """Blocklists a client: all its watches end."""
        said = json.loads(command)
        assert (said["prefix"], said["blocklistop"]) == ("osd blocklist", "add")
        self.blocklisted.append(said["addr"])
        for pool in self.pools.values():
            for image in pool.images.values():
                image.watchers = [w for w in image.watchers if w[1] != said["addr"]]
        return 0, b"", ""

    def wait_for_latest_osdmap(self) -> None:
        self.has_latest_map = True

    def open_ioctx(self, name: str) -> "FakeIoctx":
        assert self.has_latest_map, "the name may be another pool's by now"
        if name not in self.pools:
            raise failure(rados.ObjectNotFound, errno.ENOENT)
        return FakeIoctx(self, self.pools[name])


class FakeIoctx:
    def __init__(self, site: FakeSite, pool: FakePool) -> None:
        self.site = site
        self.pool = pool
        self.namespace = ""

    def set_namespace(self, namespace: str) -> None:
        self.namespace = namespace

    def application_list(self) -> List[str]:
        return self.pool.applications

    def get_namespace(self) -> str:
        return self.namespace

    def get_pool_id(self) -> int:
        return 7

    def execute(self, oid: str, cls: str, method: str, data: bytes,
                length: int = 8192) -> Tuple[int, bytes]:
        self.pool.executed.append((oid, cls, method, data))
        for to in (True, False):
            call = cls_rbd.set_features(Feature.NON_PRIMARY if to else 0, Feature.NON_PRIMARY)
            if (method, data) == (call.method, call.data):
                name = oid[len("rbd_header.id-"):]
                self.pool.images[self.namespace, name].non_primary = to
        return 0, self.pool.answers.get(method, b"")

    def notify(self, oid: str, message: str, timeout_ms: int) -> bool:
        if self.site.silent:
            raise failure(rados.TimedOut, errno.ETIMEDOUT)
        return True

    def close(self) -> None:
        pass


class FakeRBD:
    def namespace_exists(self, ioctx: FakeIoctx, name: str) -> bool:
        return name in ioctx.pool.modes

    def mirror_mode_get(self, ioctx: FakeIoctx) -> int:
        return ioctx.pool.modes[ioctx.namespace]

    def mirror_mode_set(self, ioctx: FakeIoctx, mode: int) -> None:
        if mode == INIT_ONLY and ioctx.pool.old_osds:
            ioctx.pool.modes[ioctx.namespace] = IMAGE
            raise failure(rbd.Error, errno.EINVAL)
        if mode == DISABLED and any(image.mirrored for (namespace, _), image
                                    in ioctx.pool.images.items() if namespace == ioctx.namespace):
            raise failure(rbd.Error, errno.EINVAL)
        ioctx.pool.modes[ioctx.namespace] = mode

    def namespace_list(self, ioctx: FakeIoctx) -> List[str]:
        return [name for name in ioctx.pool.modes if name]

    def mirror_remote_namespace_get(self, ioctx: FakeIoctx) -> str:
        return ioctx.pool.remotes.get(ioctx.namespace, ioctx.namespace)

    def mirror_remote_namespace_set(self, ioctx: FakeIoctx, name: str) -> None:
        if ioctx.pool.old_osds:
            raise failure(rbd.Error, errno.EOPNOTSUPP)
        if ioctx.pool.modes[ioctx.namespace] in (IMAGE, POOL):
            raise failure(rbd.Error, errno.EINVAL)
        ioctx.pool.remotes[ioctx.namespace] = name

    def mirror_uuid_get(self, ioctx: FakeIoctx) -> str:
        return f"HERE/{ioctx.namespace}" if ioctx.namespace else "HERE"

    def mirror_site_name_get(self, site: FakeSite) -> str:
        return site.site_name or site.fsid

    def mirror_site_name_set(self, site: FakeSite, name: str) -> None:
        site.site_name = name

    def mirror_peer_list(self, ioctx: FakeIoctx) -> List[Dict[str, Any]]:
        return [] if ioctx.namespace else list(ioctx.pool.peers)

    def mirror_peer_add(self, ioctx: FakeIoctx, site_name: str, client_name: str,
                        direction: int) -> str:
        return ioctx.pool.add_peer(site_name, client_name, direction)

    def mirror_peer_remove(self, ioctx: FakeIoctx, uuid: str) -> None:
        ioctx.pool.peers = [peer for peer in ioctx.pool.peers if peer["uuid"] != uuid]

    def mirror_peer_set_client(self, ioctx: FakeIoctx, uuid: str, client_name: str) -> None:
        ioctx.pool.peers[0]["client_name"] = client_name

    def mirror_peer_set_name(self, ioctx: FakeIoctx, uuid: str, site_name: str) -> None:
        ioctx.pool.peers[0]["site_name"] = site_name

    def mirror_peer_set_attributes(self, ioctx: FakeIoctx, uuid: str,
                                   attributes: Dict[str, str]) -> None:
        ioctx.pool.attributes[uuid] = attributes

    def mirror_peer_get_attributes(self, ioctx: FakeIoctx, uuid: str) -> Dict[str, str]:
        if uuid not in ioctx.pool.attributes:
            raise failure(rbd.ImageNotFound, errno.ENOENT)
        return ioctx.pool.attributes[uuid]

    def mirror_peer_bootstrap_create(self, ioctx: FakeIoctx) -> str:
        return "TOKEN"

    def mirror_peer_bootstrap_import(self, ioctx: FakeIoctx, direction: int, token: str) -> None:
        if ioctx.site.import_fails:
            raise failure(rbd.Error, ioctx.site.import_fails)
        ioctx.site.imported.append((direction, token))

    def list2(self, ioctx: FakeIoctx) -> List[Dict[str, str]]:
        return [{"id": f"id-{name}", "name": name} for namespace, name in ioctx.pool.images
                if namespace == ioctx.namespace]

    def mirror_image_info_list(self, ioctx: FakeIoctx) -> List[Tuple[str, Dict[str, Any]]]:
        return [(f"id-{name}", {
                    "mode": image.mode, "primary": image.primary, "state": 1,
                    "global_id": f"global-{name}"})
                for (namespace, name), image in ioctx.pool.images.items()
                if namespace == ioctx.namespace and image.mirrored]


class OpenImage:
    """Stands for rbd.Image."""

    def __init__(self, ioctx: FakeIoctx, name: str, read_only: bool = False) -> None:
        if (ioctx.namespace, name) not in ioctx.pool.images:
            raise failure(rbd.ImageNotFound, errno.ENOENT)
        self.ioctx = ioctx
        self.name = name
        self.fake = ioctx.pool.images[ioctx.namespace, name]

    def close(self) -> None:
        pass

    def id(self) -> str:
        return f"id-{self.name}"

    def mirror_image_get_info(self) -> Dict[str, Any]:
        return {"state": 1 if self.fake.mirrored else 2, "primary": self.fake.primary,
                "global_id": f"global-{self.name}"}

    def mirror_image_get_mode(self) -> int:
        return self.fake.mode

    def mirror_image_enable(self, mode: int) -> None:
        images = self.ioctx.pool.images
        if self.features() & Feature.NON_PRIMARY and not self.fake.mirrored:
            raise failure(rbd.Error, (errno.EROFS, errno.EINVAL)[mode])
        wrong = self.fake.mirrored and self.fake.mode != mode
        orphan = self.fake.parent and not images[self.ioctx.namespace, self.fake.parent].mirrored
        if wrong or orphan or self.ioctx.pool.modes[self.ioctx.namespace] != IMAGE:
            raise failure(rbd.Error, errno.EINVAL)
        self.fake.mirrored, self.fake.mode = True, mode

    def mirror_image_disable(self, force: bool) -> None:
        wrong = self.fake.mirrored and not (self.fake.primary or force)
        if wrong or self.ioctx.pool.modes[self.ioctx.namespace] != IMAGE:
            raise failure(rbd.Error, errno.EINVAL)
        images = self.ioctx.pool.images
        if any(images[self.ioctx.namespace, clone].mirrored for clone in self.fake.clones):
            raise failure(rbd.Error, errno.EBUSY)
        if self.fake.broken:
            raise failure(rbd.Error, errno.EIO)
        self.fake.mirrored = False

    def list_children2(self) -> List[Dict[str, Any]]:
        return [self._named(clone, "pool", "image") for clone in self.fake.clones]

    def get_parent_image_spec(self) -> Dict[str, Any]:
        if not self.fake.parent:
            raise failure(rbd.ImageNotFound, errno.ENOENT)
        return self._named(self.fake.parent, "pool_name", "image_name")

    def _named(self, name: str, pool: str, image: str) -> Dict[str, Any]:
        return {pool: "p", "pool_namespace": self.ioctx.namespace, image: name}

    def mirror_image_create_snapshot(self) -> int:
        if not self.fake.primary:
            raise failure(rbd.Error, errno.EINVAL)
        self.fake.snapshots += 1
        return self.fake.snapshots

    def mirror_image_promote(self, force: bool) -> None:
        if not force and not self.fake.promotable:
            raise failure(rbd.Error, errno.EBUSY)
        self.fake.primary = True

    def mirror_image_resync(self) -> None:
        self.fake.flagged = True

    def mirror_image_demote(self) -> None:
        self.fake.on_demote()
        self.fake.primary = False

    def watchers_list(self) -> List[Dict[str, Any]]:
        return [{"id": client_id, "addr": address, "cookie": 1}
                for client_id, address in (*self.fake.watchers, (OWN_ID, "own"))]

    def features(self) -> int:
        lock = Feature.EXCLUSIVE_LOCK if self.fake.mode == 1 else 0
        return int(self.fake.header.features) | lock

    def lock_acquire(self, mode: int) -> None:
        self.fake.on_lock()
        if self.fake.keeps_lock:
            raise failure(rbd.Error, errno.EROFS)


def install(patch: pytest.MonkeyPatch) -> None:
    """Put the fakes in the place of python-rbd."""
    patch.setattr(rbd, "RBD", FakeRBD)
    patch.setattr(rbd, "RBD_MIRROR_MODE_INIT_ONLY", INIT_ONLY, raising=False)
    patch.setattr(rbd, "Image", OpenImage)
    patch.setattr(headers, "read", _read_headers)


class OlderRBD:
    """The same of release 18 and before: it knows nothing of remote namespaces."""

    def __init__(self) -> None:
        self._newer = FakeRBD()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._newer, name)


def install_older(patch: pytest.MonkeyPatch) -> None:
    """Take what release 20 brought away."""
    patch.setattr(rbd, "RBD", OlderRBD)
    patch.setattr(rbd, "RBD_MIRROR_MODE_INIT_ONLY", None)


def _read_headers(ioctx: FakeIoctx, image_ids: Iterable[str]) -> Dict[str, ImageHeader]:
    return {f"id-{name}": image.header for (namespace, name), image in ioctx.pool.images.items()
            if namespace == ioctx.namespace and f"id-{name}" in image_ids}
