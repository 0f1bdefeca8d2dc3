"""One pool and namespace of a site: object reads, writes, cls calls, watches."""

import asyncio
import errno
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

import rados
import rbd

from ..errors import Fenced, MirrorError, NotFound, OutOfSpace
from ..wire.cls import Call
from .faults import of_site, translate
from .full import refused
from .omap import MOST_BYTES, PAGE, Whole, collect, last_key, read_omap
from .operation import Operation
from .uses import Uses

if TYPE_CHECKING:
    from .connection import Connection

_SMALL_REPLY = 8192
_CLOSE_SECONDS = 3.0
# A watch that takes longer may wait for room in a full pool.
_WATCH_SECONDS = 5.0

# A python-rados watch that could not be closed is closed again when it is collected: by then its
# ioctx is gone, and the process crashes.
_never_collected: List[Any] = []

T = TypeVar("T")

WatchCallback = Callable[[bytes], None]


class Watch:
    """A registered watch; `handle` is the number that a lock cookie names.

    `lost` is called, on the loop, when the OSD no longer knows the watch.
    """

    def __init__(self, pool: "Pool", oid: str, watch: Any) -> None:
        self._pool = pool
        self._watch = watch
        self.oid = oid

    @property
    def handle(self) -> int:
        return int(self._watch.get_id())

    def confirmed_ms_ago(self) -> float:
        """Milliseconds since the OSD last confirmed the watch; infinity when it is lost."""
        try:
            return float(self._watch.check().total_seconds() * 1000)
        except (rados.Error, OSError):
            return float("inf")

    async def close(self) -> None:
        """End the watch; one that is gone already, or whose site does not answer, is no error."""
        closing = self._pool.begin(self._watch.close)
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        if not closing.done() or closing.exception() is not None:
            _never_collected.append(self._watch)


class Pool:
    """Asynchronous calls on one ioctx.

    An ioctx has one read snapshot and one snapshot context: :meth:`at_snapshot` and
    :meth:`with_snap_context` give further Pools of the same pool and namespace.
    """

    def __init__(self, connection: "Connection", ioctx: "rados.Ioctx") -> None:
        self.connection = connection
        self.ioctx = ioctx
        self._uses = Uses()

    @property
    def pool_id(self) -> int:
        return int(self.ioctx.get_pool_id())

    @property
    def namespace(self) -> str:
        return str(self.ioctx.get_namespace())

    def fork(self) -> "Pool":
        """The same pool and namespace over an ioctx of its own; close it after use."""
        return Pool(self.connection, self.connection.open_ioctx(self.pool_id, self.namespace))

    def at_snapshot(self, snap_id: int) -> "Pool":
        """Like :meth:`fork`, reading the objects as they are at this self-managed snapshot."""
        pool = self.fork()
        pool.ioctx.set_read(snap_id)
        return pool

    def with_snap_context(self, snap_ids: Sequence[int]) -> "Pool":
        """Like :meth:`fork`, writing with these self-managed snapshots (in any order)."""
        pool = self.fork()
        pool.ioctx.set_self_managed_snap_write(sorted(snap_ids, reverse=True))
        return pool

    def close(self) -> None:
        """Close the ioctx, as soon as no call in a thread uses it any more."""
        self._uses.when_ended(self.ioctx.close)

    def begin(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Start a blocking call that uses the ioctx, in a thread."""
        return self._uses.begin(self.connection.run(function, *args))

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await self._uses.of(self.connection.run(function, *args))

    async def read(self, oid: str, length: int, offset: int = 0) -> Optional[bytes]:
        """Up to `length` bytes of the object, or None if it does not exist."""
        code, data = await self.aio(
            lambda done: self.ioctx.aio_read(oid, length, offset, done))
        if code == -2:
            return None
        self._check(code, "read", oid)
        # Of an empty read python-rados hands over the whole buffer, with whatever was in it.
        return bytes(data[:code]) if code else b""

    async def require_room(self) -> None:
        """Raise OutOfSpace when the pool refused something and is still full."""
        await self.connection.full.check(self.pool_id)

    async def stat(self, oid: str) -> Optional[int]:
        """The object's size in bytes, or None if it does not exist."""
        code, size = await self.aio(lambda done: self.ioctx.aio_stat(
            oid, lambda completion, size, mtime: done(completion, size)))
        if code == -2:
            return None
        self._check(code, "stat", oid)
        return int(size)

    async def call(self, oid: str, call: Call, reply: int = _SMALL_REPLY) -> bytes:
        """Run a cls method; `reply` bounds the size of its answer in bytes."""
        code, data = await self.aio(lambda done: self.ioctx.aio_execute(
            oid, call.cls, call.method, call.data, reply, done))
        self._check(code, call.method, oid)
        return bytes(data or b"")

    async def omap(self, oid: str, most: int = MOST_BYTES) -> Dict[str, bytes]:
        """All omap entries of an object.

        Raise NotFound if it does not exist, MalformedData when they have more than `most` bytes.
        """
        whole = Whole(oid, most)
        after: Union[str, bytes] = ""
        while True:
            page = await self._omap_page(oid, after)
            whole.add(page)
            if len(page) < PAGE:
                return whole.found
            after = last_key(page)

    async def omap_entries(self, oid: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Those omap entries of an object that have these keys.

        Raise NotFound if it does not exist.
        """
        return await self._omap_read(
            oid, lambda op: self.ioctx.get_omap_vals_by_keys(op, tuple(keys)))

    async def _omap_page(self, oid: str, after: Union[str, bytes]) -> Mapping[str, bytes]:
        return await self._omap_read(
            oid, lambda op: self.ioctx.get_omap_vals(op, after, "", PAGE))

    async def _omap_read(self, oid: str, ask: Callable[[Any], Any]) -> Mapping[str, bytes]:
        with rados.ReadOpCtx() as op:
            entries, _ = ask(op)
            code, _ = await self.aio(
                lambda done: self.ioctx.operate_aio_read_op(op, oid, done))
            self._check(code, "omap read", oid)
            return collect(entries)

    async def omap_versioned(self, oid: str) -> Tuple[Dict[str, bytes], int]:
        """All omap entries of an object and its version, for Operation.expect_version.

        To be used on a fork that one caller has for itself: the ioctx holds the version.
        """
        return await _uninterrupted(self.connection.run(self._omap_now, oid))

    def _omap_now(self, oid: str) -> Tuple[Dict[str, bytes], int]:
        """Blocking: librados does not report the version that an aio read saw."""
        found = read_omap(self.ioctx, oid)
        return found, int(self.ioctx.get_last_version())

    async def read_versioned(self, oid: str, length: int) -> Tuple[bytes, int]:
        """Up to `length` bytes of an object and its version.  As omap_versioned."""
        return await _uninterrupted(self.connection.run(self._read_now, oid, length))

    def _read_now(self, oid: str, length: int) -> Tuple[bytes, int]:
        data = bytes(self.ioctx.read(oid, length))
        return data, int(self.ioctx.get_last_version())

    async def operate(self, oid: str, operation: Operation) -> None:
        """Apply an operation; it is spent afterwards.  In parts, where the pool needs that."""
        [error] = await self._apply([(oid, operation)])
        if error is not None:
            raise error

    async def operate_all(self, operations: Sequence[Tuple[str, Operation]]
                          ) -> List[Optional[MirrorError]]:
        """Apply an operation to each of several objects, all at once; return what went wrong.

        That is an error, or None, for each in their order.  The operations are spent afterwards.
        However many they are, the loop hears of them once: for small writes it is this that costs.
        """
        return await self._apply(operations)

    async def _apply(self, operations: Sequence[Tuple[str, Operation]]
                     ) -> List[Optional[MirrorError]]:
        errors: List[Optional[MirrorError]] = [None] * len(operations)
        # An OSD carries out what one client asks of one object in the order of asking.
        parts = []
        for index, (oid, operation) in enumerate(operations):
            if operation.mixed and await self.connection.is_erasure_coded(self.pool_id):
                parts += [(index, oid, part) for part in operation.parts()]
                operation.steps.clear()
            else:
                parts.append((index, oid, operation))
        sent = []
        for index, oid, part in parts:
            try:
                if errors[index] is None:
                    sent.append((index, oid, part.write_op()))
            except (MirrorError, rados.Error, OSError) as error:
                errors[index] = translate(error, f"site {self.connection.name!r}")
        del parts
        found = await self._send([(oid, op) for _, oid, op in sent])
        for (index, _, _), failure in zip(sent, found):
            errors[index] = errors[index] or failure
        return errors

    async def _send(self, ops: Sequence[Tuple[str, "rados.WriteOp"]]
                    ) -> List[Optional[MirrorError]]:
        """Have librados carry these out and release them; return what went wrong with each."""
        loop = asyncio.get_running_loop()
        future: "asyncio.Future[Any]" = loop.create_future()
        errors: List[Optional[MirrorError]] = [None] * len(ops)
        codes: Dict[int, int] = {}

        def ended(index: int, code: int) -> None:
            codes[index] = code
            if len(codes) == len(ops):
                _hand_over(loop, _resolve, future, None)

        def start(index: int, oid: str, op: "rados.WriteOp") -> Any:
            return self.ioctx.operate_aio_write_op(
                op, oid, lambda done: ended(index, done.get_return_value()))

        started = []
        for index, (oid, op) in enumerate(ops):
            try:
                started.append(start(index, oid, op))
            except (rados.Error, OSError) as error:
                errors[index] = translate(error, f"site {self.connection.name!r}")
                ended(index, 0)
        try:
            if ops:
                await _patiently(future)
        finally:
            del started
            for _, op in ops:
                op.release()
        for index, code in codes.items():
            if code < 0:
                errors[index] = self._error(code, "write", ops[index][0])
        return errors

    async def operate_versioned(self, oid: str, operation: Operation) -> int:
        """Apply an operation; return the object's version after it.  As omap_versioned."""
        try:
            return await _uninterrupted(self.connection.run(self._operate_now, oid, operation))
        except OutOfSpace as error:
            raise self._refused(error.errno) from None

    def _operate_now(self, oid: str, operation: Operation) -> int:
        op = operation.write_op()
        try:
            self.ioctx.operate_write_op(op, oid)
            return int(self.ioctx.get_last_version())
        finally:
            op.release()

    async def change_omap(self, oid: str, changes: Mapping[str, Optional[bytes]]) -> None:
        """Write omap entries of an object, which is made if there is none; None removes one.

        Removing those that are not there is no error.
        """
        written = {key: value for key, value in changes.items() if value is not None}
        removed = tuple(key for key, value in changes.items() if value is None)
        op = Operation().write_op()
        if written:
            self.ioctx.set_omap(op, tuple(written), tuple(written.values()))
        if removed:
            self.ioctx.remove_omap_keys(op, removed)
        [error] = await self._send([(oid, op)])
        if error is not None and (written or not isinstance(error, NotFound)):
            raise error

    async def remove(self, oid: str) -> bool:
        """Remove an object; False if there was none."""
        try:
            await self.operate(oid, Operation().remove())
        except NotFound:
            return False
        return True

    async def notify(self, oid: str, payload: bytes = b"", timeout_ms: int = 5000) -> None:
        """Notify the object's watchers; one that does not answer in time is no error.

        `payload` must be ASCII: python-rados takes a str and counts its characters.
        """
        try:
            await self._run(self.ioctx.notify, oid, payload.decode("ascii"), timeout_ms)
        except Fenced:
            raise
        except MirrorError:
            return

    async def answering(self, oid: str, payload: bytes,
                        timeout_ms: int) -> Optional[Set[Tuple[int, int]]]:
        """Notify the object's watchers; return (client id, watch handle) of each.

        None when any of them did not answer in time: python-rados then keeps the answers of the
        others to itself.  The watch of a client that is gone lasts for 30 s
        (osd_client_watch_timeout), or until the client is blocklisted.
        """
        code, acks = await self.aio(lambda done: self.ioctx.aio_notify(
            oid, lambda completion, result, acks, missed: done(completion, acks),
            payload.decode("ascii"), timeout_ms))
        if code == -errno.ETIMEDOUT:
            return None
        self._check(code, "notify", oid)
        return {(int(ack[0]), int(ack[1])) for ack in acks or ()}

    async def watch(self, oid: str, notified: WatchCallback,
                    lost: Callable[[], None]) -> Watch:
        """Watch an object; both callbacks run on the loop.  What we notify ourselves is no news.

        Raise OutOfSpace in a full pool: there librados waits until there is room.
        """
        await self.require_room()
        loop = asyncio.get_running_loop()
        own_id = self.connection.instance_id

        def on_notify(notify_id: int, notifier_id: int, watch_id: int, data: bytes) -> None:
            if int(notifier_id) != own_id:
                _hand_over(loop, notified, bytes(data or b""))

        def on_error(*error: int) -> None:
            _hand_over(loop, lost)

        registering = self.begin(self.ioctx.watch, oid, on_notify, on_error)
        try:
            while not (await asyncio.wait({registering}, timeout=_WATCH_SECONDS))[0]:
                self.connection.full.suspect(self.pool_id)
                await self.require_room()
        except BaseException:
            self._uses.begin(self._close_late(registering))
            raise
        return Watch(self, oid, registering.result())

    async def _close_late(self, registering: "asyncio.Future[Any]") -> None:
        """End a watch that nobody waits for any more."""
        try:
            await Watch(self, "", await registering).close()
        except MirrorError:
            pass

    async def new_snap_ids(self, count: int) -> List[int]:
        """Allocate self-managed snapshot ids, ascending; each costs a monitor commit."""
        return sorted(await asyncio.gather(*(
            self._run(self.ioctx.create_self_managed_snap) for _ in range(count))))

    async def roll_back(self, oid: str, snap_id: int) -> None:
        """Make the object what it was at a self-managed snapshot; absent, if it was not there."""
        try:
            await _uninterrupted(
                self.connection.run(self.ioctx.rollback_self_managed_snap, oid, snap_id))
        except NotFound:
            pass

    async def remove_snap_id(self, snap_id: int) -> None:
        try:
            await self._uses.of(self.connection.run_in_background(
                self.ioctx.remove_self_managed_snap, snap_id))
        except NotFound:
            pass

    def _refused(self, code: int) -> OutOfSpace:
        connection, pool_id = self.connection, self.pool_id
        connection.full.suspect(pool_id)
        return refused(code, connection.name, connection.pool_name(pool_id) or str(pool_id))

    def _check(self, code: int, verb: str, oid: str) -> None:
        if code < 0:
            raise self._error(code, verb, oid)

    def _error(self, code: int, verb: str, oid: str) -> MirrorError:
        if -code in (errno.ENOSPC, errno.EDQUOT):
            return self._refused(code)
        return of_site(code, self.connection.name, f"{verb} of {oid}")

    async def aio(self, start: Callable[[Callable[..., None]], Any]) -> Any:
        """Start an aio call and wait for (return value, first datum) on the loop.

        Cancelling the caller does not undo what was sent: the completion is waited for first.
        """
        loop = asyncio.get_running_loop()
        future: "asyncio.Future[Any]" = loop.create_future()

        def done(completion: Any, data: Any = None, *rest: Any) -> None:
            _hand_over(loop, _resolve, future, (completion.get_return_value(), data))

        try:
            completion = start(done)
        except (rados.Error, rbd.Error, OSError) as error:
            raise translate(error, f"site {self.connection.name!r}") from error
        try:
            return await _patiently(future)
        finally:
            del completion


async def _patiently(future: "asyncio.Future[T]") -> T:
    """Wait for what was sent to an OSD, also when the caller is cancelled."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _settle(future)
        raise


async def _uninterrupted(call: "Coroutine[Any, Any, T]") -> T:
    """Wait for a call in a thread even when the caller is cancelled: it still uses its ioctx."""
    running = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                continue
        if not running.cancelled():
            running.exception()
        raise


async def _settle(future: "asyncio.Future[Any]") -> None:
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            continue


def _resolve(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _hand_over(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    """Call on the loop from a librados thread; a loop that has ended wants nothing more."""
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        pass

