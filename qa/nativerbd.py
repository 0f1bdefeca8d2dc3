"""What librbd can do to an image and python-rbd can't: write-same, and compare-and-write."""

import ctypes
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from typing import Iterator

from qa.errors import LabError

_MISMATCH = -84  # EILSEQ


class NativeImage:
    """An image, open for writing."""

    def __init__(self, librbd: ctypes.CDLL, handle: c_void_p) -> None:
        self._librbd = librbd
        self._handle = handle

    def write_same(self, offset: int, length: int, pattern: bytes) -> None:
        _check(self._librbd.rbd_writesame(
            self._handle, c_uint64(offset), c_size_t(length), pattern, c_size_t(len(pattern)), 0))

    def compare_and_write(self, offset: int, compare: bytes, data: bytes) -> bool:
        """Whether the image held `compare` and now holds `data`."""
        differs = c_uint64()
        code = self._librbd.rbd_compare_and_write(
            self._handle, c_uint64(offset), c_size_t(len(data)), compare, data, byref(differs), 0)
        if code == _MISMATCH:
            return False
        _check(code)
        return True


@contextmanager
def opened(conf: str, pool: str, name: str, namespace: str = "") -> Iterator[NativeImage]:
    """Open an image of the cluster that `conf` names, as its administrator."""
    librados, librbd = ctypes.CDLL("librados.so.2"), ctypes.CDLL("librbd.so.1")
    librbd.rbd_writesame.restype = librbd.rbd_compare_and_write.restype = ctypes.c_ssize_t
    cluster, ioctx, image = c_void_p(), c_void_p(), c_void_p()
    _check(librados.rados_create(byref(cluster), b"admin"))
    _check(librados.rados_conf_read_file(cluster, c_char_p(conf.encode())))
    _check(librados.rados_connect(cluster))
    try:
        _check(librados.rados_ioctx_create(cluster, pool.encode(), byref(ioctx)))
        librados.rados_ioctx_set_namespace(ioctx, namespace.encode())
        _check(librbd.rbd_open(ioctx, name.encode(), byref(image), None))
        try:
            yield NativeImage(librbd, image)
        finally:
            librbd.rbd_close(image)
            librados.rados_ioctx_destroy(ioctx)
    finally:
        librados.rados_shutdown(cluster)


def _check(code: int) -> None:
    if c_int(code).value < 0:
        raise LabError(f"librbd: error {code}")
