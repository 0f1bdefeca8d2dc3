"""What of a filesystem is written to the image, and what is discarded."""

from pathlib import Path
from typing import List, Tuple

import pytest

from qa.filesystem import BLOCK, CHUNK, Filesystem


class FakeImage:
    """Keeps its content and what was done to it."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.calls: List[Tuple[str, int, int]] = []

    def size(self) -> int:
        return len(self.content)

    def resize(self, size: int) -> None:
        self.content.extend(bytes(size - len(self.content)))

    def write(self, data: bytes, offset: int) -> None:
        self.calls.append(("write", offset, len(data)))
        self.content[offset : offset + len(data)] = data

    def discard(self, offset: int, length: int) -> None:
        self.calls.append(("discard", offset, length))
        self.content[offset : offset + length] = bytes(length)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])

    def flush(self) -> None:
        pass


@pytest.fixture
def filesystem(tmp_path: Path) -> Filesystem:
    filesystem = Filesystem(tmp_path / "filesystem")
    filesystem.path.write_bytes(bytes(2 * CHUNK))
    filesystem.path.with_suffix(".stored").write_bytes(b"")
    return filesystem


def put(filesystem: Filesystem, offset: int, data: bytes) -> None:
    with open(filesystem.path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_zeros_are_not_written(filesystem: Filesystem) -> None:
    image = FakeImage()
    assert filesystem.store(image) == 0
    assert (image.size(), image.calls) == (2 * CHUNK, [])


def test_only_changed_blocks_are_written(filesystem: Filesystem) -> None:
    image = FakeImage()
    put(filesystem, 3 * BLOCK + 7, b"x" * BLOCK)
    assert filesystem.store(image) == 2 * BLOCK
    put(filesystem, CHUNK, b"y")
    filesystem.store(image)
    assert image.calls == [("write", 3 * BLOCK, 2 * BLOCK), ("write", CHUNK, BLOCK)]
    assert bytes(image.content) == filesystem.path.read_bytes()


def test_cleared_blocks_are_discarded(filesystem: Filesystem) -> None:
    image = FakeImage()
    put(filesystem, 0, b"x" * 3 * BLOCK)
    filesystem.store(image)
    put(filesystem, BLOCK, bytes(BLOCK))
    put(filesystem, 2 * BLOCK, b"y" * BLOCK)
    filesystem.store(image)
    assert image.calls[1:] == [("discard", BLOCK, BLOCK), ("write", 2 * BLOCK, BLOCK)]
    assert bytes(image.content) == filesystem.path.read_bytes()


def test_fetched_filesystem_has_no_changes(filesystem: Filesystem) -> None:
    image = FakeImage()
    put(filesystem, BLOCK, b"x")
    filesystem.store(image)
    filesystem.path.write_bytes(b"something else")
    filesystem.fetch(image)
    assert filesystem.path.read_bytes() == bytes(image.content)
    assert filesystem.store(image) == 0
