import socket

import pytest

from mirror_mgr.errors import InvalidArgument, MalformedData
from mirror_mgr.wire import cls_lock
from mirror_mgr.wire.cls_lock import Locker, LockInfo
from mirror_mgr.wire.encoding import Decoder, Encoder


def test_lock_of_librbd(recorded, fails_when_cut) -> None:
    data = bytes.fromhex(recorded("lock")["get_info"])
    said, = recorded("lock")["lock ls"]
    assert cls_lock.decode_get_info(data) == LockInfo(
        1, cls_lock.INTERNAL_TAG,
        (Locker(said["locker"], said["id"], said["address"], "", 0),))
    fails_when_cut(cls_lock.decode_get_info, data)


def test_lock_of_the_daemons_leader(recorded) -> None:
    info = cls_lock.decode_get_info(bytes.fromhex(recorded("leader")["get_info"]))
    assert (info.type, info.tag, len(info.lockers)) == (1, cls_lock.INTERNAL_TAG, 1)
    assert info.lockers[0].cookie.startswith("auto ")


def test_no_lockers() -> None:
    data = Encoder().struct(1, 1, Encoder().u32(0).u8(0).string("")).done()
    assert cls_lock.decode_get_info(data) == LockInfo(0, "", ())


def address(sockaddr: bytes, kind: int) -> bytes:
    body = Encoder().u32(kind).u32(77).bytes_(sockaddr)
    return Encoder().u8(1).struct(1, 1, body).done()


IPV4 = (socket.AF_INET.to_bytes(2, "little") + (6800).to_bytes(2, "big")
        + socket.inet_aton("10.1.2.3") + bytes(8))
IPV6 = (socket.AF_INET6.to_bytes(2, "little") + bytes(2) + bytes(4)
        + socket.inet_pton(socket.AF_INET6, "fd00::1") + bytes(4))


@pytest.mark.parametrize("kind", [1, 2, 3])  # legacy, msgr2, any
@pytest.mark.parametrize("sockaddr, text", [
    (IPV4, "10.1.2.3:6800/77"), (IPV6, "[fd00::1]:0/77")])
def test_addresses(kind, sockaddr, text, fails_when_cut) -> None:
    data = address(sockaddr, kind)
    assert cls_lock.entity_address(Decoder(data)) == text
    fails_when_cut(lambda blob: cls_lock.entity_address(Decoder(blob)), data)


@pytest.mark.parametrize("sockaddr, text", [
    (IPV4, "10.1.2.3:6800/77"), (IPV6, "[fd00::1]:0/77")])
def test_addresses_in_the_form_before_msgr2(sockaddr, text) -> None:
    storage = (sockaddr[1::-1] + sockaddr[2:]).ljust(128, b"\0")
    data = Encoder().u8(0).u8(0).u16(0).u32(77).raw(storage).done()
    assert cls_lock.entity_address(Decoder(data)) == text
    with pytest.raises(MalformedData):
        cls_lock.entity_address(Decoder(data[:-1]))


@pytest.mark.parametrize("data", [
    address(b"", 0), address(b"\x01\x00", 1), address(IPV4[:6], 1), address(IPV6[:20], 1), b"\x07"])
def test_no_address(data) -> None:
    with pytest.raises(MalformedData):
        cls_lock.entity_address(Decoder(data))


def body_of(call) -> Decoder:
    assert call.cls == "lock"
    return Decoder(call.data).struct(1)[1]


def test_lock() -> None:
    call = cls_lock.lock("rbd_lock", True, "auto 5", "internal", "who", 30, cls_lock.RENEW)
    body = body_of(call)
    assert call.method == "lock"
    assert (body.string(), body.u8(), body.string(), body.string(), body.string(), body.utime(),
            body.u8(), body.at_end) == (
        "rbd_lock", 1, "auto 5", "internal", "who", 30 * 10**9, 1, True)
    assert cls_lock.lock("x", exclusive=False).data != cls_lock.lock("x").data


def test_unlock_and_get_info() -> None:
    body = body_of(cls_lock.unlock("rbd_lock", "auto 5"))
    assert (body.string(), body.string(), body.at_end) == ("rbd_lock", "auto 5", True)
    body = body_of(cls_lock.get_info("rbd_lock"))
    assert (body.string(), body.at_end) == ("rbd_lock", True)


def test_break_lock() -> None:
    body = body_of(cls_lock.break_lock("rbd_lock", "client.4123", "auto 5"))
    assert (body.string(), body.u8(), body.s64(), body.string(), body.at_end) == (
        "rbd_lock", 8, 4123, "auto 5", True)


@pytest.mark.parametrize("entity", ["", "client", "client.", "client.x", "nobody.1", "4123"])
def test_break_lock_of_nobody(entity) -> None:
    with pytest.raises(InvalidArgument):
        cls_lock.break_lock("rbd_lock", entity, "")


def test_entity_of_no_known_type() -> None:
    locker = Encoder().struct(1, 1, Encoder().u8(3).s64(1).string(""))
    data = Encoder().struct(1, 1, Encoder().u32(1).raw(locker.done())).done()
    with pytest.raises(MalformedData):
        cls_lock.decode_get_info(data)
