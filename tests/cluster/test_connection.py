import asyncio
import errno
import json

import pytest
import rados

from mirror_mgr.cluster import keys
from mirror_mgr.cluster.connection import Connection, blocklist_address
from mirror_mgr.cluster.pool import Pool
from mirror_mgr.errors import ClusterError, NotFound, NotReady, NotSupported
from mirror_mgr.wire.cephx import AES256K
from tests.admin.fakes import failure
from tests.cephx import key


@pytest.mark.parametrize("addresses, expected", [
    ("10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("v2:10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("v1:10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("[v2:10.0.0.1:0/123,v1:10.0.0.1:0/123]", "10.0.0.1:0/123"),
    ("[v1:10.0.0.1:0/123]", "10.0.0.1:0/123"),
    ("[fd00::1]:0/123", "[fd00::1]:0/123"),
    ("v2:[fd00::1]:0/123", "[fd00::1]:0/123"),
    ("[v2:[fd00::1]:0/123,v1:[fd00::1]:0/123]", "[fd00::1]:0/123"),
    ("[v2:[fd00::1]:0/123]", "[fd00::1]:0/123"),
])
def test_a_client_is_blocklisted_by_its_address_alone(addresses, expected):
    """As librados tells its own addresses, and as `ceph osd blocklist add` takes one."""
    assert blocklist_address(addresses) == expected


class Gone:
    """A client of a site whose pools were all removed; or that was shut down, as `error` says."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def call(*ignored):
            raise self.error
        return call


@pytest.mark.skipif(not hasattr(rados.Rados, "conf_get"), reason="needs python-rados")
def test_a_key_that_librados_does_not_read_is_not_shown_to_it(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(keys, "_OPTION", "no option of any release")
    secret = key(AES256K, bytes(32))
    (tmp_path / "ring").write_text(f"[client.x]\n\tkey = {secret}\n")
    for conf in {"key": secret}, {"keyring": str(tmp_path / "ring")}:
        with pytest.raises(NotSupported, match="site 'b': the key of client.x is of type aes256k"):
            Connection.connect("b", "client.x", None, {"mon_host": "127.0.0.1:1", **conf})
    assert secret not in "".join(capfd.readouterr())


class FakeIoctx:
    def get_pool_id(self):
        return 7

    def get_namespace(self):
        return ""


def connection(error):
    return Connection(Gone(error), "b")


@pytest.mark.parametrize("call", [
    lambda one: one.pool(7), lambda one: one.open_ioctx(7, "ns"),
    lambda one: Pool(one, FakeIoctx()).fork(), lambda one: Pool(one, FakeIoctx()).at_snapshot(3)])
def test_a_pool_that_was_removed_is_not_found(call):
    with pytest.raises(NotFound, match="site 'b': pool with id 7"):
        call(connection(failure(rados.ObjectNotFound, errno.ENOENT)))


@pytest.mark.parametrize("call", [
    lambda one: one.pool_id("p"), lambda one: one.pool_name(7), lambda one: one.instance_id,
    lambda one: one.address, lambda one: one.fsid, lambda one: one.conf_get("key")])
def test_whatever_librados_raises_is_an_error_of_ours(call):
    with pytest.raises(ClusterError, match="site 'b'"):
        call(connection(rados.Error("You cannot perform that operation in state shutdown.")))


def test_only_a_connection_that_is_closed_is_said_to_be():
    async def body():
        one = Connection(Gone(RuntimeError("a fault of ours")), "b")
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await one.run(one.cluster.anything)
        one._threads.shutdown()
        with pytest.raises(NotReady, match="site 'b': connection is closed"):
            await one.run(print)
    asyncio.run(body())


class Cluster:
    """Has a replicated pool 1 and an erasure-coded pool 2."""

    def __init__(self):
        self.asked = 0

    def mon_command(self, command, data):
        assert json.loads(command)["prefix"] == "osd pool ls"
        self.asked += 1
        return 0, json.dumps([{"pool_id": 1, "type": 1}, {"pool_id": 2, "type": 3}]).encode(), ""

    def shutdown(self):
        pass


def test_the_monitors_tell_once_which_pools_are_erasure_coded():
    cluster = Cluster()
    connection = Connection(cluster, "there")

    async def body():
        assert not await connection.is_erasure_coded(1)
        assert await connection.is_erasure_coded(2)
        assert cluster.asked == 1
        with pytest.raises(NotFound):
            await connection.is_erasure_coded(3)

    asyncio.run(body())
    connection.close()
