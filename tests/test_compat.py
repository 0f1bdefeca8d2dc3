"""What the managers of different releases want to be told of our connections."""

from typing import Any, List, Tuple

import pytest

pytest.importorskip("mgr_module", reason="needs ceph-mgr-modules-core")

from mirror_mgr import compat  # noqa: E402


class _Connection:
    def __init__(self, **kwargs: Any) -> None:
        pass

    def connect(self) -> None:
        pass

    def get_addrs(self) -> str:
        return "1.2.3.4:0/5"


class _Manager:
    _rados: Any = None

    def __init__(self) -> None:
        self.told: List[Tuple[Any, ...]] = []

    def get_context(self) -> None:
        return None


class _Pacific(_Manager):
    def _ceph_register_client(self, addrs: str) -> None:
        self.told.append(("register", addrs))

    def _ceph_unregister_client(self, addrs: str) -> None:
        self.told.append(("unregister", addrs))


class _Reef(_Manager):
    def _ceph_register_client(self, name: Any, addrs: str, replace: bool) -> None:
        self.told.append(("register", name, addrs, replace))

    def _ceph_unregister_client(self, name: Any, addrs: str) -> None:
        self.told.append(("unregister", name, addrs))


@pytest.mark.parametrize("manager, told", [
    (_Pacific(), [("register", "1.2.3.4:0/5"), ("unregister", "1.2.3.4:0/5")]),
    (_Reef(), [("register", None, "1.2.3.4:0/5", False), ("unregister", None, "1.2.3.4:0/5")])])
def test_a_connection_is_told_as_the_manager_takes_it(
        manager: Any, told: List[Tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.rados, "Rados", _Connection)
    cluster = compat.connect(manager)
    manager._rados = cluster
    compat.forget_rados(manager)
    assert manager.told == told
    assert manager._rados is None
