"""The object at which the workers of a pool meet, in memory."""

import asyncio
import errno

from mirror_mgr.errors import Fenced, MirrorError, NotFound
from mirror_mgr.worker.team import ROSTER
from tests.cluster.fake_locks import FakeWatch


class Meeting:
    """`silent` are the ids of clients that hang; `conflicts`, how many changes come too late."""

    def __init__(self):
        self.data = None
        self.version = 0
        self.clients = []
        self.silent = set()
        self.blocklisted = []
        self.conflicts = 0
        self.fail = None


class Client:
    """The pool as one client has it; it is its own connection, too."""

    def __init__(self, meeting, number):
        self.meeting = meeting
        self.instance_id = number
        self.address = f"10.0.0.{number}:0/{number}"
        self.connection = self
        self.events = self.watches = []
        self.said = []
        meeting.clients.append(self)

    def fork(self):
        return self

    def close(self):
        pass

    def _begin(self, oid):
        assert oid == ROSTER
        if self.meeting.fail is not None:
            raise self.meeting.fail
        if self.address in self.meeting.blocklisted:
            raise Fenced("blocklisted")

    async def read_versioned(self, oid, length):
        self._begin(oid)
        if self.meeting.data is None:
            raise NotFound(oid)
        return self.meeting.data, self.meeting.version

    async def operate(self, oid, operation):
        self._begin(oid)
        for step in operation.steps:
            if step[0] == "version":
                if step[1] != self.meeting.version or self.meeting.conflicts:
                    self.meeting.conflicts = max(0, self.meeting.conflicts - 1)
                    raise MirrorError("the version differs", errno.ERANGE)
            elif step[0] == "create":
                self.meeting.data = self.meeting.data or b""
            else:
                assert step[0] == "write_full"
                self.meeting.data = step[1]
        self.meeting.version += 1

    async def watch(self, oid, notified, lost):
        self._begin(oid)
        watch = FakeWatch(self, 1000 + self.instance_id, notified, lost)
        self.watches = [*self.watches, watch]
        return watch

    async def answering(self, oid, payload, timeout_ms):
        self._begin(oid)
        self.said.append(payload.decode())
        watching = [c for c in self.meeting.clients
                    if c.watches and c.address not in self.meeting.blocklisted]
        silent = [c for c in watching if c.instance_id in self.meeting.silent]
        for client in watching:
            if client not in silent and client is not self:
                for watch in client.watches:
                    watch.notified(payload)
        if silent:
            await asyncio.sleep(timeout_ms / 1000)
            return None
        return {(c.instance_id, w.handle) for c in watching for w in c.watches}

    async def blocklist(self, address):
        self.meeting.blocklisted.append(address)
