import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire.constants import MirrorImageState, MirrorMode
from mirror_mgr.wire.encoding import Encoder
from mirror_mgr.wire.watch_notify import (
    ClientId,
    ImageNotice,
    ImageOp,
    ImageUpdated,
    LeaderOp,
    ModeUpdated,
    decode_image,
    decode_leader,
    decode_mirroring,
    encode_image,
    encode_image_updated,
    encode_leader,
)


def messages(entry):
    return [bytes.fromhex(message) for message in entry["notified"]]


def test_leader(recorded, fails_when_cut) -> None:
    heard = messages(recorded("leader"))
    assert [decode_leader(message) for message in heard] == [
        LeaderOp.HEARTBEAT, LeaderOp.LOCK_RELEASED]
    for message in heard:
        assert encode_leader(decode_leader(message)) == message
        fails_when_cut(decode_leader, message)


def test_leader_of_a_newer_release() -> None:
    assert decode_leader(Encoder().struct(2, 1, Encoder().u32(9)).done()) is None


def test_image(recorded) -> None:
    heard = messages(recorded("lock"))
    ops = {decode_image(message).op for message in heard}
    assert set(ImageOp) <= ops
    for message in heard:
        notice = decode_image(message)
        if notice.op in set(ImageOp):
            arguments = () if notice.client is None else (notice.client,)
            assert encode_image(ImageOp(notice.op), *arguments) == message
            for end in range(1, len(message)):
                with pytest.raises(MalformedData):
                    decode_image(message[:end])
    requested = next(notice for notice in map(decode_image, heard)
                     if notice.op == ImageOp.REQUEST_LOCK)
    acquired = [notice.client for notice in map(decode_image, heard)
                if notice.op == ImageOp.ACQUIRED_LOCK]
    assert requested.client in acquired


def test_a_message_fits_in_text() -> None:
    """python-rados sends text, and counts its characters as bytes."""
    for op in ImageOp:
        assert encode_image(op).isascii()


def test_an_empty_payload_is_a_header_update() -> None:
    assert decode_image(b"") == ImageNotice(ImageOp.HEADER_UPDATE)


def test_lock_messages_of_the_first_version_name_nobody() -> None:
    data = Encoder().struct(1, 1, Encoder().u32(ImageOp.REQUEST_LOCK)).done()
    assert decode_image(data) == ImageNotice(ImageOp.REQUEST_LOCK)


def test_lock_message_without_its_sender() -> None:
    data = Encoder().struct(6, 1, Encoder().u32(ImageOp.RELEASED_LOCK).u64(1)).done()
    with pytest.raises(MalformedData):
        decode_image(data)


def test_client_id() -> None:
    client = ClientId(4119, 1 << 60)
    assert decode_image(encode_image(ImageOp.RELEASED_LOCK, client)) == ImageNotice(
        ImageOp.RELEASED_LOCK, client)


def test_mirroring(recorded, fails_when_cut) -> None:
    entry = recorded("mirroring_notices")
    heard = messages(entry)
    enabled, disabled, mode = (decode_mirroring(message) for message in heard)
    assert isinstance(enabled, ImageUpdated) and isinstance(disabled, ImageUpdated)
    assert (enabled.state, disabled.state) == (
        MirrorImageState.ENABLED, MirrorImageState.DISABLED)
    assert enabled.image_id == disabled.image_id == entry["image id"]
    assert enabled.global_id == disabled.global_id
    assert mode == ModeUpdated(MirrorMode.POOL)
    assert encode_image_updated(enabled.image_id, enabled.global_id) == heard[0]
    for message in heard:
        fails_when_cut(decode_mirroring, message)


def test_mirroring_of_a_newer_release() -> None:
    with pytest.raises(MalformedData):
        decode_mirroring(Encoder().struct(1, 1, Encoder().u32(5)).done())
