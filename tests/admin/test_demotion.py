from typing import Callable, FrozenSet, List

import pytest

from mirror_mgr.admin import demotion
from mirror_mgr.admin.demotion import Demoted
from mirror_mgr.admin.openers import Opener
from mirror_mgr.admin.specs import PoolSpec, parse_image, parse_pool
from mirror_mgr.errors import Busy, InvalidArgument, MirrorError, ReadOnly

from .fakes import DISABLED, IMAGE, FakeImage, FakeSite

X = parse_image("p/x")
WORKER = (5, "10.0.0.5:0/5")
CLIENT = (7, "10.0.0.7:0/7")
LATECOMER = (8, "10.0.0.8:0/8")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demotion, "_OPEN_SECONDS", 0.0)


@pytest.fixture
def image(site: FakeSite) -> FakeImage:
    site.pools["p"].modes[""] = IMAGE
    image = site.pools["p"].images["", "x"]
    image.mirrored = True
    return image


def workers(pool: PoolSpec) -> FrozenSet[int]:
    return frozenset({WORKER[0]})


def demote(site: FakeSite, force: bool = False) -> Demoted:
    return demotion.demote(site, X, force, workers)


def refusal(demoted: Demoted) -> MirrorError:
    (error,) = demoted.failures.values()
    return error


def test_demote(site: FakeSite, image: FakeImage) -> None:
    image.watchers = [WORKER]
    assert demote(site) == Demoted(1, {}, frozenset())
    assert not image.primary
    error = refusal(demote(site))
    assert isinstance(error, InvalidArgument) and "not primary here" in error.message


def test_not_mirrored(site: FakeSite, image: FakeImage) -> None:
    image.mirrored = False
    assert "image enable p/x snapshot" in refusal(demote(site)).message
    site.pools["p"].modes[""] = DISABLED
    assert "pool enable p image" in refusal(demote(site)).message


@pytest.mark.parametrize("mode", [0, 1])
def test_a_client_that_has_it_open_is_named(site: FakeSite, image: FakeImage, mode: int) -> None:
    image.watchers, image.mode = [WORKER, CLIENT], mode
    error = refusal(demote(site))
    assert isinstance(error, ReadOnly)
    for said in ("client.7 at 10.0.0.7:0/7 has it open",
                 "ceph rbd-mirror image demote p/x --force"):
        assert said in error.message
    assert "half a minute" not in error.message
    assert image.primary and not image.non_primary
    assert not site.blocklisted


def test_one_that_does_not_answer_may_be_dead(site: FakeSite, image: FakeImage) -> None:
    image.watchers, site.silent = [CLIENT, LATECOMER], True
    message = refusal(demote(site)).message
    assert "10.0.0.7:0/7 and client.8 at 10.0.0.8:0/8 have it open" in message
    assert "if one of these clients has died, run the same again in half a minute" in message


def test_force_blocklists_clients_and_says_so(site: FakeSite, image: FakeImage) -> None:
    image.watchers = [WORKER, CLIENT]
    at_the_demotion: List[bool] = []
    image.on_demote = lambda: at_the_demotion.append(image.watchers == [WORKER])
    demoted = demote(site, force=True)
    assert demoted == Demoted(1, {}, frozenset({Opener(*CLIENT)}))
    assert site.blocklisted == [CLIENT[1]]
    assert at_the_demotion == [True]
    assert "client.7 at 10.0.0.7:0/7: ceph osd blocklist rm 10.0.0.7:0/7" in demoted.note


def test_force_lets_a_client_write_what_it_has_cached(site: FakeSite, image: FakeImage) -> None:
    image.watchers = [CLIENT]
    before: List[List[str]] = []
    image.on_lock = lambda: before.append(list(site.blocklisted))
    demote(site, force=True)
    assert before == [[]]


@pytest.mark.parametrize("silent, keeps_lock", [(True, False), (False, True)])
def test_force_with_a_client_that_keeps_the_lock(site: FakeSite, image: FakeImage, silent: bool,
                                                 keeps_lock: bool) -> None:
    image.watchers, site.silent, image.keeps_lock = [CLIENT], silent, keeps_lock
    assert not demote(site, force=True).failures
    assert site.blocklisted == [CLIENT[1]]


def test_force_with_nobody_there_blocklists_nobody(site: FakeSite, image: FakeImage) -> None:
    image.watchers = [WORKER]
    assert demote(site, force=True).note == ""
    assert not image.primary


def opens_when_the_door_is_closed(image: FakeImage, patch: pytest.MonkeyPatch) -> None:
    close: Callable[[object, bool], None] = demotion._Demotion._set_non_primary

    def set_non_primary(self: object, to: bool) -> None:
        if to:
            image.watchers.append(LATECOMER)
        close(self, to)

    patch.setattr(demotion._Demotion, "_set_non_primary", set_non_primary)


def test_who_opens_it_in_between_is_seen(site: FakeSite, image: FakeImage,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    opens_when_the_door_is_closed(image, monkeypatch)
    assert "client.8" in refusal(demote(site)).message
    assert image.primary and not image.non_primary  # clients can write again


def test_who_opens_it_in_between_is_fenced_by_force(site: FakeSite, image: FakeImage,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    opens_when_the_door_is_closed(image, monkeypatch)
    assert demote(site, force=True).fenced == {Opener(*LATECOMER)}
    assert not image.primary


def test_a_demotion_that_fails_leaves_it_writable(site: FakeSite, image: FakeImage) -> None:
    def fail() -> None:
        raise Busy("x")

    image.on_demote = fail
    assert isinstance(refusal(demote(site)), Busy)
    assert image.primary and not image.non_primary


def test_in_journal_mode_the_header_stays_as_it_is(site: FakeSite, image: FakeImage) -> None:
    image.mode = 0
    assert not demote(site).failures
    assert not image.non_primary


def test_demote_all(site: FakeSite, image: FakeImage) -> None:
    pool = site.pools["p"]
    pool.images["", "copy"] = FakeImage(primary=False, mirrored=True)
    pool.images["", "y"] = FakeImage(mirrored=True)
    image.watchers = [CLIENT]
    asked: List[PoolSpec] = []

    def ask(spec: PoolSpec) -> FrozenSet[int]:
        asked.append(spec)
        return workers(spec)

    demoted = demotion.demote_all(site, parse_pool("p"), False, ask)
    assert (demoted.total, set(demoted.failures)) == (2, {X})
    assert "run: ceph rbd-mirror pool demote p --force" in refusal(demoted).message
    assert demotion.demote_all(site, parse_pool("p"), True, ask).total == 1
    with pytest.raises(InvalidArgument, match="not enabled"):
        demotion.demote_all(site, parse_pool("p/ns"), False, ask)


def test_who_mirrors_is_asked_once_for_all_images(site: FakeSite, image: FakeImage) -> None:
    asked: List[PoolSpec] = []

    def ask(spec: PoolSpec) -> FrozenSet[int]:
        asked.append(spec)
        return workers(spec)

    image.watchers = [WORKER]
    for number in range(20):
        site.pools["p"].images["", f"y{number}"] = FakeImage(mirrored=True)
        site.pools["p"].images["", f"y{number}"].watchers = [WORKER]
    assert not demotion.demote_all(site, parse_pool("p"), False, ask).failures
    assert 1 <= len(asked) < 20


def test_a_worker_that_came_meanwhile_is_no_obstacle(site: FakeSite, image: FakeImage) -> None:
    answers = [frozenset({WORKER[0]}), frozenset({WORKER[0], CLIENT[0]})]
    image.watchers = [WORKER]
    site.pools["p"].images["", "y"] = FakeImage(mirrored=True)
    site.pools["p"].images["", "y"].watchers = [CLIENT]
    demoted = demotion.demote_all(site, parse_pool("p"), False, lambda spec: (
        answers.pop(0) if len(answers) > 1 else answers[0]))
    assert not demoted.failures
