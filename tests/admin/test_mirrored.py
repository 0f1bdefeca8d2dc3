"""Mirrored images as RADOS holds them, from what the OSD answers."""

from typing import Any, Dict, Iterable, List, Optional, Tuple

import pytest
import rados
import rbd

from mirror_mgr.admin import headers, mirrored
from mirror_mgr.wire.constants import ImageMode, MirrorImageState, StatusState
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.header import ImageHeader
from mirror_mgr.wire.mirror import MirrorImage, SiteStatus
from tests.replay.headers import copied, demoted, primary, replica, writable

from .fakes import failure, status_of

DEMOTED = SiteStatus("", StatusState.UNKNOWN, "remote image demoted", 5, True)


class Pool:
    """Stands for rados.Ioctx."""

    def __init__(self, images: Dict[str, MirrorImage]) -> None:
        self.images = images
        self.asked: List[str] = []

    def execute(self, oid: str, cls: str, method: str, data: bytes,
                length: int) -> Tuple[int, bytes]:
        self.asked.append(method)
        if method == "mirror_image_status_list":
            return 0, self.page(Decoder(data))
        name = Decoder(data).string()
        if method == "mirror_image_get" and name in self.images:
            return 0, self.images[name].encode()
        if method == "mirror_image_status_get" and name.startswith("global"):
            return 0, status_of(DEMOTED)
        raise failure(rados.ObjectNotFound, 2)

    def page(self, arguments: Decoder) -> bytes:
        after, count = arguments.string(), arguments.u64()
        found = {key: self.images[key] for key in sorted(self.images) if key > after}
        found = dict(list(found.items())[:count])
        out = Encoder().map_(found, Encoder.string, lambda out, one: out.raw(one.encode()))
        return out.map_({key: status_of(DEMOTED) for key in found if key != "00"},
                        Encoder.string, Encoder.raw).done()


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Dict[str, ImageHeader]:
    found: Dict[str, ImageHeader] = {}

    class Names:
        def list2(self, ioctx: Any) -> List[Dict[str, str]]:
            return [{"id": "00", "name": "first"}]

    def read(ioctx: Any, ids: Iterable[str]) -> Dict[str, ImageHeader]:
        return {image_id: found[image_id] for image_id in ids if image_id in found}

    def no_journals(ioctx: Any, oids: List[str]) -> List[Optional[Dict[str, bytes]]]:
        return [None for _ in oids]

    monkeypatch.setattr(rbd, "RBD", Names)
    monkeypatch.setattr(headers, "read", read)
    monkeypatch.setattr(mirrored, "read_omaps", no_journals)
    return found


def image(number: int, state: MirrorImageState = MirrorImageState.ENABLED,
          mode: ImageMode = ImageMode.SNAPSHOT) -> MirrorImage:
    return MirrorImage(f"global-{number}", state, mode)


def test_all_pages_are_read(known: Dict[str, ImageHeader]) -> None:
    pool = Pool({f"{number:02x}": image(number) for number in range(200)})
    found = {one.id: one for one in mirrored.read(pool)}
    assert len(found) == 200 and pool.asked == ["mirror_image_status_list"] * 2
    assert (found["00"].name, found["00"].statuses) == ("first", ())
    assert (found["07"].name, found["07"].statuses) == ("07", (DEMOTED,))


def test_a_pool_that_mirrors_nothing() -> None:
    class Nothing(Pool):
        def page(self, arguments: Decoder) -> bytes:
            raise failure(rados.ObjectNotFound, 2)

    assert mirrored.read(Nothing({})) == []


@pytest.mark.parametrize("header, is_primary", [
    (writable(primary(4)), True), (writable(copied(3, of=9), primary(4)), True),
    (replica(primary(3), demoted(4)), False), (replica(copied(4, of=9)), False),
    (writable(), False), (None, False)])
def test_who_is_primary(known: Dict[str, ImageHeader], header: Optional[ImageHeader],
                        is_primary: bool) -> None:
    if header is not None:
        known["1"] = header
    assert [one.primary for one in mirrored.read(Pool({"1": image(1)}))] == [is_primary]
    one = mirrored.find(Pool({"1": image(1)}), "1", "x")
    assert one is not None and (one.primary, one.name) == (is_primary, "x")


def test_one_image(known: Dict[str, ImageHeader]) -> None:
    pool = Pool({"1": image(1), "2": image(2, MirrorImageState.DISABLED),
                 "3": image(3, MirrorImageState.CREATING),
                 "4": image(4, mode=ImageMode.JOURNAL)})
    known["3"] = writable(primary(4))
    one = mirrored.find(pool, "1", "x")
    assert one is not None and (one.global_id, one.statuses) == ("global-1", (DEMOTED,))
    assert mirrored.find(pool, "2", "x") is None
    assert mirrored.find(pool, "5", "x") is None
    assert [(one.id, one.primary) for one in mirrored.read(pool)] == [
        ("1", False), ("3", False), ("4", False)]
