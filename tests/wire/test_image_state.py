import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire import image_state
from mirror_mgr.wire.constants import Feature, Protection
from mirror_mgr.wire.image_state import ImageState, SnapshotState
from mirror_mgr.wire.snapshot import GroupNamespace

STATE = ImageState(
    "name", Feature.LAYERING, 9,
    {4: SnapshotState("kept", protection=Protection.PROTECTED),
     5: SnapshotState("part", GroupNamespace(1, "g", "s"))},
    {"key": b"\xff" * 50, "a": b""})


@pytest.fixture
def states(recorded):
    return {name: [bytes.fromhex(blob) for blob in objects]
            for name, objects in recorded("image_states").items()}


def test_recorded_states(states, recorded) -> None:
    plain = [image_state.decode(objects) for name, objects in states.items()
             if name.startswith("plain@17 at site a")]
    assert plain == [ImageState(
        "plain", Feature.LAYERING | Feature.EXCLUSIVE_LOCK | Feature.OBJECT_MAP
        | Feature.DEEP_FLATTEN, 7,
        {4: SnapshotState("kept", protection=Protection.PROTECTED), 5: SnapshotState("später"),
         16: SnapshotState("third")},
        {"conf_rbd_cache": b"false", "ключ": "значение".encode()})]


def test_recorded_states_are_encoded_as_they_were(states) -> None:
    for objects in states.values():
        assert image_state.object_count(objects[0]) == len(objects)
        assert image_state.encode(image_state.decode(objects), 1 << 22) == objects


def test_cut_short(states, fails_when_cut) -> None:
    for name, (only,) in states.items():
        if not name.startswith("small-objects"):
            fails_when_cut(lambda blob: image_state.decode([blob]), only)


@pytest.mark.parametrize("size", [16, 64, 100, 1 << 22])
def test_round_trip_in_objects_of_any_size(size) -> None:
    objects = image_state.encode(STATE, size)
    assert all(len(blob) <= size for blob in objects)
    assert image_state.object_count(objects[0]) == len(objects)
    assert image_state.decode(objects) == STATE
    assert image_state.decode([*objects, b"left over"]) == STATE


def test_an_object_is_missing() -> None:
    with pytest.raises(MalformedData, match="only"):
        image_state.decode(image_state.encode(STATE, 64)[:-1])
    with pytest.raises(MalformedData):
        image_state.decode([])
