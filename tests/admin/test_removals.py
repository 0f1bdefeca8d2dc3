"""Confirming removals."""

from typing import Any

import pytest

from mirror_mgr.admin import removals
from mirror_mgr.admin.specs import parse_pool
from mirror_mgr.errors import NotSupported
from mirror_mgr.worker.removal_rules import CONFIRMED, Record, Records


def test_what_a_later_version_confirmed_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Records({"g": Record(1.0, True, "disk")}, later={CONFIRMED: "a later one wrote it"})
    monkeypatch.setattr(removals, "_records", lambda ioctx: held)
    nothing: Any = None  # to write with
    with pytest.raises(NotSupported, match="pool 'p': a later one wrote it"):
        removals._confirm(nothing, parse_pool("p"))
