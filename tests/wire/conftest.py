"""Access to the recorded bytes."""

import json
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from mirror_mgr.errors import MalformedData

RECORDED = Path(__file__).parent / "recorded"


def load(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def omap(entry: Dict[str, Any]) -> Dict[str, bytes]:
    return {key: bytes.fromhex(value) for key, value in entry["omap"].items()}


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Any]:
    """Given the name of a file in recorded/, return its content."""
    return load


@pytest.fixture(scope="session")
def omap_of() -> Callable[[Dict[str, Any]], Dict[str, bytes]]:
    """Given a recorded object, return its omap."""
    return omap


@pytest.fixture(scope="session")
def fails_when_cut() -> Callable[[Callable[[bytes], object], bytes], None]:
    """Check that a decoder raises MalformedData, and nothing else, for each beginning of a blob."""
    def check(decode: Callable[[bytes], object], data: bytes) -> None:
        decode(data)
        for size in range(len(data)):
            with pytest.raises(MalformedData):
                decode(data[:size])

    return check
