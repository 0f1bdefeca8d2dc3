"""What a lab remembers of itself."""

from pathlib import Path

import pytest

from qa import choice
from qa.errors import LabError
from qa.releases import Releases
from qa.settings import Settings


def settings(releases: Releases) -> Settings:
    return Settings(["site-a", "site-b"], 20000, False, 1, True, True, releases.by_site)


@pytest.fixture
def mixed() -> Releases:
    return Releases({"site-a": "16", "site-b": "18"})


def test_it_remembers_its_releases(tmp_path: Path, mixed: Releases) -> None:
    settings(mixed).save(tmp_path)
    assert Settings.load(tmp_path) == settings(mixed)
    assert Settings.load(tmp_path).chosen() == mixed


def test_there_may_be_no_lab(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"{tmp_path}: there is no lab"):
        Settings.load(tmp_path)


def test_a_lab_of_other_releases_than_those_asked_for_is_refused(
        tmp_path: Path, mixed: Releases) -> None:
    settings(mixed).save(tmp_path)
    with pytest.raises(LabError, match="of release site-a=16,site-b=18, not 20"):
        choice.enter("20", str(tmp_path))
