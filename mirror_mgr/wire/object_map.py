"""Object maps: two bits for each object of an image (``BitVector<2>``, release 16).

Work on whole maps is done by table look-ups and big integers, so that a map of a million objects
takes a few milliseconds.
"""

from itertools import compress
from typing import Iterable, Iterator, Union

from ..errors import MalformedData
from .constants import ObjectState
from .encoding import Decoder, Encoder

MOST_OBJECTS = 256_000_000
"""``MAX_OBJECT_MAP_OBJECT_COUNT``: librbd and the OSD refuse a map of more."""

_CELLS_A_BYTE = 4
# The first object is in the highest bits of a byte.
_SHIFTS = (6, 4, 2, 0)
_UNPACK = tuple(bytes(byte >> shift & 3 for byte in range(256)) for shift in _SHIFTS)
_PACK = tuple(bytes((cell & 3) << shift for cell in range(256)) for shift in _SHIFTS)


def _change_table() -> bytes:
    """For each previous * 4 + current: 1 when the object has to be looked at."""
    table = bytearray(256)
    for previous in ObjectState:
        for current in ObjectState:
            settled = (previous, current) == (ObjectState.EXISTS, ObjectState.EXISTS_CLEAN)
            table[previous * 4 + current] = (
                current == ObjectState.EXISTS or (previous != current and not settled))
    return bytes(table)


_CHANGED = _change_table()
_TO_MARKED = bytes(
    ObjectState.NONEXISTENT if cell == ObjectState.NONEXISTENT else ObjectState.EXISTS_CLEAN
    for cell in range(256))
_KEEP_LOWER_BIT = bytes((3,)) + bytes((1,)) * 255


class ObjectMap:
    """The states of objects 0, 1, ...; a value, never changed in place.

    ``cells`` has one byte an object, each a number of :class:`ObjectState`.
    """

    __slots__ = ("cells",)

    def __init__(self, cells: bytes = b"") -> None:
        self.cells = bytes(cells)

    @classmethod
    def filled(cls, count: int, state: int = ObjectState.NONEXISTENT) -> "ObjectMap":
        """Raise MalformedData for more objects than a map can have."""
        return cls(bytes((state,)) * require_count(count))

    @classmethod
    def decode(cls, data: bytes) -> "ObjectMap":
        """Given the output of ``object_map_load``, return the map; raise MalformedData.

        A buffer with the frame of the count, the packed cells, a buffer with checksums (which
        ``object_map_load`` leaves empty).
        """
        source = Decoder(data)
        count = require_count(Decoder(source.bytes_()).struct(1)[1].u64())
        size = -(-count // _CELLS_A_BYTE)
        packed = source.remaining()
        if len(packed) < size:
            raise MalformedData(
                f"object map of {count} objects: {size} bytes expected, {len(packed)} are there")
        packed = packed[:size]
        cells = bytearray(size * _CELLS_A_BYTE)
        for place, table in enumerate(_UNPACK):
            cells[place::_CELLS_A_BYTE] = packed.translate(table)
        return cls(bytes(cells[:count]))

    def encode(self) -> bytes:
        """Return the map as ``object_map_save`` takes it."""
        size = -(-len(self.cells) // _CELLS_A_BYTE)
        packed = 0
        for place, table in enumerate(_PACK):
            plane = self.cells[place::_CELLS_A_BYTE].translate(table)
            packed |= int.from_bytes(plane.ljust(size, b"\0"), "little")
        head = Encoder().struct(1, 1, Encoder().u64(len(self.cells))).done()
        return Encoder().bytes_(head).raw(packed.to_bytes(size, "little")).bytes_(b"").done()

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, number: int) -> int:
        return self.cells[number]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectMap) and self.cells == other.cells

    def __hash__(self) -> int:
        return hash(self.cells)

    def __repr__(self) -> str:
        counts = ", ".join(f"{state.name.lower()}={self.cells.count(state)}"
                           for state in ObjectState)
        return f"ObjectMap({len(self.cells)} objects: {counts})"

    def resized(self, count: int, state: int = ObjectState.NONEXISTENT) -> "ObjectMap":
        """Return the map cut or grown to ``count`` objects; new ones get ``state``.

        Raise MalformedData for more than a map can have.
        """
        require_count(count)
        return ObjectMap(self.cells[:count].ljust(count, bytes((state,))))

    def marked(self, mask: "Mask") -> "ObjectMap":
        """Return the map as a snapshot has it: objects in ``mask`` exist, others exist clean.

        Objects that do not exist stay so.
        """
        base = self.cells.translate(_TO_MARKED)
        # EXISTS_CLEAN (3) less its upper bit is EXISTS (1); NONEXISTENT (0) stays 0.
        kept = as_bytes(mask[:len(base)]).ljust(len(base), b"\0").translate(_KEEP_LOWER_BIT)
        return ObjectMap(_both(base, kept))


def require_count(count: int) -> int:
    """Return the count; raise MalformedData when it is more than a map can have."""
    if count > MOST_OBJECTS:
        raise MalformedData(f"an object map of {count} objects: {MOST_OBJECTS} is the most")
    return count


def _both(left: bytes, right: bytes) -> bytes:
    joined = int.from_bytes(left, "little") & int.from_bytes(right, "little")
    return joined.to_bytes(len(left), "little")


def changed(previous: ObjectMap, current: ObjectMap) -> bytes:
    """Given the maps of two successive snapshots, return which objects may differ between them.

    One byte an object, 1 or 0.  An object may differ when it was written since the previous
    snapshot, or when the cells differ, but for EXISTS that settled to EXISTS_CLEAN.  The shorter
    map counts as NONEXISTENT beyond its end.
    """
    count = max(len(previous), len(current))
    before = int.from_bytes(previous.cells, "little")
    after = int.from_bytes(current.cells, "little")
    return (before << 2 | after).to_bytes(count, "little").translate(_CHANGED)


class AllFrom:
    """The mask that has all objects from ``first`` on, of ``count``: in no memory, however many.

    An image without an object map may have more of them than a map can have.
    """

    __slots__ = ("count", "first")

    def __init__(self, first: int, count: int) -> None:
        self.first = min(first, count)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, below: slice) -> "AllFrom":
        """``mask[:end]``, as of bytes."""
        return AllFrom(self.first, min(self.count, below.stop))


Mask = Union[bytes, AllFrom]
"""Which objects are meant; bytes have one an object, 1 or 0."""


def as_bytes(mask: Mask) -> bytes:
    """Raise MalformedData for more objects than a map can have."""
    if isinstance(mask, AllFrom):
        return bytes(mask.first).ljust(require_count(mask.count), b"\1")
    return mask


def merged(masks: Iterable[Mask]) -> Mask:
    """Return the mask of the objects that any of ``masks`` has."""
    several = list(masks)
    longest = max(map(len, several), default=0)
    if any(isinstance(mask, AllFrom) and (mask.first, mask.count) == (0, longest)
           for mask in several):
        return AllFrom(0, longest)
    whole = 0
    for mask in several:
        whole |= int.from_bytes(as_bytes(mask), "little")
    return whole.to_bytes(longest, "little")


def from_first(mask: Mask, first: int) -> Mask:
    """Return the mask without the objects below ``first``."""
    if isinstance(mask, AllFrom):
        return AllFrom(max(first, mask.first), mask.count)
    return bytes(min(first, len(mask))) + mask[first:]


def how_many(mask: Mask) -> int:
    return mask.count - mask.first if isinstance(mask, AllFrom) else mask.count(1)


def numbers(mask: Mask) -> Iterator[int]:
    """Yield the numbers of the objects in a mask, ascending; a list of a million would be 36 MB."""
    if isinstance(mask, AllFrom):
        return iter(range(mask.first, mask.count))
    return compress(range(len(mask)), mask)
