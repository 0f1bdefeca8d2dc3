"""How entries lie in the data objects of a journal (``journal/Entry.cc``, release 16).

u64 preamble, u8 version, u64 entry tid, u64 tag tid, u32 size, the data, u32 crc-32c of all that.
"""

import struct as _struct
from typing import Callable, NamedTuple, Optional, Tuple

from ..errors import MalformedData

_PREAMBLE = 0x3141592653589793
PREAMBLE = _struct.pack("<Q", _PREAMBLE)
_VERSION = 1
_HEAD = _struct.Struct("<QBQQI")
_CRC = _struct.Struct("<I")
OVERHEAD = _HEAD.size + _CRC.size
LONGEST = 128 << 20
"""In bytes; librbd cuts events to 16 KiB, and no append is above the OSD's limit of 90 MiB."""

Crc = Callable[[bytes], int]
"""CRC-32C (Castagnoli) that starts with 0 and does not invert its result."""


class Entry(NamedTuple):
    """``data`` is an event, see :mod:`~mirror_mgr.wire.journal_event`."""

    tag_tid: int
    entry_tid: int
    data: bytes


class WrongChecksum(MalformedData):
    """Of an entry that would have ``size`` bytes."""

    size = 0


def parse(buffer: bytes, at: int, crc: Crc,
          longest: int = LONGEST) -> Optional[Tuple[Entry, int]]:
    """Read the entry at offset ``at``; return it and the offset behind it.

    None where the buffer ends before the entry does.  Raise MalformedData for what is no entry, is
    of an unknown version or above ``longest`` bytes, or has another checksum than it says.
    """
    if len(buffer) < at + _HEAD.size:
        return None
    preamble, version, entry_tid, tag_tid, size = _HEAD.unpack_from(buffer, at)
    if preamble != _PREAMBLE:
        raise MalformedData("no journal entry begins there")
    if version != _VERSION:
        raise MalformedData(f"journal entry {tag_tid}/{entry_tid} is of unknown version {version}")
    if size + OVERHEAD > longest:
        raise MalformedData(f"journal entry {tag_tid}/{entry_tid} would be of {size} bytes")
    end = at + _HEAD.size + size
    if len(buffer) < end + _CRC.size:
        return None
    framed = buffer[at:end]
    if _CRC.unpack_from(buffer, end)[0] != crc(framed):
        wrong = WrongChecksum(f"journal entry {tag_tid}/{entry_tid} has a wrong checksum")
        wrong.size = len(framed)
        raise wrong
    return Entry(tag_tid, entry_tid, framed[_HEAD.size:]), end + _CRC.size


def encode(entry: Entry, crc: Crc) -> bytes:
    """Return the entry as the recorder of an image appends it."""
    framed = _HEAD.pack(_PREAMBLE, _VERSION, entry.entry_tid, entry.tag_tid,
                        len(entry.data)) + entry.data
    return framed + _CRC.pack(crc(framed))
