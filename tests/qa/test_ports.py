"""Labs that run side by side get ports of their own."""

import socket
from pathlib import Path

import pytest

from qa import ports
from qa.errors import LabError


@pytest.fixture(autouse=True)
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the way of real labs, also with the ports."""
    monkeypatch.setattr(ports, "CLAIMS", tmp_path / "claims")
    monkeypatch.setattr(ports, "LOWEST", 15000)
    monkeypatch.setattr(ports, "ephemeral_start", lambda: 15040)


def lab(tmp_path: Path, name: str) -> Path:
    directory = tmp_path / name
    directory.mkdir()
    return directory


def test_ranges_do_not_overlap(tmp_path: Path) -> None:
    first = ports.claim(lab(tmp_path, "one"), 10)
    second = ports.claim(lab(tmp_path, "two"), 10)
    assert abs(first - second) >= 10


def test_released_range_is_free_again(tmp_path: Path) -> None:
    first = ports.claim(lab(tmp_path, "one"), 10)
    ports.release(tmp_path / "one")
    assert ports.claim(lab(tmp_path, "two"), 10) == first


def test_lab_without_directory_holds_nothing(tmp_path: Path) -> None:
    first = ports.claim(lab(tmp_path, "one"), 10)
    (tmp_path / "one").rmdir()
    assert ports.claim(lab(tmp_path, "two"), 10) == first


def test_range_with_a_listener_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 15005))
        listener.listen()
        assert ports.claim(lab(tmp_path, "one"), 10) == 15010


def test_claimed_range_cannot_be_asked_for(tmp_path: Path) -> None:
    first = ports.claim(lab(tmp_path, "one"), 10)
    with pytest.raises(LabError, match=f"from {first + 5} on"):
        ports.claim(lab(tmp_path, "two"), 10, first + 5)


def test_no_range_is_left(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no 50 free ports"):
        ports.claim(lab(tmp_path, "one"), 50)
