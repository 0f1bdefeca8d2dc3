"""The arguments as librbd encodes them, and the answers of a real OSD."""

import pytest

from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import (
    NO_SNAP_LIMIT,
    NOSNAP,
    ImageMode,
    MirrorImageState,
    ObjectState,
    PeerDirection,
    StatusState,
    TrashSource,
    TrashState,
)
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.mirror import MirrorImage, SiteStatus
from mirror_mgr.wire.object_map import ObjectMap
from mirror_mgr.wire.snapshot import UserNamespace, encode_namespace
from mirror_mgr.wire.trash import TrashEntry

IMAGE = MirrorImage("g", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
STATUS = SiteStatus("", StatusState.REPLAYING, "idle")
TRASHED = TrashEntry(TrashSource.MIRRORING, "name", 1, 2)
MAP = ObjectMap(bytes([1, 3]))
PAGE = (Encoder().string("after").u64(10), ("after", 10))


def encoded() -> Encoder:
    return Encoder()


CALLS = [
    ("mirror_uuid_get", encoded(), ()),
    ("mirror_mode_get", encoded(), ()),
    ("mirror_peer_list", encoded(), ()),
    ("mirror_peer_set_direction", encoded().string("uuid").u8(2), ("uuid", PeerDirection.RX_TX)),
    ("mirror_peer_ping", encoded().string("b").string("uuid").u8(1), ("b", "uuid")),
    ("mirror_image_list", *PAGE),
    ("mirror_image_get", encoded().string("1"), ("1",)),
    ("mirror_image_get_image_id", encoded().string("g"), ("g",)),
    ("mirror_image_set", encoded().string("1").raw(IMAGE.encode()), ("1", IMAGE)),
    ("mirror_image_remove", encoded().string("1"), ("1",)),
    ("mirror_image_status_set", encoded().string("g").raw(STATUS.encode()), ("g", STATUS)),
    ("mirror_image_status_get", encoded().string("g"), ("g",)),
    ("mirror_image_status_list", *PAGE),
    ("mirror_image_status_remove", encoded().string("g"), ("g",)),
    ("mirror_instances_list", encoded(), ()),
    ("namespace_list", *PAGE),
    ("dir_list", *PAGE),
    ("dir_get_id", encoded().string("n"), ("n",)),
    ("dir_get_name", encoded().string("1"), ("1",)),
    ("dir_add_image", encoded().string("n").string("1"), ("n", "1")),
    ("dir_remove_image", encoded().string("n").string("1"), ("n", "1")),
    ("dir_rename_image", encoded().string("n").string("m").string("1"), ("n", "m", "1")),
    ("set_id", encoded().string("1"), ("1",)),
    ("get_id", encoded(), ()),
    ("create", encoded().u64(9).u8(22).u64(61).string("p").s64(-1), (9, 22, 61, "p")),
    ("create", encoded().u64(9).u8(22).u64(189).string("p").s64(3), (9, 22, 189, "p", 3)),
    ("set_stripe_unit_count", encoded().u64(4096).u64(3), (4096, 3)),
    ("set_features", encoded().u64(1024).u64(1024), (1024, 1024)),
    ("set_size", encoded().u64(9), (9,)),
    ("set_flags", encoded().u64(1).u64(3).u64(NOSNAP), (1, 3)),
    ("op_features_set", encoded().u64(2).u64(2), (2, 2)),
    ("snapshot_add", encoded().string("s").u64(4).raw(encode_namespace(UserNamespace())),
     ("s", 4, UserNamespace())),
    ("snapshot_remove", encoded().u64(4), (4,)),
    ("snapshot_rename", encoded().u64(4).string("t"), (4, "t")),
    ("snapshot_set_limit", encoded().u64(2**64 - 1), (NO_SNAP_LIMIT,)),
    ("set_protection_status", encoded().u64(4).u8(2), (4, 2)),
    ("mirror_image_snapshot_set_copy_progress", encoded().u64(4).u8(1).u64(7), (4, True, 7)),
    ("mirror_image_snapshot_unlink_peer", encoded().u64(4).string("u"), (4, "u")),
    ("metadata_set", encoded().u32(1).string("k").bytes_(b"v"), ({"k": b"v"},)),
    ("metadata_remove", encoded().string("k"), ("k",)),
    ("metadata_list", *PAGE),
    ("parent_attach", encoded().struct(1, 1, encoded().s64(2).string("ns").string("1").u64(4))
     .u64(99).u8(0), (2, "ns", "1", 4, 99)),
    ("parent_detach", encoded(), ()),
    ("child_attach", encoded().u64(4).struct(2, 1, encoded().s64(2).string("1").string("ns")),
     (4, 2, "ns", "1")),
    ("child_detach", encoded().u64(4).struct(2, 1, encoded().s64(2).string("1").string("ns")),
     (4, 2, "ns", "1")),
    ("add_child", encoded().s64(2).string("1").u64(4).string("2"), (2, "1", 4, "2")),
    ("get_children", encoded().s64(2).string("1").u64(4), (2, "1", 4)),
    ("snapshot_trash_add", encoded().u64(4), (4,)),
    ("remove_child", encoded().s64(2).string("1").u64(4).string("2"), (2, "1", 4, "2")),
    ("object_map_load", encoded(), ()),
    ("object_map_save", encoded().raw(MAP.encode()), (MAP,)),
    ("object_map_resize", encoded().u64(5).u8(0), (5,)),
    ("object_map_update", encoded().u64(1).u64(3).u8(1).u8(0), (1, 3, ObjectState.EXISTS)),
    ("object_map_update", encoded().u64(1).u64(3).u8(1).u8(1).u8(3), (1, 3, 1, 3)),
    ("object_map_snap_add", encoded(), ()),
    ("object_map_snap_remove", encoded().raw(MAP.encode()), (MAP,)),
    ("trash_add", encoded().string("1").raw(TRASHED.encode()), ("1", TRASHED)),
    ("trash_remove", encoded().string("1"), ("1",)),
    ("trash_list", *PAGE),
]


@pytest.mark.parametrize("method, data, arguments", CALLS)
def test_arguments(method, data, arguments) -> None:
    assert getattr(cls_rbd, method)(*arguments) == ("rbd", method, data.done())


def test_state_of_a_directory() -> None:
    assert cls_rbd.dir_state_assert_ready() == ("rbd", "dir_state_assert", bytes(4))


@pytest.fixture
def listings(recorded):
    return recorded("listings")


def test_listings(listings, recorded) -> None:
    answer = {name: bytes.fromhex(value) for name, value in listings.items()
              if isinstance(value, str)}
    images = cls_rbd.decode_dir_list(answer["dir_list"])
    plain_id = listings["plain"]["id"]
    assert sorted(images) == sorted(listings["ls"])
    assert images["plain"] == plain_id
    assert cls_rbd.decode_dir_get_id(answer["dir_get_id"]) == plain_id
    assert cls_rbd.decode_get_id(answer["get_id"]) == plain_id
    assert cls_rbd.decode_namespace_list(answer["namespace_list"]) == ["tenant"]
    instances = bytes.fromhex(recorded("leader")["mirror_instances_list"])
    assert len(cls_rbd.decode_mirror_instances_list(instances)) == 1


def test_trash(listings) -> None:
    entries = cls_rbd.decode_trash_list(bytes.fromhex(listings["trash_list"]))
    said, = listings["trash ls"]
    entry = entries[said["id"]]
    assert (entry.name, entry.source, entry.state) == (
        "unwanted", TrashSource.USER, TrashState.NORMAL)
    assert entry.deferment_end_ns // 10**9 == 2208988799  # 2039-12-31 23:59:59
    blob = Encoder().u32(1).string(said["id"]).raw(entry.encode()).done()
    assert blob.hex() == listings["trash_list"]


def test_trash_entry_of_release_12(fails_when_cut) -> None:
    body = Encoder().u8(1).string("n").utime(5).utime(6)
    data = Encoder().struct(1, 1, body).done()
    assert TrashEntry.decode(Decoder(data)) == TrashEntry(TrashSource.MIRRORING, "n", 5, 6)
    fails_when_cut(lambda blob: TrashEntry.decode(Decoder(blob)), data)


@pytest.mark.parametrize("name", ["dir_list", "dir_get_id", "get_id", "namespace_list",
                                  "trash_list"])
def test_answers_cut_short(listings, name, fails_when_cut) -> None:
    fails_when_cut(getattr(cls_rbd, f"decode_{name}"), bytes.fromhex(listings[name]))


@pytest.mark.parametrize("name", ["mirror_image_list", "mirror_peer_list", "mirror_uuid_get",
                                  "mirror_mode_get"])
def test_answers_of_mirroring_cut_short(recorded, name, fails_when_cut) -> None:
    answer = recorded("mirroring")["site a"][name]
    fails_when_cut(getattr(cls_rbd, f"decode_{name}"), bytes.fromhex(answer))


def test_other_answers() -> None:
    assert cls_rbd.decode_metadata_list(
        Encoder().u32(1).string("k").bytes_(b"v").done()) == {"k": b"v"}
    assert cls_rbd.decode_dir_get_name(Encoder().string("n").done()) == "n"
