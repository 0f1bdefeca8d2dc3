import asyncio

import pytest

from mirror_mgr.errors import AccessDenied, DeadlineExceeded, NotFound, NotSupported
from mirror_mgr.wire.constants import MirrorMode, PeerDirection
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.mirror import MirrorPeer, MirrorPool
from mirror_mgr.worker import peer as peers
from mirror_mgr.worker.peer import Credentials
from tests.worker.sites import PEER, FakeConnection, mirroring

KEY = "rbd/mirror/peer/2/peer-uuid"


def entry(direction, client="client.x", uuid="u"):
    return MirrorPeer(uuid, "b", client, direction=direction)


@pytest.mark.parametrize("entries, chosen", [
    ([], None),
    ([entry(PeerDirection.RX)], 0),
    ([entry(PeerDirection.RX_TX)], 0),
    ([entry(PeerDirection.TX)], None),
    ([entry(PeerDirection.TX, client="")], None),
    ([entry(PeerDirection.RX_TX, client="")], None),
    ([entry(PeerDirection.TX), entry(PeerDirection.RX_TX, uuid="v")], 1),
])
def test_the_peer_is_one_that_we_may_read_from(entries, chosen):
    assert peers.choose(MirrorPool(peers=tuple(entries))) == (
        None if chosen is None else entries[chosen])


def test_what_a_ping_changes_makes_no_other_peer():
    pinged = MirrorPeer(PEER.uuid, PEER.site_name, PEER.client_name, PEER.pool_id,
                        PEER.direction, "uuid-of-b", 17)
    assert peers.same(pinged, PEER)


@pytest.mark.parametrize("found", [
    None, MirrorPeer("v", PEER.site_name, PEER.client_name),
    MirrorPeer(PEER.uuid, "c", PEER.client_name), MirrorPeer(PEER.uuid, PEER.site_name, "other")])
def test_another_uuid_name_or_user_does(found):
    assert not peers.same(found, PEER)


def credentials(stored=None):
    local = FakeConnection("local", {} if stored is None else {KEY: stored})
    return asyncio.run(peers.credentials(local, 2, PEER))


def test_the_credentials_that_the_monitors_keep():
    found = credentials({"mon_host": "10.0.0.1", "key": "SECRET"})
    assert found == Credentials("b", "client.rbd-mirror-peer", "10.0.0.1", "SECRET")
    assert found.conf["mon_host"] == "10.0.0.1" and found.conf["key"] == "SECRET"
    assert found.conffile() is None


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Where the worker was started; what is in its user's home is in `home`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ceph").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("stored", [None, {}, b"no JSON", {"mon_host": "10.0.0.1"}])
@pytest.mark.parametrize("place", ["home/.ceph/b.conf", "b.conf"])
def test_without_them_the_peer_s_files_on_this_host(home, stored, place):
    (home / place).write_text("")
    found = credentials(stored)
    assert found.conffile() == str(home / place)
    assert "key" not in found.conf


def test_the_home_comes_before_the_current_folder(home):
    for place in ("home/.ceph/b.conf", "b.conf"):
        (home / place).write_text("")
    assert credentials().conffile() == str(home / "home/.ceph/b.conf")


def test_monitors_that_are_nowhere_are_told_of(home):
    with pytest.raises(NotFound, match=f"'b'.*/etc/ceph/b.conf, .*{home}/b.conf.*peer set"):
        credentials().conffile()
    assert credentials({"mon_host": "10.0.0.1"}).conffile() is None


def test_no_call_to_a_dead_site_waits_for_ever():
    assert {"client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"} <= set(
        credentials().conf)


def test_the_key_is_not_shown():
    assert "SECRET" not in repr(Credentials("b", "client.x", "h", "SECRET"))


@pytest.mark.parametrize("keys, name", [
    ({"rbd/mirror/site_name": b"site-a\n"}, "site-a"),
    ({"rbd/mirror/site_name": b""}, "fsid-of-local"),
    ({}, "fsid-of-local")])
def test_the_name_of_this_site(keys, name):
    assert asyncio.run(peers.site_name(FakeConnection("local", keys))) == name


def test_the_name_of_this_site_when_the_monitors_do_not_tell():
    local = FakeConnection("local")

    async def fail(command):
        raise DeadlineExceeded("no monitor answers")

    local.mon_command = fail
    assert asyncio.run(peers.site_name(local)) == "fsid-of-local"


def test_a_ping_says_who_we_are():
    remote = FakeConnection("b")
    asyncio.run(peers.ping(remote, 5, "site-a", "uuid-of-a"))
    assert remote.pool(5).pings == [("site-a", "uuid-of-a")]


def test_a_site_that_is_too_old_is_told_of():
    remote = FakeConnection("b")
    remote.pool(5).error = NotSupported("mirror_peer_ping")
    with pytest.raises(NotSupported, match="site 'b': .* upgrade that site to Ceph 16 or later"):
        asyncio.run(peers.ping(remote, 5, "site-a", "uuid-of-a"))


class TestThePoolThere:
    """Which pool of the other site is the one that ours, p, is mirrored from."""

    US = MirrorPeer("us", "site-a", "", mirror_uuid="uuid-of-a")
    OTHER = MirrorPeer("other", "site-a", "", mirror_uuid="uuid-of-another")

    def site(self, **pools):
        """By names, what is in the `rbd_mirroring` of each; ids count from 3 on."""
        remote = FakeConnection("b")
        remote.names = dict(enumerate(pools, 3))
        for pool_id, omap in enumerate(pools.values(), 3):
            if isinstance(omap, Exception):
                remote.pool(pool_id).error = omap
            else:
                remote.pool(pool_id).omap_of[MIRRORING] = omap
        return remote

    def find(self, remote, known=""):
        peer = MirrorPeer(PEER.uuid, "b", PEER.client_name, mirror_uuid=known)
        return remote.names[asyncio.run(peers.find_source(remote, "p", peer, "uuid-of-a"))]

    def partner(self, uuid="uuid-of-b", mode=MirrorMode.IMAGE):
        return mirroring(mode, uuid, peers=[self.OTHER, self.US])

    def test_the_one_of_the_same_name(self):
        assert self.find(self.site(q=self.partner(), p=self.partner())) == "p"

    def test_at_the_first_contact_it_does_not_know_us(self):
        assert self.find(self.site(q=mirroring(peers=[self.OTHER]), p=mirroring())) == "p"

    @pytest.mark.parametrize("known", ["", "uuid-of-b"])
    def test_one_that_was_renamed(self, known):
        assert self.find(self.site(x=mirroring(), q=self.partner()), known) == "q"

    def test_one_that_was_renamed_beside_another_that_has_its_name_now(self):
        named = mirroring(peers=[self.OTHER])
        assert self.find(self.site(p=named, q=self.partner())) == "q"

    def test_a_mirror_uuid_that_is_known_decides_between_two(self):
        remote = self.site(old=self.partner("uuid-of-former"), q=self.partner())
        assert self.find(remote, "uuid-of-b") == "q"
        with pytest.raises(NotFound, match="'p' does not exist at site 'b', and old and q have it"):
            self.find(remote)

    @pytest.mark.parametrize("other", [
        mirroring(peers=[OTHER]), mirroring(MirrorMode.DISABLED, peers=[US]),
        AccessDenied("x"), DeadlineExceeded("x"), NotFound("removed just now")])
    def test_none(self, other):
        with pytest.raises(NotFound, match="'p' does not exist at site 'b', and none of another"):
            self.find(self.site(q=other))

    def test_another_pool_than_the_one_that_is_known(self):
        with pytest.raises(NotFound):
            self.find(self.site(q=self.partner()), "uuid-of-former")
