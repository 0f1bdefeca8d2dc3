"""What python-rados leaves out: an object's clones, and checksums of its content.

The clones (``list_snaps``) are in librados' C++ interface only, so this calls that by its symbols,
on a connection of its own: python-rados does not give its handles away.  The layouts of the C++
values are those of libstdc++ and ``rados_types.hpp``, the same since release 14; every answer is
checked against what a snapset can be, and :meth:`SnapsetReader.self_test` against a known object.
"""

import ctypes
import functools
import os
import threading
import uuid
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..errors import NotReady, NotSupported, from_errno
from ..wire.constants import NOSNAP
from ..wire.snapset import Clone, Snapset

_ENOENT = 2
_SNAPDIR = 2**64 - 1
_XXHASH64 = 1
_XXHASH64_SEED = bytes(8)
_LIBRARY = "librados.so.2"
_IOCTX = "_ZN8librados7v14_2_05IoCtx"
_FROM_C = _IOCTX + "18from_rados_ioctx_tEPvRS1_"
_CLOSE = _IOCTX + "5closeEv"
_LIST_SNAPS = (_IOCTX + "10list_snapsERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
               "PNS_10snap_set_tE")
_DELETE = "_ZdlPv"


class _String(ctypes.Structure):
    """``std::string`` that borrows a buffer; for arguments that are only read."""

    _fields_ = [("data", c_char_p), ("size", c_size_t), ("capacity", c_size_t),
                ("local", c_uint64)]


class _Vector(ctypes.Structure):
    """``std::vector``."""

    _fields_ = [("begin", c_void_p), ("end", c_void_p), ("room", c_void_p)]


class _Clone(ctypes.Structure):
    """``clone_info_t``."""

    _fields_ = [("cloneid", c_uint64), ("snaps", _Vector), ("overlap", _Vector),
                ("size", c_uint64)]


class _SnapSet(ctypes.Structure):
    """``snap_set_t``."""

    _fields_ = [("clones", _Vector), ("seq", c_uint64)]


class _IoCtx(ctypes.Structure):
    """``librados::IoCtx``: a pointer to what it shares with the C handle."""

    _fields_ = [("impl", c_void_p)]


class _Librados:
    """The functions that are needed, with their types."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(_LIBRARY)
            for name, arguments in _C_FUNCTIONS.items():
                getattr(library, name).argtypes = arguments
            self.c = library
            self.from_c = _typed(library, _FROM_C, None, c_void_p, POINTER(_IoCtx))
            self.close_ioctx = _typed(library, _CLOSE, None, POINTER(_IoCtx))
            self.list_snaps = _typed(library, _LIST_SNAPS, c_int, POINTER(_IoCtx),
                                     POINTER(_String), POINTER(_SnapSet))
            self.delete = _typed(_with_symbol(_DELETE, library), _DELETE, None, c_void_p)
        except (OSError, AttributeError) as error:
            raise NotSupported(f"{_LIBRARY} does not list clones of objects: {error}") from None


_C_FUNCTIONS = {
    "rados_create2": [POINTER(c_void_p), c_char_p, c_char_p, c_uint64],
    "rados_conf_read_file": [c_void_p, c_char_p],
    "rados_conf_set": [c_void_p, c_char_p, c_char_p],
    "rados_connect": [c_void_p],
    "rados_ioctx_create2": [c_void_p, ctypes.c_int64, POINTER(c_void_p)],
    "rados_ioctx_set_namespace": [c_void_p, c_char_p],
    "rados_ioctx_snap_set_read": [c_void_p, c_uint64],
    "rados_ioctx_selfmanaged_snap_create": [c_void_p, POINTER(c_uint64)],
    "rados_ioctx_selfmanaged_snap_remove": [c_void_p, c_uint64],
    "rados_ioctx_selfmanaged_snap_set_write_ctx": [c_void_p, c_uint64, POINTER(c_uint64), c_int],
    "rados_write": [c_void_p, c_char_p, c_char_p, c_size_t, c_uint64],
    "rados_remove": [c_void_p, c_char_p],
    "rados_checksum": [c_void_p, c_char_p, c_int, c_char_p, c_size_t, c_size_t, c_uint64,
                       c_size_t, c_void_p, c_size_t],
    "rados_set_osdmap_full_try": [c_void_p],
    "rados_ioctx_destroy": [c_void_p],
    "rados_shutdown": [c_void_p],
}


def _typed(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]
    function.restype = result
    function.argtypes = arguments
    return function


def _with_symbol(name: str, library: Any) -> Any:
    """The dynamic linker looks in the whole process first: an allocator may be preloaded."""
    process = ctypes.CDLL(None)
    return process if hasattr(process, name) else library


@functools.lru_cache(maxsize=1)
def _librados() -> _Librados:
    return _Librados()


class _Gate:
    """Lets calls in until it is closed; closing waits for those that are inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise NotReady("connection is closed")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> bool:
        """Return whether this call is the one that closed it."""
        with self._changed:
            if self._closed:
                return False
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
            return True


class SnapsetReader:
    """A connection to one site.  All calls block, with the GIL released, and may run in threads."""

    def __init__(self, cluster: c_void_p) -> None:
        self._cluster = cluster
        self._gate = _Gate()
        self._lock = threading.Lock()
        self._pools: Dict[Tuple[int, str], SnapsetPool] = {}

    @classmethod
    def connect(cls, entity: str, conffile: Optional[str] = None,
                conf: Optional[Mapping[str, str]] = None,
                cluster_name: str = "ceph") -> "SnapsetReader":
        """Connect as ``entity`` ("client.x").

        ``conffile`` is a path, or None for no file; ``conf`` are options (mon_host, key, timeouts)
        that win over it; ``cluster_name`` is what ``$cluster`` stands for in options.  Raise
        NotSupported where librados lacks what is needed, else the error that connecting gave.
        """
        librados = _librados()
        cluster = c_void_p()
        what = f"can't connect as {entity}"
        _check(librados.c.rados_create2(
            byref(cluster), cluster_name.encode(), entity.encode(), 0), what)
        try:
            if conffile is not None:
                _check(librados.c.rados_conf_read_file(cluster, os.fsencode(conffile)), conffile)
            for key, value in (conf or {}).items():
                _check(librados.c.rados_conf_set(cluster, key.encode(), value.encode()),
                       f"option {key}")
            _check(librados.c.rados_connect(cluster), what)
        except BaseException:
            librados.c.rados_shutdown(cluster)
            raise
        return cls(cluster)

    def open(self, pool_id: int, namespace: str = "") -> "SnapsetPool":
        """Return the pool with this id, in ``namespace``; raise NotFound if there is none."""
        with self._lock:
            key = pool_id, namespace
            if key not in self._pools:
                self._pools[key] = SnapsetPool(self._cluster, self._gate, pool_id, namespace)
            return self._pools[key]

    def self_test(self, pool_id: int) -> None:
        """Make an object with a clone in this pool and compare what is said of it.

        Takes two rounds of the monitors, a second or two.  Raise NotSupported when librados says
        anything but the truth, or another error when the object can't be made.
        """
        _SelfTest(self._cluster, self.open(pool_id)).run()

    def close(self) -> None:
        """Wait for calls under way, then disconnect.  Later calls raise NotReady."""
        if not self._gate.close():
            return
        for pool in self._pools.values():
            pool.destroy()
        _librados().c.rados_shutdown(self._cluster)


class SnapsetPool:
    """One pool and namespace of a :class:`SnapsetReader`."""

    def __init__(self, cluster: c_void_p, gate: _Gate, pool_id: int, namespace: str) -> None:
        self._cluster = cluster
        self._gate = gate
        self._pool_id = pool_id
        self._namespace = namespace
        self._lock = threading.Lock()
        self._at: Dict[int, c_void_p] = {}
        with gate.entered():
            self._clones = _IoCtx()
            _librados().from_c(self._ioctx(_SNAPDIR), byref(self._clones))

    def list_snaps(self, oid: str) -> Optional[Snapset]:
        """Return the clones of an object; None if it does not exist and has none.

        Raise NotSupported when the answer makes no sense.
        """
        librados = _librados()
        name = oid.encode("utf-8", "surrogateescape")
        result = _SnapSet()
        with self._gate.entered():
            code = librados.list_snaps(
                byref(self._clones), byref(_String(name, len(name), len(name))), byref(result))
            if code == -_ENOENT:
                return None
            _check(code, f"object {oid}: clones")
            # Of an answer that makes no sense nothing is freed: it may not be what it seems.
            snapset = _snapset(result)
            _free(result)
            return snapset

    def checksums(self, oid: str, snap_id: int, length: int,
                  chunk: int) -> Optional[Tuple[int, ...]]:
        """Return the xxhash64 of each ``chunk`` bytes of an object's first ``length``.

        As it is at the snapshot ``snap_id``, or now (NOSNAP); None if there is no object then.
        Nothing is summed beyond the object's end.  Raise InvalidArgument when what is to be summed
        does not divide into chunks.
        """
        count = length // chunk
        answer = ctypes.create_string_buffer(4 + 8 * count)
        with self._gate.entered():
            code = _librados().c.rados_checksum(
                self._ioctx(snap_id), oid.encode("utf-8", "surrogateescape"), _XXHASH64,
                _XXHASH64_SEED, len(_XXHASH64_SEED), length, 0, chunk, answer, len(answer))
        if code == -_ENOENT:
            return None
        _check(code, f"object {oid}: checksums")
        hashes = ctypes.cast(ctypes.addressof(answer) + 4, POINTER(c_uint64))
        return tuple(hashes[:c_uint32.from_buffer(answer).value])

    def destroy(self) -> None:
        """For the reader, once no call is under way."""
        _librados().close_ioctx(byref(self._clones))
        for ioctx in self._at.values():
            _librados().c.rados_ioctx_destroy(ioctx)
        self._at.clear()

    def _ioctx(self, snap_id: int) -> c_void_p:
        """An ioctx reads one snapshot, so there is one for each."""
        with self._lock:
            if snap_id not in self._at:
                ioctx = _open_ioctx(self._cluster, self._pool_id, self._namespace)
                _librados().c.rados_ioctx_snap_set_read(ioctx, snap_id)
                self._at[snap_id] = ioctx
            return self._at[snap_id]


def _open_ioctx(cluster: c_void_p, pool_id: int, namespace: str) -> c_void_p:
    ioctx = c_void_p()
    _check(_librados().c.rados_ioctx_create2(cluster, pool_id, byref(ioctx)),
           f"pool with id {pool_id}")
    _librados().c.rados_ioctx_set_namespace(ioctx, namespace.encode())
    return ioctx


def _check(code: int, what: str) -> None:
    if code < 0:
        raise from_errno(code, f"{what}: {os.strerror(-code)}")


def _items(vector: _Vector, kind: Any, count_of: int = 1) -> Any:
    """A vector's content as an array; raise NotSupported when it can't be one."""
    size = (vector.end or 0) - (vector.begin or 0)
    each = ctypes.sizeof(kind) * count_of
    if size < 0 or size % each or (vector.room or 0) < (vector.end or 0):
        raise NotSupported(f"{_LIBRARY} keeps clones of objects in a layout of its own")
    return (kind * (size // ctypes.sizeof(kind))).from_address(vector.begin) if size else ()


def _snapset(raw: _SnapSet) -> Snapset:
    clones = tuple(_clone(clone) for clone in _items(raw.clones, _Clone))
    ids = [clone.cloneid for clone in clones]
    if ids != sorted(set(ids)) or any(cloneid > NOSNAP for cloneid in ids):
        raise NotSupported(f"{_LIBRARY} gives clones in an order that is none: {ids}")
    return Snapset(raw.seq, clones)


def _clone(raw: _Clone) -> Clone:
    bounds = _items(raw.overlap, c_uint64, 2)
    overlap = tuple(zip(bounds[::2], bounds[1::2]))
    if any(offset + length > raw.size for offset, length in overlap):
        raise NotSupported(f"{_LIBRARY} gives an overlap beyond the clone: {overlap}, {raw.size}")
    return Clone(raw.cloneid, tuple(_items(raw.snaps, c_uint64)), overlap, raw.size)


def _free(raw: _SnapSet) -> None:
    """Do what the destructor of ``snap_set_t`` would."""
    buffers: List[Optional[int]] = []
    for clone in _items(raw.clones, _Clone):
        buffers += clone.snaps.begin, clone.overlap.begin
    for buffer in (*buffers, raw.clones.begin):
        if buffer:
            _librados().delete(buffer)


class _SelfTest:
    """Writes a scratch object in three states and takes it away again."""

    def __init__(self, cluster: c_void_p, pool: SnapsetPool) -> None:
        self._cluster = cluster
        self._pool = pool
        self._oid = f"mirror_mgr.self_test.{uuid.uuid4()}"
        self._snap_id: Optional[int] = None

    def run(self) -> None:
        librados = _librados()
        self._ioctx = _open_ioctx(self._cluster, self._pool._pool_id, "")
        # A full pool would let it wait.
        librados.c.rados_set_osdmap_full_try(self._ioctx)
        try:
            self._prove()
        finally:
            librados.c.rados_remove(self._ioctx, self._oid.encode())
            if self._snap_id is not None:
                librados.c.rados_ioctx_selfmanaged_snap_remove(self._ioctx, self._snap_id)
            librados.c.rados_ioctx_destroy(self._ioctx)

    def _prove(self) -> None:
        self._expect(None)
        self._write(0, bytes(8192))
        self._expect(Snapset(0, (Clone(NOSNAP, (), (), 8192),)))
        snap_id = self._snapshot()
        self._write(4096, b"x" * 100)
        self._expect(Snapset(snap_id, (
            Clone(snap_id, (snap_id,), ((0, 4096), (4196, 3996)), 8192),
            Clone(NOSNAP, (), (), 8192))))

    def _expect(self, expected: Optional[Snapset]) -> None:
        found = self._pool.list_snaps(self._oid)
        if found != expected:
            raise NotSupported(
                f"{_LIBRARY} says of a known object {found} instead of {expected}")

    def _write(self, offset: int, data: bytes) -> None:
        _check(_librados().c.rados_write(self._ioctx, self._oid.encode(), data, len(data), offset),
               f"object {self._oid}: write")

    def _snapshot(self) -> int:
        snap_id = c_uint64()
        _check(_librados().c.rados_ioctx_selfmanaged_snap_create(self._ioctx, byref(snap_id)),
               "snapshot id")
        self._snap_id = snap_id.value
        _check(_librados().c.rados_ioctx_selfmanaged_snap_set_write_ctx(
            self._ioctx, snap_id, byref(snap_id), 1), "snapshot context")
        return snap_id.value
