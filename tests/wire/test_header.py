import random

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import NO_SNAP_LIMIT, Feature, OpFeature, Protection
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.header import (
    ImageHeader,
    ParentLink,
    data_prefix,
    header_oid,
    id_oid,
    image_state_oid,
    object_map_oid,
)
from mirror_mgr.wire.snapshot import (
    GroupNamespace,
    MirrorNamespace,
    Snapshot,
    TrashNamespace,
    UserNamespace,
    encode_namespace,
)

SPECS = ["plain", "striped", "small-objects", "bare", "tenant/inside", "clone-v1", "clone-v2",
         "trashed-snapshot", "clone-of-trashed", "grouped", "plain at site b", "striped at site b"]
KINDS = {"user": UserNamespace, "mirror": MirrorNamespace, "trash": TrashNamespace,
         "group": GroupNamespace}
STATES = {"primary": 0, "demoted": 1, "non-primary": 2, "non-primary demoted": 3}
FEATURE_NAMES = {"data-pool": Feature.DATA_POOL, "exclusive-lock": Feature.EXCLUSIVE_LOCK}


@pytest.fixture(params=SPECS)
def image(request, recorded, omap_of):
    entry = recorded("headers")[request.param]
    return entry, ImageHeader.from_omap(omap_of(entry))


def test_header_says_what_rbd_info_says(image) -> None:
    entry, header = image
    info = entry["info"]
    assert header.size == info["size"]
    assert header.order == info["order"]
    assert header.object_size == info["object_size"]
    assert header.object_prefix == info["block_name_prefix"]
    assert header.object_count(header.size) == info["objects"] == entry["object count"]
    assert {f.name.lower().replace("_", "-") for f in Feature if f in header.features} == set(
        info["features"])
    assert {f.name.lower().replace("_", "-") for f in OpFeature if f in header.op_features} == set(
        info.get("op_features", ()))
    assert header.snap_limit == info.get("snapshot_limit", NO_SNAP_LIMIT)
    assert len(header.snapshots) == info["snapshot_count"]
    if Feature.STRIPING in header.features:
        assert (header.stripe_unit, header.stripe_count) == (
            info["stripe_unit"], info["stripe_count"])
    else:
        assert (header.stripe_unit, header.stripe_count) == (header.object_size, 1)
    assert (header.data_pool_id != -1) == ("data_pool" in info)
    assert {key: value.decode() for key, value in header.metadata.items()} == entry["metadata"]


def test_snapshots_are_what_rbd_snap_ls_says(image) -> None:
    entry, header = image
    assert [s.id for s in header.snapshots] == sorted(s["id"] for s in entry["snap ls"])
    for listed in entry["snap ls"]:
        snapshot = header.snapshot(listed["id"])
        assert snapshot is not None
        assert snapshot.size == listed["size"]
        assert snapshot.name == listed["name"]
        assert (snapshot.protection == Protection.PROTECTED) == (listed["protected"] == "true")
        said = listed["namespace"]
        assert isinstance(snapshot.namespace, KINDS[said["type"]])
        if said["type"] == "mirror":
            assert snapshot.namespace.state == STATES[said["state"]]
            assert snapshot.namespace.complete == said["complete"]
            assert snapshot.namespace.peer_uuids == set(said["mirror_peer_uuids"])
            if "primary_snap_id" in said:
                assert snapshot.namespace.primary_snap_id == said["primary_snap_id"]
                assert snapshot.namespace.primary_mirror_uuid == said["primary_mirror_uuid"]
        if said["type"] == "trash":
            assert snapshot.namespace.original_name == said["original_name"]


def test_parent(image) -> None:
    entry, header = image
    assert (header.parent is not None) == bool(entry["parent"])
    if header.parent is not None:
        assert header.parent.head_overlap == entry["parent"]["overlap"]
        assert header.parent.namespace == entry["parent"]["pool_namespace"]
        parents = [s.id for s in header.snapshots if s.parent_overlap]
        assert parents == list(header.snap_ids)


def test_a_clone_that_shrank_keeps_the_overlap_of_its_snapshots(recorded, omap_of) -> None:
    header = ImageHeader.from_omap(omap_of(recorded("headers")["clone-v2"]))
    assert [s.parent_overlap for s in header.snapshots] == [40 << 20, 20 << 20]
    assert header.max_object_count == 10
    assert header.object_count(header.size) == 5


def test_object_maps_have_a_cell_for_each_object(image) -> None:
    entry, header = image
    assert bool(entry["object maps"]) == bool(header.features & Feature.OBJECT_MAP)
    for name, data in entry["object maps"].items():
        size = header.size if name == "head" else header.snapshot(int(name)).size
        object_map = cls_rbd.decode_object_map_load(bytes.fromhex(data))
        assert len(object_map) == header.object_count(size)


def test_the_copy_maps_the_snapshots_of_the_primary(recorded, omap_of) -> None:
    primary, copy = (ImageHeader.from_omap(omap_of(recorded("headers")[spec]))
                     for spec in ("plain", "plain at site b"))
    newest = copy.mirror_snapshots[-1].namespace
    assert [newest.snap_seqs[s.id] for s in primary.user_snapshots] == [
        s.id for s in copy.user_snapshots]
    assert newest.primary_snap_id == primary.mirror_snapshots[-1].id
    assert newest.last_copied_object_number == copy.max_object_count


def test_what_librbd_wrote_is_what_is_encoded(image) -> None:
    entry, header = image
    for snapshot in header.snapshots:
        value = bytes.fromhex(entry["omap"][f"snapshot_{snapshot.id:016x}"])
        assert encode_namespace(snapshot.namespace) in value


def test_values_cut_short(recorded, omap_of, fails_when_cut) -> None:
    for spec in SPECS:
        for key, value in omap_of(recorded("headers")[spec]).items():
            if key.startswith("snapshot_"):
                fails_when_cut(Snapshot.decode, value)
            elif key == "parent":
                fails_when_cut(ParentLink.decode, value)


def test_header_cut_short(recorded, omap_of) -> None:
    whole = omap_of(recorded("headers")["striped"])
    for key in ("size", "order", "features", "object_prefix", "stripe_unit", "data_pool_id"):
        for end in range(len(whole[key])):
            with pytest.raises(MalformedData):
                ImageHeader.from_omap({**whole, key: whole[key][:end]})
    for key in ("size", "order", "features", "object_prefix"):
        with pytest.raises(MalformedData, match=key):
            ImageHeader.from_omap({name: whole[name] for name in whole if name != key})


def test_parent_of_an_old_release() -> None:
    body = Encoder().s64(3).string("id").u64(9).u64(1 << 20)
    assert ParentLink.decode(Encoder().struct(1, 1, body).done()) == ParentLink(
        3, "", "id", 9, 1 << 20)


def test_parent_of_a_flattened_head() -> None:
    body = Encoder().s64(3).string("").string("id").u64(9).optional(None, Encoder.u64)
    assert ParentLink.decode(Encoder().struct(2, 2, body).done()).head_overlap is None


def header_of(order: int, unit: int = 0, count: int = 1, size: int = 0) -> ImageHeader:
    return ImageHeader(size, order, Feature(0), "rbd_data.1", stripe_unit=unit, stripe_count=count)


@pytest.mark.parametrize("unit, count", [(4096, 1), (1024, 1), (1024, 3), (4096, 3), (512, 5)])
def test_object_count_is_that_of_the_striping(unit, count) -> None:
    header = header_of(12, unit, count)
    dice = random.Random(unit + count)
    for size in [0, 1, *(dice.randrange(200000) for _ in range(200))]:
        stripes = -(-size // unit)
        a_object = 4096 // unit
        used = {(stripe // (count * a_object)) * count + stripe % count
                for stripe in range(stripes)}
        assert header.object_count(size) == len(used)


def test_object_count_of_a_big_image() -> None:
    assert header_of(22).object_count(1 << 50) == 1 << 28


def test_names() -> None:
    assert header_of(22).data_object(255) == "rbd_data.1.00000000000000ff"
    assert header_oid("1f") == "rbd_header.1f"
    assert id_oid("disk") == "rbd_id.disk"
    assert object_map_oid("1f") == "rbd_object_map.1f"
    assert object_map_oid("1f", 17) == "rbd_object_map.1f.0000000000000011"
    assert image_state_oid("1f", 17, 0) == "rbd_mirror_snapshot.1f.17.0"
    assert data_prefix("1f") == "rbd_data.1f"
    assert data_prefix("1f", 2) == "rbd_data.2.1f"


def test_prefix_with_a_data_pool(recorded) -> None:
    prefix = recorded("headers")["striped"]["info"]["block_name_prefix"]
    _, pool_id, image_id = prefix.split(".")
    assert data_prefix(image_id, int(pool_id)) == prefix


def test_unknown_keys_are_left_alone(recorded, omap_of) -> None:
    whole = omap_of(recorded("headers")["plain"])
    assert ImageHeader.from_omap({**whole, "future": b"?"}) == ImageHeader.from_omap(whole)
    assert Decoder(whole["size"]).u64() == 50 << 20


@pytest.mark.parametrize("changes", [
    {"order": Encoder().u8(26)}, {"stripe_unit": Encoder().u64(0)},
    {"stripe_unit": Encoder().u64(3 << 12)}, {"stripe_count": Encoder().u64(0)}])
def test_layouts_that_no_image_has(recorded, omap_of, changes) -> None:
    omap = dict(omap_of(recorded("headers")["striped"]))
    omap.update((key, value.done()) for key, value in changes.items())
    with pytest.raises(MalformedData, match="image of"):
        ImageHeader.from_omap(omap)
