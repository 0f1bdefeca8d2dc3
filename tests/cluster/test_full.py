"""Which pools take nothing more, and why."""

import asyncio
import errno
import json

import pytest

from mirror_mgr.cluster import full as full_module
from mirror_mgr.cluster.full import FullPools, reason, refused
from mirror_mgr.errors import OutOfSpace, from_errno


def osdmap(flags, cluster=()):
    return {"flags_set": list(cluster),
            "pools": [{"pool": 1, "flags_names": "hashpspool"},
                      {"pool": 2, "flags_names": flags}]}


@pytest.mark.parametrize("found, word", [
    (osdmap("hashpspool,full,full_quota"), "quota"),
    (osdmap("hashpspool,full"), "OSDs"),
    (osdmap("hashpspool", ["sortbitwise", "full"]), "OSDs"),
])
def test_full(found, word):
    assert word in reason(found, 2)


@pytest.mark.parametrize("found", [osdmap("hashpspool,nearfull"), osdmap("", ["nearfull"])])
def test_not_full(found):
    assert reason(found, 2) is None


def test_another_pool_s_quota_says_nothing():
    assert reason(osdmap("full,full_quota"), 1) is None
    assert reason(osdmap("full"), 3) is None


def test_errors():
    assert isinstance(from_errno(-errno.EDQUOT, ""), OutOfSpace)
    quota = refused(-errno.EDQUOT, "local", "p")
    assert (quota.errno, str(quota)[:17]) == (errno.EDQUOT, "pool 'p' is full:")
    assert "quota" in str(quota)
    assert "pool 'p' of site 'b' is full: its OSDs" in str(refused(-errno.ENOSPC, "b", "p"))


class Clock:
    """In place of the module time."""

    now = 0.0

    def monotonic(self):
        return self.now


class Connection:
    name = "local"

    def __init__(self):
        self.map = osdmap("full")
        self.asked = 0

    async def mon_command(self, command):
        self.asked += 1
        return json.dumps(self.map).encode()

    def pool_name(self, pool_id):
        return f"pool-{pool_id}"


def test_the_monitors_are_asked_on_suspicion_only(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(full_module, "time", clock)
    connection = Connection()
    full = FullPools(connection)

    async def body():
        await full.check(2)
        assert connection.asked == 0
        full.suspect(2)
        for _ in range(3):
            with pytest.raises(OutOfSpace, match="pool-2"):
                await full.check(2)
        assert connection.asked == 1
        connection.map, clock.now = osdmap(""), 10.0
        for _ in range(3):
            await full.check(2)
        assert connection.asked == 2
    asyncio.run(body())


def test_pools_that_have_little_room_left():
    flags = {1: "hashpspool", 2: "hashpspool,nearfull", 3: "backfillfull", 4: "full,full_quota",
             5: "nearfull_not", 6: ""}
    found = {"pools": [{"pool": pool_id, "flags_names": names}
                       for pool_id, names in flags.items()]}
    assert full_module.nearly_full(found) == {2, 3, 4}
