from typing import Any, Dict, List

import pytest

from mirror_mgr.admin import promotion
from mirror_mgr.admin.forks import Mark
from mirror_mgr.admin.peer_probe import LookAtImages, SeenImage, Sight
from mirror_mgr.admin.specs import ImageSpec, parse_image, parse_pool
from mirror_mgr.admin.token import Token
from mirror_mgr.errors import Busy, DeadlineExceeded, InvalidArgument, MirrorError
from mirror_mgr.wire.constants import SnapState, StatusState
from mirror_mgr.wire.encoding import Decoder
from mirror_mgr.wire.mirror import SiteStatus
from tests.replay import headers

from .fakes import IMAGE, FakeImage, FakeSite, status_of

X = parse_image("p/x")


def seeing(*marks: Mark) -> LookAtImages:
    seen = SeenImage(bool(marks) and marks[-1].state == SnapState.PRIMARY, marks)
    return lambda *asked: Sight(mirror_uuid="THERE", images={"global-x": seen})


def silent(*asked: Any) -> Sight:
    raise DeadlineExceeded("no answer")


def forced(failures: Dict[ImageSpec, MirrorError]) -> promotion.Forced:
    return lambda specs: {spec: failures[spec] for spec in specs if spec in failures}


def test_promote(site: FakeSite, copied: FakeImage) -> None:
    with pytest.raises(Busy, match="image promote p/x --force"):
        promotion.promote(site, X, False, forced({}), seeing())
    promotion.promote(site, X, True, forced({}), seeing())
    with pytest.raises(MirrorError, match="crashed"):
        promotion.promote(site, X, True, forced({X: MirrorError("crashed")}), seeing())
    copied.primary = True
    with pytest.raises(InvalidArgument, match="primary here already"):
        promotion.promote(site, X, True, forced({X: MirrorError("not asked")}), silent)


def test_promote_all(site: FakeSite, copied: FakeImage) -> None:
    pool = site.pools["p"]
    for name, primary in (("x", False), ("y", False), ("z", True)):
        pool.images["", name] = FakeImage(primary, mirrored=True)
    count, failures = promotion.promote_all(site, parse_pool("p"), False, forced({}), seeing())
    assert (count, sorted(str(spec) for spec in failures)) == (2, ["p/x", "p/y"])
    error = MirrorError("crashed")
    assert promotion.promote_all(site, parse_pool("p"), True, forced({X: error}), silent) == (
        2, {X: error})


def test_what_is_primary_at_the_peer_is_not_promoted_in_journal_mode_either(
        site: FakeSite, copied: FakeImage) -> None:
    def look(primary: bool) -> LookAtImages:
        return lambda *asked: Sight(images={"global-x": SeenImage(primary)})

    with pytest.raises(Busy, match="it is primary at the other site; demote it there"):
        promotion.promote(site, X, False, forced({}), look(True))
    with pytest.raises(Busy, match="its demotion there has not come over"):  # as librbd says
        promotion.promote(site, X, False, forced({}), look(False))


def told(site: FakeSite) -> List[str]:
    """Whose statuses were written."""
    return [Decoder(data).string() for _, _, method, data in site.pools["p"].executed
            if method == "mirror_image_status_set"]


def test_what_a_dead_worker_said_counts_no_more(site: FakeSite, copied: FakeImage) -> None:
    pool = site.pools["p"]
    promotion.promote(site, X, True, forced({}), silent)
    assert told(site) == ["global-x"]
    pool.executed.clear()
    pool.images["", "y"] = FakeImage(False, mirrored=True)
    promotion.promote_all(site, parse_pool("p"), True, forced({X: MirrorError("crashed")}), silent)
    assert told(site) == ["global-y"]
    pool.executed.clear()
    pool.answers["mirror_image_status_get"] = status_of(
        SiteStatus("", StatusState.REPLAYING, "replaying", 5, up=True))
    promotion.promote(site, X, True, forced({}), silent)
    assert told(site) == []


def test_not_mirrored(site: FakeSite, copied: FakeImage) -> None:
    copied.mirrored = False
    with pytest.raises(InvalidArgument, match="not enabled"):
        promotion.promote(site, X, False, forced({}), silent)


def demote(copied: FakeImage) -> None:
    """As it was demoted here, in second 4."""
    copied.header = headers.replica(headers.demoted(4))


@pytest.mark.parametrize("look, says", [
    (seeing(Mark(9, SnapState.NON_PRIMARY_DEMOTED, "HERE", 4), Mark(12, SnapState.PRIMARY)),
     "it is primary at the other site"),
    (seeing(Mark(9, SnapState.NON_PRIMARY_DEMOTED, "HERE", 4), Mark(
        13, SnapState.PRIMARY_DEMOTED, seconds=50.0)), "was primary since"),
    (silent, "does not answer"),
    (lambda *asked: Sight(errno=13), "does not answer"),
])
def test_a_fork_is_refused(site: FakeSite, copied: FakeImage, look: LookAtImages,
                           says: str) -> None:
    demote(copied)
    for promote in (lambda: promotion.promote(site, X, False, forced({}), look),
                    lambda: raise_all(promotion.promote_all(
                        site, parse_pool("p"), False, forced({}), look)[1])):
        with pytest.raises(Busy, match=f"{says}.*image promote p/x --force"):
            promote()
    promotion.promote(site, X, True, forced({}), look)


@pytest.mark.parametrize("look", [
    seeing(Mark(9, SnapState.NON_PRIMARY_DEMOTED, "HERE", 4)),
    seeing(),
    lambda *asked: Sight(mirror_uuid="THERE"),
])
def test_what_was_demoted_here_may_come_back(site: FakeSite, copied: FakeImage,
                                             look: LookAtImages) -> None:
    demote(copied)
    copied.promotable = True
    promotion.promote(site, X, False, forced({}), look)
    assert copied.primary


def test_in_a_namespace_it_is_the_pool_that_has_been_demoted(site: FakeSite,
                                                             copied: FakeImage) -> None:
    """The namespace has a mirror uuid as well, which is in no mirror snapshot."""
    pool = site.pools["p"]
    pool.modes["ns"], pool.remotes["ns"] = IMAGE, "other"
    pool.images["ns", "x"] = copied
    demote(copied)
    asked = []

    def look(login: Token, *where: Any) -> Sight:
        asked.append(where)
        # Later, though the other site's clock says that it was sooner.
        marks = (Mark(9, SnapState.NON_PRIMARY_DEMOTED, "HERE", 4, 1.0),
                 Mark(13, SnapState.PRIMARY_DEMOTED, seconds=2.0))
        return Sight(mirror_uuid="THERE", images={"global-x": SeenImage(False, marks)})

    with pytest.raises(Busy):
        promotion.promote(site, parse_image("p/ns/x"), False, forced({}), look)
    assert asked == [("p", "other", ("global-x",))]


def test_a_pool_without_a_peer_asks_nobody(site: FakeSite, copied: FakeImage) -> None:
    demote(copied)
    copied.promotable = True
    site.pools["p"].attributes.clear()
    promotion.promote(site, X, False, forced({}), silent)
    assert copied.primary


def raise_all(failures: Dict[ImageSpec, MirrorError]) -> None:
    for error in failures.values():
        raise error


@pytest.mark.parametrize("demoted, complete", [(True, False), (False, False), (False, True)])
def test_what_has_not_come_over_whole_is_waited_for(site: FakeSite, copied: FakeImage,
                                                    demoted: bool, complete: bool) -> None:
    """librbd would promote as soon as the copying of the demotion has begun."""
    copied.header = headers.replica(headers.demoted(4), headers.copied(
        9, of=12, demoted=demoted, complete=complete))
    with pytest.raises(Busy, match="has not come over yet.*image promote p/x --force"):
        promotion.promote(site, X, False, forced({}), seeing())
    assert not copied.primary
