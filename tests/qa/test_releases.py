"""Which release each site of a lab has."""

import pytest

from qa import releases
from qa.errors import LabError
from qa.releases import Releases


def test_one_release_is_that_of_all_sites() -> None:
    found = releases.parse("20")
    assert found == Releases({"site-a": "20", "site-b": "20"})
    assert found.single == "20" and str(found) == "20"


def test_each_site_may_have_its_own() -> None:
    found = releases.parse("site-b=20,site-a=16")
    assert found == Releases({"site-a": "16", "site-b": "20"})
    assert found.single is None and str(found) == "site-a=16,site-b=20"


def test_the_same_at_each_site_is_one() -> None:
    assert releases.parse("site-a=18,site-b=18") == releases.parse("18")


@pytest.mark.parametrize("text, message", [
    ("21", "no release '21'"),
    ("", "no release ''"),
    ("reef", "choose from 16, 18, 20"),
    ("16,18", "no release '16,18'"),
    ("site-a=16", "site-b has none"),
    ("site-a=16,site-b=", "no release ''"),
    ("site-a=16,site-c=18", "no site 'site-c'; the sites are site-a and site-b"),
    ("site-a=16,site-a=18", "site-a is given twice"),
    ("site-a=16,site-b=18,", "no site ''"),
])
def test_what_cannot_be_is_told(text: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        releases.parse(text)


def test_the_release_is_read_from_the_version() -> None:
    assert releases.of_text("ceph version 18.2.7 (6b0e988052ec) reef (stable)\n") == "18"


def test_what_is_no_version_has_no_release() -> None:
    with pytest.raises(LabError, match="no version of Ceph: ''"):
        releases.of_text("")
