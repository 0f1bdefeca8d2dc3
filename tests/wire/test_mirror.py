import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import cls_rbd
from mirror_mgr.wire.constants import (
    ImageMode,
    MirrorImageState,
    MirrorMode,
    PeerDirection,
    StatusState,
)
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.mirror import MirrorImage, MirrorPeer, MirrorPool, SiteStatus


@pytest.fixture(params=["site a", "site b"])
def site(request, recorded, omap_of):
    entry = recorded("mirroring")[request.param]
    return entry, MirrorPool.from_omap(omap_of(entry))


def test_pool_says_what_rbd_mirror_pool_info_says(site) -> None:
    entry, pool = site
    assert pool.mode.name.lower() == entry["info"]["mode"]
    assert [(peer.uuid, peer.site_name, peer.client_name, peer.mirror_uuid,
             peer.direction.name.lower().replace("_", "-")) for peer in pool.peers] == [
        (peer["uuid"], peer["site_name"], peer["client_name"], peer["mirror_uuid"],
         peer["direction"]) for peer in entry["info"]["peers"]]


def test_one_omap_read_has_what_the_calls_return(site) -> None:
    entry, pool = site
    answers = {name: bytes.fromhex(value) for name, value in entry.items()
               if isinstance(value, str)}
    assert cls_rbd.decode_mirror_mode_get(answers["mirror_mode_get"]) == pool.mode
    assert cls_rbd.decode_mirror_uuid_get(answers["mirror_uuid_get"]) == pool.mirror_uuid
    assert cls_rbd.decode_mirror_peer_list(answers["mirror_peer_list"]) == pool.peers
    assert cls_rbd.decode_mirror_image_list(answers["mirror_image_list"]) == {
        image_id: image.global_id for image_id, image in pool.images.items()}


def test_images(site) -> None:
    entry, pool = site
    for image in entry["images"].values():
        answer = cls_rbd.decode_mirror_image_get(bytes.fromhex(image["mirror_image_get"]))
        assert answer == pool.images[image["id"]] == MirrorImage(
            image["global id"], MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
        assert answer.encode().hex() == image["mirror_image_get"]
        assert cls_rbd.decode_mirror_image_get_image_id(
            bytes.fromhex(image["mirror_image_get_image_id"])) == image["id"]


def test_peers_know_each_other(recorded, omap_of) -> None:
    a, b = (MirrorPool.from_omap(omap_of(recorded("mirroring")[name]))
            for name in ("site a", "site b"))
    assert a.peers[0].mirror_uuid == b.mirror_uuid
    assert a.peers[0].direction == PeerDirection.RX_TX
    assert a.peers[0].last_seen_ns > 0


def test_a_namespace_has_images_of_its_own(recorded, omap_of) -> None:
    pool = MirrorPool.from_omap(omap_of(recorded("mirroring")["namespace"]))
    assert pool.mode == MirrorMode.IMAGE
    assert len(pool.images) == 1
    assert pool.peers == ()


def test_status_at_the_copy(recorded) -> None:
    image = recorded("mirroring")["site b"]["images"]["plain"]
    own, = cls_rbd.decode_mirror_image_status_get(bytes.fromhex(image["mirror_image_status_get"]))
    assert own.mirror_uuid == ""
    assert own.description == image["status"]["description"]
    assert own.up and own.state == StatusState.REPLAYING
    assert image["status"]["state"] == "up+replaying"


def test_status_at_the_primary_is_that_of_the_other_site(recorded) -> None:
    image = recorded("mirroring")["site a"]["images"]["plain"]
    other, = cls_rbd.decode_mirror_image_status_get(
        bytes.fromhex(image["mirror_image_status_get"]))
    said, = image["status"]["peer_sites"]
    assert other.mirror_uuid == said["mirror_uuids"]
    assert other.description == said["description"]
    assert other.up and other.state == StatusState.REPLAYING


def status_fields(encoder: Encoder, status: SiteStatus) -> Encoder:
    if status.mirror_uuid:
        encoder.string(status.mirror_uuid)
    encoder.u8(status.state).string(status.description)
    return encoder.utime(status.last_update_ns).boolean(status.up)


def test_status_of_both_sites_and_of_release_14() -> None:
    own = SiteStatus("", StatusState.STOPPED, "local image is primary", 5, True)
    other = SiteStatus("uuid", StatusState.ERROR, "split-brain", 6)
    both = status_fields(Encoder(), own).boolean(True).u32(1)
    data = Encoder().struct(2, 1, status_fields(both, other)).done()
    assert cls_rbd.decode_mirror_image_status_get(data) == (own, other)
    image = MirrorImage("g", MirrorImageState.ENABLED, ImageMode.SNAPSHOT)
    listed = Encoder().map_({"1": image, "2": image}, Encoder.string,
                            lambda out, one: out.raw(one.encode()))
    listed.map_({"2": data}, Encoder.string, Encoder.raw)
    assert cls_rbd.decode_mirror_image_status_list(listed.done()) == (
        {"1": image, "2": image}, {"2": (own, other)})
    old = Encoder().struct(1, 1, status_fields(Encoder(), own)).done()
    assert cls_rbd.decode_mirror_image_status_get(old) == (own,)


def test_a_state_that_is_not_known() -> None:
    body = Encoder().string("uuid").u8(77).string("as of release 30").utime(6).boolean(True)
    assert SiteStatus.decode(Decoder(Encoder().struct(2, 2, body).done())) == SiteStatus(
        "uuid", StatusState.UNKNOWN, "as of release 30", 6, True)


@pytest.mark.parametrize("value", [
    MirrorImage("global", MirrorImageState.CREATING, ImageMode.JOURNAL),
    MirrorPeer("u", "site", "client.x", 7, PeerDirection.TX, "mirror", 12_000000034),
    SiteStatus("", StatusState.UNKNOWN, "remote image demoted", 3, True),
    SiteStatus("uuid", StatusState.SYNCING, "", 4)])
def test_round_trip(value, fails_when_cut) -> None:
    data = value.encode()
    assert type(value).decode(Decoder(data)) == value
    fails_when_cut(lambda blob: type(value).decode(Decoder(blob)), data)


def test_status_for_the_own_site_keeps_to_the_first_version() -> None:
    assert SiteStatus("", StatusState.ERROR, "").encode()[:2] == b"\1\1"
    assert SiteStatus("u", StatusState.ERROR, "").encode()[:2] == b"\2\2"


def test_image_and_peer_of_release_14() -> None:
    image = Encoder().struct(1, 1, Encoder().string("g").u8(1)).done()
    assert MirrorImage.decode(Decoder(image)) == MirrorImage(
        "g", MirrorImageState.ENABLED, ImageMode.JOURNAL)
    peer = Encoder().string("u").string("site").string("client").s64(-1)
    assert MirrorPeer.decode(Decoder(Encoder().struct(1, 1, peer).done())) == MirrorPeer(
        "u", "site", "client")


def test_mirroring_never_enabled() -> None:
    assert MirrorPool.from_omap({}) == MirrorPool()
    assert MirrorPool().mode == MirrorMode.DISABLED


@pytest.mark.parametrize("omap, source", [
    ({}, "ns"),
    ({"remote_namespace": Encoder().string("other").done()}, "other"),
    ({"remote_namespace": Encoder().string("").done()}, "")])
def test_the_namespace_of_the_peer(omap, source) -> None:
    assert MirrorPool.from_omap(omap).source("ns") == source


def test_a_namespace_of_the_peer_that_does_not_decode() -> None:
    """It is not taken for the one of the same name."""
    with pytest.raises(MalformedData):
        MirrorPool.from_omap({"remote_namespace": b"\5\0\0\0o"})


@pytest.mark.parametrize("mode, mirrored", [
    (MirrorMode.DISABLED, False), (MirrorMode.IMAGE, True), (MirrorMode.POOL, True),
    (MirrorMode.INIT_ONLY, False)])
def test_modes_in_which_images_are_mirrored(mode, mirrored) -> None:
    assert MirrorPool(mode=mode).is_mirrored is mirrored


def test_values_cut_short(site, omap_of) -> None:
    entry, _ = site
    whole = omap_of(entry)
    for key, value in whole.items():
        if key == "mirror_mode" or key.startswith("mirror_peer_"):
            for end in range(len(value)):
                with pytest.raises(MalformedData):
                    MirrorPool.from_omap({**whole, key: value[:end]})


def test_an_image_s_entry_that_does_not_decode_is_that_image_s_alone(site, omap_of) -> None:
    entry, pool = site
    whole = omap_of(entry)
    too_long = MirrorImage("g" * 300, MirrorImageState.ENABLED, ImageMode.SNAPSHOT).encode()
    for image_id in pool.images:
        key = f"image_{image_id}"
        for value in (b"", whole[key][:-1], too_long):
            found = MirrorPool.from_omap({**whole, key: value})
            assert found.unreadable == {image_id}
            assert {**found.images, image_id: pool.images[image_id]} == pool.images
