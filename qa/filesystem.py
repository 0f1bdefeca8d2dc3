"""A real ext4 filesystem in an image, without any help from the kernel: e2fsprogs and librbd."""

import os
import re
import subprocess
from pathlib import Path
from typing import Iterator, Tuple

import rbd

BLOCK = 4096
CHUNK = 4 << 20
TOOLS_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class Filesystem:
    """An ext4 filesystem in a sparse file, and what of it an image already has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored = path.with_suffix(".stored")

    def make(self, size: int, contents: Path) -> None:
        """Make the filesystem, `size` bytes long, with the files of the folder `contents`."""
        self.path.unlink(missing_ok=True)
        # All tables are written now, as no kernel will do it later.
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        files = ("-d", str(contents), str(self.path), f"{size >> 10}k")
        _tool("mkfs.ext4", "-q", "-b", str(BLOCK), "-E", lazy, *files)
        self._stored.write_bytes(b"")

    def add(self, file: Path) -> None:
        """Copy a file to the top folder of the filesystem."""
        _tool("debugfs", "-w", "-R", f"write {file} {file.name}", str(self.path))

    def remove(self, name: str) -> None:
        """Remove a file from the top folder and clear its blocks, as `fstrim` would."""
        _tool("debugfs", "-w", "-R", f"rm {name}", str(self.path))
        with open(self.path, "r+b") as file:
            for first, last in self._free_blocks():
                for offset in range(first * BLOCK, (last + 1) * BLOCK, CHUNK):
                    length = min(CHUNK, (last + 1) * BLOCK - offset)
                    file.seek(offset)
                    if not _is_zero(file.read(length)):
                        file.seek(offset)
                        file.write(bytes(length))

    def grow(self, size: int) -> None:
        """Make the filesystem `size` bytes long."""
        os.truncate(self.path, size)
        self.check()
        _tool("resize2fs", str(self.path))

    def check(self) -> None:
        """Raise CalledProcessError when the filesystem is not consistent."""
        _tool("e2fsck", "-f", "-n", str(self.path))

    def read(self, name: str) -> bytes:
        """Return the content of a file in the top folder."""
        copy = self.path.with_suffix(".read")
        copy.unlink(missing_ok=True)
        _tool("debugfs", "-R", f"dump {name} {copy}", str(self.path))
        try:
            return copy.read_bytes()
        finally:
            copy.unlink(missing_ok=True)

    def store(self, image: rbd.Image) -> int:
        """Bring an open image up to date: write what changed, discard what became zero.

        Return the number of changed bytes.
        """
        if image.size() < self.path.stat().st_size:
            image.resize(self.path.stat().st_size)
        changed = 0
        for offset, data in self._changes():
            if _is_zero(data):
                image.discard(offset, len(data))
            else:
                image.write(data, offset)
            changed += len(data)
        image.flush()
        self._remember()
        return changed

    def fetch(self, image: rbd.Image) -> None:
        """Take the filesystem over from an open image."""
        with open(self.path, "wb") as file:
            file.truncate(image.size())
            for offset in range(0, image.size(), CHUNK):
                data = image.read(offset, min(CHUNK, image.size() - offset))
                if not _is_zero(data):
                    file.seek(offset)
                    file.write(data)
        self._remember()

    def _remember(self) -> None:
        _tool("cp", "--sparse=always", str(self.path), str(self._stored))

    def _changes(self) -> Iterator[Tuple[int, bytes]]:
        """Yield the runs of blocks that differ from what is stored, all zero or none of them."""
        with open(self.path, "rb") as now, open(self._stored, "rb") as before:
            offset = 0
            while True:
                new = now.read(CHUNK)
                if not new:
                    return
                old = before.read(CHUNK).ljust(len(new), b"\0")
                if new != old:
                    yield from _runs(offset, new, old)
                offset += len(new)

    def _free_blocks(self) -> Iterator[Tuple[int, int]]:
        """Yield the first and the last of each run of free blocks."""
        for line in re.findall(r"^  Free blocks: (.*)$", _tool("dumpe2fs", str(self.path)), re.M):
            for run in line.split(", "):
                first, _, last = run.partition("-")
                if first:
                    yield int(first), int(last or first)


def _runs(offset: int, new: bytes, old: bytes) -> Iterator[Tuple[int, bytes]]:
    start, kind = 0, None
    for position in range(0, len(new) + BLOCK, BLOCK):
        block = new[position : position + BLOCK]
        differs = block != old[position : position + BLOCK]
        here = _is_zero(block) if differs else None
        if here != kind:
            if kind is not None:
                yield offset + start, new[start:position]
            start, kind = position, here


def _is_zero(data: bytes) -> bool:
    return data.count(0) == len(data)


def _tool(*argv: str) -> str:
    environment = {**os.environ, "PATH": TOOLS_PATH, "LC_ALL": "C"}
    done = subprocess.run(
        argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment
    )
    return done.stdout
