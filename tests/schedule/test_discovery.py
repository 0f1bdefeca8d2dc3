"""Which images are gone for good: those in no list may be on their way into the trash or back."""

from typing import Any, Dict, List, Optional, Sequence

import pytest

from mirror_mgr.schedule import discovery
from mirror_mgr.schedule.levels import ImageKey


class Rbd:
    """Where no image is listed anywhere."""

    def mirror_peer_list(self, ioctx: Any) -> List[Any]:
        return []

    def namespace_list(self, ioctx: Any) -> List[str]:
        return ["ns"]

    def mirror_mode_get(self, ioctx: Any) -> int:
        return discovery.rbd.RBD_MIRROR_MODE_DISABLED

    def list2(self, ioctx: Any) -> List[Any]:
        return []

    trash_list = list2


class Ioctx:
    namespace = ""

    def set_namespace(self, namespace: str) -> None:
        self.namespace = namespace

    def close(self) -> None:
        pass


class Cluster:
    def open_ioctx2(self, pool_id: int) -> Ioctx:
        return Ioctx()


def test_an_image_is_gone_when_its_header_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_omaps(ioctx: Ioctx, oids: Sequence[str],
                   key: Optional[str] = None) -> List[Optional[Dict[str, bytes]]]:
        return [{} if (ioctx.namespace, oid) == ("ns", "rbd_header.moving") else None
                for oid in oids]

    monkeypatch.setattr(discovery.rbd, "RBD", Rbd)
    monkeypatch.setattr(discovery, "read_omaps", read_omaps)
    known = {ImageKey(2, "", "moving"), ImageKey(2, "ns", "moving"), ImageKey(2, "ns", "gone"),
             ImageKey(2, "removed namespace", "image")}
    view = discovery._read_pool(Cluster(), 2, "pool", known)
    assert view.gone == known - {ImageKey(2, "ns", "moving")}
