"""One object with a lock and watches, as the OSD keeps them."""

from dataclasses import replace

from mirror_mgr.errors import Busy, NotFound
from mirror_mgr.wire import cls_lock
from mirror_mgr.wire.encoding import Decoder, Encoder

OID = "rbd_header.1"
ME = cls_lock.Locker("client.4100", "auto 1", "10.0.0.1:0/4100", "mirror_mgr", 0)


def other(gid=4200, handle=7, description="", cookie=None):
    """A client that holds the lock."""
    return cls_lock.Locker(f"client.{gid}", cookie or f"auto {handle}", f"10.0.0.2:0/{gid}",
                           description, 0)


class FakeWatch:
    def __init__(self, pool, handle, notified, lost):
        self._pool = pool
        self.handle = handle
        self.notified = notified
        self.lost = lost
        self.confirmed = 0.0

    def confirmed_ms_ago(self):
        return self.confirmed

    async def close(self):
        self._pool.events.append("unwatch")
        self._pool.watches.remove(self)


class FakeConnection:
    def __init__(self, pool):
        self._pool = pool

    async def blocklist(self, address):
        self._pool.events.append(f"blocklist {address}")

    def conf_get(self, option):
        return ""


class FakePool:
    """`events` is what was done to the object, in order; `before[method]` runs before a call.

    `alive` are the other watchers; None stands for some, one of which does not answer.
    """

    def __init__(self, holder=None, alive=(), oid=OID):
        self.connection = FakeConnection(self)
        self.oid = oid
        self.holder = holder
        self.alive = alive
        self.events = []
        self.watches = []
        self.before = {}
        self.notified = []
        self._last_handle = 0

    def fail(self, method, error):
        def raise_it():
            raise error
        self.before[method] = raise_it

    async def _begin(self, name):
        result = self.before.get(name, lambda: None)()
        if result is not None:
            await result
        self.events.append(name)

    async def call(self, oid, call):
        assert (oid, call.cls) == (self.oid, "lock")
        _, arguments = Decoder(call.data).struct(1)
        assert arguments.string() == cls_lock.IMAGE_LOCK
        await self._begin(call.method)
        return getattr(self, "_" + call.method)(arguments) or b""

    def _lock(self, arguments):
        assert arguments.u8() == 1, "not exclusive"
        if self.holder is not None:
            raise Busy("lock")
        cookie, tag, description = (arguments.string() for _ in range(3))
        assert tag == "internal"
        self.holder = replace(ME, cookie=cookie, description=description)

    def _unlock(self, arguments):
        if self.holder is None or (self.holder.entity, self.holder.cookie) != (
                ME.entity, arguments.string()):
            raise NotFound("unlock")
        self.holder = None

    def _get_info(self, arguments):
        return encode_info([] if self.holder is None else [self.holder])

    def _break_lock(self, arguments):
        kind, number, cookie = arguments.u8(), arguments.s64(), arguments.string()
        assert kind == 8
        if self.holder is None or (self.holder.entity, self.holder.cookie) != (
                f"client.{number}", cookie):
            raise NotFound("break_lock")
        self.holder = None

    async def watch(self, oid, notified, lost):
        await self._begin("watch")
        self._last_handle += 1
        self.watches.append(FakeWatch(self, self._last_handle, notified, lost))
        return self.watches[-1]

    async def notify(self, oid, payload):
        await self._begin("notify")
        self.notified.append(payload)

    async def answering(self, oid, payload, timeout_ms):
        await self._begin("probe")
        return self.alive

    async def operate(self, oid, operation):
        await self._begin("operate")


def encode_info(lockers):
    """The answer of get_info (``cls_lock_get_info_reply``)."""
    body = Encoder().list_(lockers, _encode_locker).u8(1 if lockers else 0).string("internal")
    return Encoder().struct(1, 1, body).done()


def _encode_locker(target, locker):
    name = Encoder().u8(8).s64(int(locker.entity.partition(".")[2])).string(locker.cookie)
    host, _, rest = locker.address.partition(":")
    port, _, nonce = rest.partition("/")
    sockaddr = ((2).to_bytes(2, "little") + int(port).to_bytes(2, "big")
                + bytes(int(part) for part in host.split(".")) + bytes(8))
    address = Encoder().u32(3).u32(int(nonce)).bytes_(sockaddr)
    info = Encoder().utime(0).u8(1).struct(1, 1, address).string(locker.description)
    return target.struct(1, 1, name).struct(1, 1, info)
