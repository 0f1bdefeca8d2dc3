from typing import Any, Sequence

import pytest

from mirror_mgr.admin.peer_probe import LookAtImages, SeenImage, Sight
from mirror_mgr.admin.resync import resync
from mirror_mgr.admin.specs import parse_image
from mirror_mgr.admin.token import Token
from mirror_mgr.errors import DeadlineExceeded, InvalidArgument, NotPermitted

from .fakes import IMAGE, FakeImage, FakeSite

X = parse_image("p/x")


def seeing(**sight: Any) -> LookAtImages:
    def look(login: Token, pool: str, namespace: str, global_ids: Sequence[str]) -> Sight:
        assert login == Token("", "c", "KEY", "10.0.0.2")
        assert (pool, namespace, global_ids) == ("p", "", ("global-x",))
        return Sight(**sight)
    return look


def silent(*args: Any) -> Sight:
    raise DeadlineExceeded("no answer")


def test_the_peer_has_the_primary(site: FakeSite, copied: FakeImage) -> None:
    assert resync(site, X, False, seeing(images={"global-x": SeenImage(True)})) == "global-x"
    assert copied.flagged


@pytest.mark.parametrize("look, says", [
    (seeing(images={"global-x": SeenImage(False)}), "not primary at the peer site either"),
    (seeing(), "no such mirrored image"),
    (seeing(errno=13), "EACCES"),
    (silent, "does not answer"),
])
def test_refused_unless_forced(site: FakeSite, copied: FakeImage, look: LookAtImages,
                               says: str) -> None:
    with pytest.raises(NotPermitted, match=f"{says}.*--force"):
        resync(site, X, False, look)
    assert not copied.flagged
    resync(site, X, True, look)
    assert copied.flagged


def test_a_peer_that_cannot_be_looked_at(site: FakeSite, copied: FakeImage) -> None:
    site.pools["p"].attributes.clear()
    with pytest.raises(NotPermitted, match="no peer"):
        resync(site, X, False, silent)


def test_a_primary_is_never_resynced(site: FakeSite, copied: FakeImage) -> None:
    copied.primary = True
    with pytest.raises(InvalidArgument, match="image demote p/x"):
        resync(site, X, True, silent)


def test_the_peer_s_namespace_is_looked_at(site: FakeSite, copied: FakeImage) -> None:
    pool = site.pools["p"]
    pool.modes["ns"], pool.remotes["ns"] = IMAGE, "other"
    pool.images["ns", "x"] = copied
    asked = []

    def look(login: Token, *where: Any) -> Sight:
        asked.append(where)
        return Sight(images={"global-x": SeenImage(True)})

    resync(site, parse_image("p/ns/x"), False, look)
    assert asked == [("p", "other", ("global-x",))]
