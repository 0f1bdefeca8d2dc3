import pytest

from mirror_mgr.errors import InvalidArgument, MalformedData
from mirror_mgr.wire.constants import NOSNAP, HeaderFlag, Protection, SnapState
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.snapshot import (
    GroupNamespace,
    MirrorNamespace,
    Snapshot,
    TrashNamespace,
    UnknownNamespace,
    UserNamespace,
    decode_namespace,
    encode_namespace,
)

MIRROR = MirrorNamespace(
    SnapState.NON_PRIMARY_DEMOTED, True, frozenset({"b", "a"}), "primary", 17, 40,
    {17: NOSNAP, 4: 5})
NAMESPACES = [UserNamespace(), GroupNamespace(2, "group", "snap"), TrashNamespace("old", 3), MIRROR,
              MirrorNamespace(SnapState.PRIMARY, True)]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_namespace_round_trip(namespace, fails_when_cut) -> None:
    data = encode_namespace(namespace)
    assert decode_namespace(Decoder(data)) == namespace
    fails_when_cut(lambda blob: decode_namespace(Decoder(blob)), data)
    assert hash(namespace) == hash(decode_namespace(Decoder(data)))


def test_namespace_of_a_newer_release() -> None:
    data = Encoder().struct(2, 1, Encoder().u32(9).string("?")).done()
    namespace = decode_namespace(Decoder(data))
    assert namespace == UnknownNamespace(9)
    with pytest.raises(InvalidArgument):
        encode_namespace(namespace)


def test_mirror_namespace_of_an_unknown_state() -> None:
    data = bytearray(encode_namespace(MIRROR))
    data[10] = 77
    with pytest.raises(MalformedData):
        decode_namespace(Decoder(bytes(data)))


@pytest.mark.parametrize("state, primary, demoted", [
    (SnapState.PRIMARY, True, False), (SnapState.PRIMARY_DEMOTED, True, True),
    (SnapState.NON_PRIMARY, False, False), (SnapState.NON_PRIMARY_DEMOTED, False, True)])
def test_states(state, primary, demoted) -> None:
    namespace = MirrorNamespace(state, True)
    assert namespace.is_primary is primary
    assert namespace.is_non_primary is not primary
    assert namespace.is_demoted is demoted


def parent(version: int, pool_id: int = 1, snap_id: int = 4) -> Encoder:
    body = Encoder().s64(pool_id)
    if version >= 2:
        body.string("namespace")
    body.string("parent id").u64(snap_id)
    if version >= 2:
        body.optional(4096, Encoder.u64)
    else:
        body.u64(4096)
    return Encoder().struct(version, version, body)


def before_release_14(version: int, link: Encoder) -> bytes:
    """The form that holds features and parent; what follows grew with the versions."""
    body = Encoder().u64(7).string("snap").u64(123).u64(61).raw(link.done())
    body.u8(Protection.PROTECTED).u64(1)
    if version >= 5:
        body.raw(encode_namespace(TrashNamespace("x", 0)))
    if version >= 6:
        body.utime(99)
    if version >= 7:
        body.u32(3)
    if version >= 8:
        body.optional(None, Encoder.u64)
    return Encoder().struct(version, 1, body).done()


@pytest.mark.parametrize("version", [4, 5, 6, 7])
def test_snapshot_of_an_old_release(version, fails_when_cut) -> None:
    data = before_release_14(version, parent(1))
    assert Snapshot.decode(data) == Snapshot(
        7, "snap", 123, Protection.PROTECTED, HeaderFlag.OBJECT_MAP_INVALID,
        TrashNamespace("x", 0) if version >= 5 else UserNamespace(),
        99 if version >= 6 else 0, 3 if version >= 7 else 0, 4096)
    fails_when_cut(Snapshot.decode, data)


def test_snapshot_of_version_8_in_the_old_form_has_its_overlap_at_the_end() -> None:
    assert Snapshot.decode(before_release_14(8, parent(2))).parent_overlap is None


@pytest.mark.parametrize("link", [parent(1, pool_id=-1), parent(1, snap_id=NOSNAP)])
def test_snapshot_of_an_old_release_with_no_parent(link) -> None:
    assert Snapshot.decode(before_release_14(6, link)).parent_overlap is None
