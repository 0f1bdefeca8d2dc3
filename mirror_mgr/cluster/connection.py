"""One connection to one site, with its calls handed to the asyncio loop."""

import asyncio
import errno
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

import rados
import rbd

from ..errors import MalformedData, NotFound, NotReady, NotSupported, from_errno
from . import keys
from .faults import of_site, translate, translated
from .full import FullPools
from .pool import Pool

T = TypeVar("T")

# Threads only wait here (monitor commits, librbd): many are cheap, and monitors batch what arrives
# together.  What a user waits for does not queue behind what is removed in the background.
_THREADS = 80
_BACKGROUND_THREADS = 80

# ``pg_pool_t::TYPE_ERASURE``
_ERASURE = 3

_TYPED_ADDRESS = re.compile(r"\[?v[12]:([^,]+/\d+)")


class Connection:
    """A RADOS client of one site.

    `name` is what messages call the site.  A connection that was blocklisted raises
    :class:`~mirror_mgr.errors.Fenced` from then on and is to be replaced by a new one.
    """

    def __init__(self, cluster: "rados.Rados", name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"{name}-call")
        self._background = ThreadPoolExecutor(
            _BACKGROUND_THREADS, thread_name_prefix=f"{name}-background")
        self.full = FullPools(self)
        self._pools: Dict[Tuple[int, str], Pool] = {}
        self._erasure_coded: Dict[int, bool] = {}

    @classmethod
    def connect(cls, name: str, entity: str, conffile: Optional[str] = None,
                conf: Optional[Mapping[str, str]] = None,
                ceph_args: Tuple[str, ...] = (), cluster_name: str = "ceph") -> "Connection":
        """Connect as `entity` ("client.x"); blocking.

        `conffile` is a path, or None for no file at all; `conf` are options that win over it;
        `ceph_args` are Ceph's common command line options; `cluster_name` is what `$cluster`
        stands for in options.  Raise a MirrorError that names the
        site when it can't be reached within `client_mount_timeout`.
        """
        try:
            cluster = rados.Rados(name=entity, conffile=conffile, clustername=cluster_name)
            if ceph_args:
                cluster.conf_parse_argv(list(ceph_args))
            for key, value in (conf or {}).items():
                cluster.conf_set(key, value)
            keys.require_readable(cluster, entity)
            cluster.connect()
        except (NotSupported, MalformedData) as error:
            raise type(error)(f"site {name!r}: {error.message}") from None
        except (rados.Error, OSError, ValueError) as error:
            refused = isinstance(error, rados.PermissionDeniedError)
            more = keys.hint(keys.key_of(cluster, entity)) if refused else ""
            raise translate(error, f"site {name!r}: can't connect as {entity}; check its monitors, "
                                   f"network and the user's key{more}") from None
        return cls(cluster, name)

    @property
    def instance_id(self) -> int:
        with translated(f"site {self.name!r}"):
            return int(self.cluster.get_instance_id())

    @property
    def address(self) -> str:
        """The address as a blocklist names it: "127.0.0.1:0/1234567"."""
        with translated(f"site {self.name!r}"):
            return blocklist_address(self.cluster.get_addrs())

    @property
    def fsid(self) -> str:
        with translated(f"site {self.name!r}"):
            return str(self.cluster.get_fsid())

    def conf_get(self, option: str) -> str:
        with translated(f"site {self.name!r}: option {option}"):
            return str(self.cluster.conf_get(option) or "")

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call of librados or librbd in a thread and translate its errors."""
        return await self._run_in(self._threads, function, *args)

    async def run_in_background(self, function: Callable[..., T], *args: Any) -> T:
        """The same, for what nobody waits for."""
        return await self._run_in(self._background, function, *args)

    async def _run_in(self, threads: ThreadPoolExecutor, function: Callable[..., T],
                      *args: Any) -> T:
        try:
            running = asyncio.get_running_loop().run_in_executor(threads, lambda: function(*args))
        except RuntimeError as error:  # of the executor
            raise NotReady(f"site {self.name!r}: connection is closed") from error
        try:
            return await running
        except (rados.Error, rbd.Error, OSError) as error:
            raise translate(error, f"site {self.name!r}") from error

    def pool(self, pool_id: int, namespace: str = "") -> Pool:
        """The pool with this id, in `namespace`; raise NotFound if there is none."""
        key = (pool_id, namespace)
        if key not in self._pools:
            self._pools[key] = Pool(self, self.open_ioctx(pool_id, namespace))
        return self._pools[key]

    def open_ioctx(self, pool_id: int, namespace: str) -> "rados.Ioctx":
        """One whose writes a full pool refuses: by default they would wait, for ever if need be.

        Raise NotFound if there is no such pool.
        """
        with translated(f"site {self.name!r}: pool with id {pool_id}"):
            ioctx = self.cluster.open_ioctx2(pool_id)
            ioctx.set_namespace(namespace)
            ioctx.set_osdmap_full_try()
            return ioctx

    def pool_id(self, name: str) -> Optional[int]:
        with translated(f"site {self.name!r}: pool {name!r}"):
            found = self.cluster.pool_lookup(name)
            return None if found is None else int(found)

    def pool_name(self, pool_id: int) -> Optional[str]:
        with translated(f"site {self.name!r}: pool with id {pool_id}"):
            return self.cluster.pool_reverse_lookup(pool_id)

    async def pool_names(self) -> Dict[int, str]:
        """All pools of the site, by id."""
        listed = json.loads(await self.mon_command({"prefix": "osd lspools", "format": "json"}))
        return {entry["poolnum"]: entry["poolname"] for entry in listed}

    async def is_erasure_coded(self, pool_id: int) -> bool:
        """Whether the pool is; that never changes, nor is its id used again."""
        if pool_id not in self._erasure_coded:
            listed = json.loads(await self.mon_command(
                {"prefix": "osd pool ls", "detail": "detail", "format": "json"}))
            self._erasure_coded.update(
                (entry["pool_id"], entry["type"] == _ERASURE) for entry in listed)
        if pool_id not in self._erasure_coded:
            raise NotFound(f"site {self.name!r}: there is no pool with id {pool_id}")
        return self._erasure_coded[pool_id]

    async def mon_command(self, command: Mapping[str, Any]) -> bytes:
        """Run a monitor command; return its output, raise by its errno."""
        code, out, text = await self.run(
            self.cluster.mon_command, json.dumps(dict(command)), b"")
        if code == -errno.ETIMEDOUT:
            raise of_site(code, self.name, command["prefix"])
        if code:
            raise from_errno(code, f"site {self.name!r}: {command['prefix']}: {text}")
        return bytes(out)

    async def blocklist(self, address: str, seconds: int = 3600) -> None:
        """Have the OSDs refuse this client address, so that nothing of its can land later."""
        await self.mon_command({"prefix": "osd blocklist", "blocklistop": "add",
                                "addr": address, "expire": float(seconds)})
        await self.run(self.cluster.wait_for_latest_osdmap)

    def close(self) -> None:
        """Close every pool and the connection; blocking.  What is in flight is waited for."""
        self._threads.shutdown(wait=True)
        self._background.shutdown(wait=True)
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self.cluster.shutdown()


def configured(entity: str, conffile: str, ceph_args: Sequence[str], cluster_name: str,
               defaults: Mapping[str, str]) -> Tuple[Dict[str, str], List[str]]:
    """Given how to connect, return options without connecting, and the arguments that are none.

    `defaults` names the options, with what stands for one that is set nowhere.  Raise
    InvalidArgument when librados refuses the file or an argument.
    """
    try:
        cluster = rados.Rados(name=entity, conffile=conffile, clustername=cluster_name)
    except (rados.Error, OSError) as error:
        raise translate(error, f"{conffile}: can't be read as a conf of Ceph") from None
    try:
        rest = list(cluster.conf_parse_argv(list(ceph_args)) or ())  # it gives None for none
        for name, default in defaults.items():
            if not cluster.conf_get(name):
                cluster.conf_set(name, default)
        return {name: str(cluster.conf_get(name) or "") for name in defaults}, rest
    except (rados.Error, OSError) as error:
        raise translate(error, "an option has a value that it can't have") from None
    finally:
        cluster.shutdown()


def blocklist_address(addresses: str) -> str:
    """Given librados' own addresses ("[v2:1.2.3.4:0/5,v1:1.2.3.4:0/5]"), return "1.2.3.4:0/5"."""
    typed = _TYPED_ADDRESS.match(addresses)
    return typed.group(1) if typed else addresses
