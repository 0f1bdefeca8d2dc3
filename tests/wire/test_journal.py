import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import cls_journal, journal
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.journal import (
    Client,
    ClientState,
    ImageClientData,
    ObjectPosition,
    OtherClientData,
    PeerClientData,
    PeerState,
    Predecessor,
    SyncPoint,
    Tag,
    TagData,
)
from mirror_mgr.wire.snapshot import GroupNamespace


@pytest.fixture
def answers(recorded):
    """What cls_journal answered, by the moment of the recording and the method."""
    return {moment: {method: bytes.fromhex(data) for method, data in entry["answers"].items()}
            for moment, entry in recorded("journals").items()}


@pytest.fixture
def uuid_b(recorded) -> str:
    return bytes.fromhex(recorded("journals")["promoted at site b"]["mirror uuid"]).decode()


def test_clients_and_their_positions(answers, recorded, uuid_b) -> None:
    own, peer = cls_journal.decode_client_list(answers["demoted"]["client_list"])
    positions = (ObjectPosition(0, 7, 0), ObjectPosition(3, 5, 3), ObjectPosition(2, 5, 2),
                 ObjectPosition(1, 5, 1))
    assert own == Client("", own.data, positions, ClientState.CONNECTED)
    assert own.front == ObjectPosition(0, 7, 0)
    assert journal.decode_client_data(own.data) == ImageClientData(0, False)
    assert (peer.id, peer.positions) == (uuid_b, positions)
    copy_id = recorded("journals")["promoted at site b"]["image id"]
    data = journal.decode_client_data(peer.data)
    assert data == PeerClientData(copy_id, PeerState.REPLAYING, 4, snap_seqs={5: 4})


def test_one_client(answers) -> None:
    for moment in answers.values():
        assert (cls_journal.decode_get_client(moment["get_client"])
                == cls_journal.decode_client_list(moment["client_list"])[0])


def test_tags(answers) -> None:
    valid = Predecessor("", True, 5, 3)
    assert cls_journal.decode_tag_list(answers["demoted"]["tag_list"]) == (
        Tag(5, 0, TagData("", Predecessor("", True, 4, 1))),
        Tag(6, 0, TagData("", valid)),
        Tag(7, 0, TagData(journal.ORPHAN, valid)))
    [promoted] = cls_journal.decode_tag_list(answers["promoted at site b"]["tag_list"])
    assert promoted == Tag(3, 0, TagData("", Predecessor(journal.ORPHAN, True, 2, 1)))
    assert promoted.owner == ""


def test_numbers(answers) -> None:
    said = answers["demoted"]
    assert cls_journal.decode_u8(said["get_order"]) == 24
    assert cls_journal.decode_u8(said["get_splay_width"]) == 4
    assert cls_journal.decode_get_pool_id(said["get_pool_id"]) == -1
    assert cls_journal.decode_u64(said["get_minimum_set"]) == 0
    assert cls_journal.decode_u64(said["get_active_set"]) == 0
    assert cls_journal.decode_u64(said["get_next_tag_tid"]) == 8


def test_what_was_recorded_is_encoded_as_it_was(recorded) -> None:
    for moment in recorded("journals").values():
        for key, value in moment["omap"].items():
            blob = bytes.fromhex(value)
            if key.startswith("client_"):
                client = Client.decode(Decoder(blob))
                data = journal.decode_client_data(client.data)
                assert data.encode() == client.data
                assert journal.encode_positions(client.positions) in blob
            elif key.startswith("tag_"):
                tag = Tag.decode(Decoder(blob))
                assert key == f"tag_{tag.tid:016x}"
                assert Encoder().bytes_(tag.data.encode()).done() in blob


def test_cut_short(answers, fails_when_cut) -> None:
    said = answers["demoted"]
    fails_when_cut(cls_journal.decode_client_list, said["client_list"])
    fails_when_cut(cls_journal.decode_tag_list, said["tag_list"])
    for client in cls_journal.decode_client_list(said["client_list"]):
        fails_when_cut(journal.decode_client_data, client.data)


def test_a_sync_under_way() -> None:
    data = PeerClientData("id", PeerState.SYNCING, 7, (
        SyncPoint(".rbd-mirror.x.y", object_number=3),
        SyncPoint("other", "from", None, GroupNamespace(1, "g", "s"))), {2: 3})
    assert journal.decode_client_data(data.encode()) == data


def test_sync_points_of_version_1_have_no_namespace() -> None:
    body = Encoder().u32(1).string("id").u32(0).u64(7).u32(1).string("point").string("")
    body.boolean(True).u64(3).u32(0)
    assert journal.decode_client_data(Encoder().struct(1, 1, body).done()) == PeerClientData(
        "id", PeerState.SYNCING, 7, (SyncPoint("point", object_number=3),))


def test_other_clients_and_unknown_states() -> None:
    cli = Encoder().struct(2, 1, Encoder().u32(2)).done()
    assert journal.decode_client_data(cli) == OtherClientData(2)
    with pytest.raises(MalformedData):
        journal.decode_client_data(
            Encoder().struct(2, 1, Encoder().u32(1).string("id").u32(9)).done())


def test_arguments_that_no_recording_shows() -> None:
    assert cls_journal.create(24, 4).data == bytes((24, 4)) + b"\xff" * 8
    assert cls_journal.tag_list("a", 5).data == (
        Encoder().u64(0).u64(64).string("a").u8(1).u64(5).done())
    assert cls_journal.tag_list("a").data[-1] == 0
    assert cls_journal.tag_create(3, 2**64 - 1, TagData("x")).data == (
        Encoder().u64(3).u64(2**64 - 1).bytes_(TagData("x").encode()).done())


def test_names() -> None:
    assert journal.journal_oid("abc") == "journal.abc"
    assert journal.journal_data_oid(2, "abc", 10) == "journal_data.2.abc.10"


def test_a_header_read_whole(recorded, answers, uuid_b) -> None:
    for moment, entry in recorded("journals").items():
        omap = {key: bytes.fromhex(value) for key, value in entry["omap"].items()}
        header = journal.JournalHeader.from_omap(omap)
        assert (header.splay_width, header.order, header.pool_id) == (4, 24, -1)
        assert (header.minimum_set, header.active_set) == (0, 0)
        said = answers[moment]
        assert header.next_tag_tid == cls_journal.decode_u64(said["get_next_tag_tid"])
        assert tuple(header.clients.values()) == cls_journal.decode_client_list(
            said["client_list"])
        assert header.tags[-1] == cls_journal.decode_tag_list(said["tag_list"])[-1]
        assert header.last_tag == header.tags[-1]
        assert header.is_primary == (moment != "demoted")
        assert header.peer("nobody") is None
        assert (header.peer(uuid_b) is not None) == (moment in ("replayed", "demoted"))


def test_a_header_that_lacks_something(recorded) -> None:
    omap = {key: bytes.fromhex(value)
            for key, value in recorded("journals")["demoted"]["omap"].items()}
    for key in ("splay_width", "order", "pool_id", "minimum_set", "active_set", "next_tag_tid"):
        with pytest.raises(MalformedData, match=key):
            journal.JournalHeader.from_omap({k: v for k, v in omap.items() if k != key})
    del omap["client_"]
    with pytest.raises(MalformedData, match="no client"):
        _ = journal.JournalHeader.from_omap(omap).image
    with pytest.raises(MalformedData, match="no mirror peer"):
        journal.JournalHeader.from_omap(
            {**omap, "client_": bytes.fromhex(
                recorded("journals")["demoted"]["omap"]["client_"])}).peer("")


@pytest.mark.parametrize(("key", "value"), [("splay_width", 0), ("order", 11), ("order", 65)])
def test_a_journal_that_no_image_has(recorded, omap_of, key, value) -> None:
    omap = dict(omap_of(recorded("journals")["demoted"]))
    omap[key] = Encoder().u8(value).done()
    with pytest.raises(MalformedData, match="journal of"):
        journal.JournalHeader.from_omap(omap)


def test_no_entry_is_longer_than_an_object(recorded, omap_of) -> None:
    header = journal.JournalHeader.from_omap(omap_of(recorded("journals")["demoted"]))
    assert header.longest_entry == 1 << header.order
