"""Images in the trash (``TrashImageSpec``, ``cls_rbd_types.h``, release 16)."""

from dataclasses import dataclass

from .constants import TrashSource, TrashState
from .encoding import Decoder, Encoder


@dataclass(frozen=True)
class TrashEntry:
    """An image in ``rbd_trash``; it may be removed once ``deferment_end_ns`` has passed."""

    source: TrashSource
    name: str
    deletion_time_ns: int
    deferment_end_ns: int
    state: TrashState = TrashState.NORMAL

    def encode(self) -> bytes:
        body = Encoder().u8(self.source).string(self.name)
        body.utime(self.deletion_time_ns).utime(self.deferment_end_ns).u8(self.state)
        return Encoder().struct(2, 1, body).done()

    @classmethod
    def decode(cls, source: Decoder) -> "TrashEntry":
        """Read versions 1 and 2; raise MalformedData."""
        version, body = source.struct(2)
        return cls(
            source=body.enum(TrashSource, body.u8()),
            name=body.string(),
            deletion_time_ns=body.utime(),
            deferment_end_ns=body.utime(),
            state=body.enum(TrashState, body.u8()) if version >= 2 else TrashState.NORMAL)
