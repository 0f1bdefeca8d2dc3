"""Journal mode: Ceph's daemon and our worker in turns, each in a fresh pool, with the same load."""

import os
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import rbd
from rados import Ioctx, ObjectNotFound

from mirror_mgr.cluster.omap import read_omap
from mirror_mgr.errors import MalformedData
from mirror_mgr.wire.journal import (
    JournalHeader,
    PeerClientData,
    PeerState,
    decode_client_data,
    journal_oid,
)
from qa.mirrored import add_pool
from qa.replayers import Daemon, Usage, Worker, usage
from qa.sites import Lab, Site
from qa.waiting import wait_for

MIB = 1 << 20
BLOCK = 4096
SECONDS = 600.0
# How often a copy is looked at.
POLL_SECONDS = 0.01
LIVE_POLL_SECONDS = 0.003
IN_FLIGHT = 64
# Of a catch-up, the parts before and after the stretch that is measured.  The work goes in windows:
# both ends of the stretch are anywhere in one, not at its beginning, so that none counts too much.
LEAD, TAIL = 0.1, 0.05
# Of the writes of a live load, one in so many tells how late it came over.
STAMP_EVERY = 10

Replayer = Union[Daemon, Worker]
Numbers = Dict[str, Any]
# By how many writes flush; 0 for never.
FLUSHES = (0, 32, 8)


@dataclass(frozen=True)
class JournalSizes:
    """How much is measured."""

    image: int = 512 * MIB
    writes: int = 16384
    writes_between_flushes: int = 8192
    crowd: int = 20
    crowd_writes: int = 1000
    live_seconds: float = 20.0
    rate: int = 500
    idle_images: int = 100
    idle_seconds: float = 30.0


QUICK = JournalSizes(writes=3000, writes_between_flushes=500, crowd=3, crowd_writes=200,
                     live_seconds=3.0, idle_images=5, idle_seconds=5.0)


class Marks:
    """Numbers in the first block of an image: how far its copy is.

    They are read from the copy's RADOS object, as any replayer must write that, whatever it says
    and whenever it notes its position.
    """

    def __init__(self, ioctx: Ioctx, name: str) -> None:
        self._ioctx = ioctx
        with rbd.Image(ioctx, name, read_only=True) as image:
            self._oid = f"rbd_data.{image.id()}.{0:016x}"

    def read(self) -> int:
        try:
            return int.from_bytes(self._ioctx.read(self._oid, 8), "little")
        except ObjectNotFound:
            return 0

    def wait(self, number: int) -> float:
        """Wait until the copy is so far; return the time (monotonic)."""
        wait_for(lambda: self.read() >= number, seconds=SECONDS, interval=POLL_SECONDS)
        return time.monotonic()


def _wait_any(marks: List[Marks]) -> float:
    """Wait until one of the copies has anything; return the time."""
    wait_for(lambda: any(one.read() for one in marks), seconds=SECONDS, interval=POLL_SECONDS)
    return time.monotonic()


class Client:
    """Writes blocks of random content to an open image, many in flight at a time."""

    def __init__(self, image: rbd.Image, seed: str, flush_every: int = 0) -> None:
        self._image = image
        self._rng = random.Random(seed)
        self._blocks = image.size() // BLOCK
        self._flush_every = flush_every
        self._since_flush = 0
        self._room = threading.Semaphore(IN_FLIGHT)

    def write(self, count: int) -> None:
        for _ in range(count):
            self._write(self._rng.randrange(1, self._blocks), os.urandom(BLOCK))

    def mark(self, number: int, acknowledged: Callable[[], None] = lambda: None) -> None:
        content = number.to_bytes(8, "little") + os.urandom(BLOCK - 8)
        self._write(0, content, acknowledged)

    def finish(self) -> None:
        """Wait until all is written."""
        for _ in range(IN_FLIGHT):
            self._room.acquire()
        for _ in range(IN_FLIGHT):
            self._room.release()

    def _write(self, block: int, content: bytes,
               acknowledged: Callable[[], None] = lambda: None) -> None:
        def done(completion: Any) -> None:
            acknowledged()
            self._room.release()

        self._room.acquire()
        self._image.aio_write(content, block * BLOCK, done)
        self._since_flush += 1
        if self._since_flush == self._flush_every:
            self.finish()
            self._image.flush()
            self._since_flush = 0


class Turn:
    """One of the two replayers in a pool of its own."""

    def __init__(self, lab: Lab, replayer: Replayer, pool: str, sizes: JournalSizes) -> None:
        self._site_a, self._site_b = lab.sites["site-a"], lab.sites["site-b"]
        self._lab = lab
        self._replayer = replayer
        self._pool = pool
        self._sizes = sizes
        self._results: Dict[str, Numbers] = {}
        self._baseline: Numbers = {}

    def run(self, with_idle: bool) -> Dict[str, Numbers]:
        """Return the numbers by phase; those of idle images only if wanted."""
        add_pool(self._lab, self._pool)
        with ExitStack() as stack:
            self._a = stack.enter_context(_opened(self._site_a, self._pool))
            self._b = stack.enter_context(_opened(self._site_b, self._pool))
            stack.callback(self._stop)
            self._catch_ups()
            self._live()
            self._crowd()
            if with_idle:
                self._idle()
        for site in (self._site_a, self._site_b):
            site.ceph("osd", "pool", "rm", self._pool, self._pool, "--yes-i-really-really-mean-it")
        return self._results

    def _found(self, phase: str, numbers: Numbers) -> None:
        """Keep numbers, and show them: a run that is stopped has not been for nothing."""
        self._results[phase] = numbers
        shown = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        self._say(f"  {phase}: {shown}")

    # --- phases -------------------------------------------------------------------------------

    def _catch_ups(self) -> None:
        names = {every: f"flush-{every}" for every in FLUSHES}
        self._make(list(names.values()), self._sizes.image)
        for every, name in names.items():
            writes = self._sizes.writes_between_flushes if every else self._sizes.writes
            self._found(name, self._catch_up(name, writes, every))

    def _catch_up(self, name: str, writes: int, flush_every: int) -> Numbers:
        """Fill the journal while nobody replays, then measure the middle of the replay."""
        self._say(name)
        with rbd.Image(self._a, name) as image:
            client = Client(image, name, flush_every)
            client.write(int(writes * LEAD))
            client.mark(1)
            client.write(writes)
            client.mark(2)
            client.write(int(writes * TAIL))
            client.mark(3)
            client.finish()
        marks = Marks(self._b, name)
        begun, before = self._start_and_wait(lambda: marks.wait(1))
        ended, after = marks.wait(2), usage(self._replayer.pid)
        marks.wait(3)
        self._stop()
        seconds = max(ended - begun, POLL_SECONDS)
        return {"writes": writes, "seconds": seconds, "writes_per_second": writes / seconds,
                "cpu_us_per_write": 1e6 * (after.cpu_seconds - before.cpu_seconds) / writes,
                "rss": after.rss, "peak_rss": after.peak_rss}

    def _live(self) -> None:
        self._say("live load")
        self._make(["live"], self._sizes.image)
        self._replayer.start()
        self._wait_replaying(["live"])
        before = usage(self._replayer.pid)
        lags, writes = self._follow(["live"], self._sizes.rate)
        after = usage(self._replayer.pid)
        self._stop()
        self._found("live", {
            **distribution(lags), "writes": writes,
            "cpu_us_per_write": 1e6 * (after.cpu_seconds - before.cpu_seconds) / writes})

    def _crowd(self) -> None:
        """Many images catch up at once; then all but one are written to in peace, that one is
        flooded."""
        self._say(f"{self._sizes.crowd} images at once")
        names = [f"crowd-{number}" for number in range(self._sizes.crowd)]
        self._make(names, self._sizes.image // 8)
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(self._fill_one_of_crowd, names))
        marks = [Marks(self._b, name) for name in names]
        begun, before = self._start_and_wait(lambda: _wait_any(marks))
        for one in marks:
            ended = one.wait(2)
        after = usage(self._replayer.pid)
        writes = self._sizes.crowd_writes * len(names)
        self._found("crowd", {
            "writes_per_second": writes / max(ended - begun, POLL_SECONDS),
            "cpu_us_per_write": 1e6 * (after.cpu_seconds - before.cpu_seconds) / writes,
            "rss": after.rss})
        enough = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            flood = threads.submit(self._flood, names[0], enough)
            try:
                lags, _ = self._follow(names[1:], 5 * len(names[1:]), stamp_every=1)
            finally:
                enough.set()
            flooded = flood.result()
        self._found("beside a flood", {
            **distribution(lags), "flood_per_second": flooded / self._sizes.live_seconds})
        self._stop()

    def _start_and_wait(self, first: Callable[[], float]) -> Tuple[float, Usage]:
        """Start the replayer; return when `first` came, and what it had used by then.

        It may come before the start returns: a daemon goes to the background when it likes to.
        """
        with ThreadPoolExecutor(1) as threads:
            came = threads.submit(first)
            self._replayer.start()
            return came.result(), usage(self._replayer.pid)

    def _fill_one_of_crowd(self, name: str) -> None:
        with rbd.Image(self._a, name) as image:
            client = Client(image, name)
            client.mark(1)
            client.write(self._sizes.crowd_writes)
            client.mark(2)
            client.finish()

    def _flood(self, name: str, enough: threading.Event) -> int:
        """Write as fast as the primary takes it; return how much that was."""
        written = 0
        with rbd.Image(self._a, name) as image:
            client = Client(image, name)
            while not enough.is_set():
                client.write(IN_FLIGHT)
                written += IN_FLIGHT
            client.finish()
        return written

    def _idle(self) -> None:
        self._say(f"{self._sizes.idle_images} idle images")
        names = [f"idle-{number}" for number in range(self._sizes.idle_images)]
        self._make(names, 8 * MIB)
        # What others do meanwhile, as the managers, is not the replayer's.
        time.sleep(self._sizes.idle_seconds / 3)
        alone = self._operations(self._sizes.idle_seconds)
        self._replayer.start()
        time.sleep(self._sizes.idle_seconds)
        before = usage(self._replayer.pid)
        beside = self._operations(self._sizes.idle_seconds)
        after = usage(self._replayer.pid)
        self._stop()
        self._found("idle", {
            **{name: beside[name] - alone[name] for name in alone},
            "cpu_percent": 100 * (after.cpu_seconds - before.cpu_seconds)
            / self._sizes.idle_seconds,
            "rss": after.rss})

    def _operations(self, seconds: float) -> Dict[str, float]:
        """Reads, and all operations, of both sites a second."""
        sites = (self._site_a, self._site_b)
        start = time.monotonic()
        before = [site.osd_counters() for site in sites]
        time.sleep(seconds)
        after = [site.osd_counters() for site in sites]
        elapsed = time.monotonic() - start
        return {f"{name}_per_second": sum(new[counter] - old[counter]
                                          for old, new in zip(before, after)) / elapsed
                for name, counter in (("reads", "op_r"), ("operations", "op"))}

    # --- what phases are made of ----------------------------------------------------------------

    def _make(self, names: List[str], size: int) -> None:
        """Make images and their first copies; leave no replayer."""
        def make(name: str) -> None:
            rbd.RBD().create(self._a, name, size)
            with rbd.Image(self._a, name) as image:
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)

        with ThreadPoolExecutor(10) as threads:
            list(threads.map(make, names))
        self._replayer.start()
        self._wait_copied(names)
        self._stop()

    def _wait_replaying(self, names: List[str]) -> None:
        """Wait until something written now comes over."""
        for name in names:
            marks = Marks(self._b, name)
            with rbd.Image(self._a, name) as image:
                client = Client(image, name)
                client.mark(1)
                client.finish()
            marks.wait(1)

    def _follow(self, names: List[str], rate: int,
                stamp_every: int = STAMP_EVERY) -> Tuple[List[float], int]:
        """Write so often a second to all of the images together; return lags, and how many writes.

        A lag is the time from the acknowledgement of a write at the primary until the copy has it.
        """
        followed = [Followed(Marks(self._b, name)) for name in names]
        seconds = self._sizes.live_seconds
        with ExitStack() as stack:
            clients = [Client(stack.enter_context(rbd.Image(self._a, name)), name)
                       for name in names]
            watching = stack.enter_context(ThreadPoolExecutor(1))
            ended = threading.Event()
            stack.callback(ended.set)
            watched = watching.submit(_watch, followed, ended)
            start = time.monotonic()
            count = int(rate * seconds)
            for number in range(count):
                time.sleep(max(0.0, start + number / rate - time.monotonic()))
                which = number % len(names)
                turn = number // len(names)
                if turn % stamp_every == 0:
                    followed[which].stamp(clients[which])
                else:
                    clients[which].write(1)
            for client in clients:
                client.finish()
            ended.set()
            watched.result()
        return [lag for one in followed for lag in one.lags], count

    def _stop(self) -> None:
        if self._replayer.pid:
            self._replayer.stop()
            self._replayer.pid = 0

    def _say(self, phase: str) -> None:
        print(f"{self._replayer.name}, journal mode: {phase}", flush=True)

    # --- the primary's journal --------------------------------------------------------------------

    def _wait_copied(self, names: List[str]) -> None:
        """Wait until the first copy of each is made."""
        ids: Dict[str, str] = {}
        for name in names:
            with rbd.Image(self._a, name, read_only=True) as image:
                ids[name] = image.id()
        for name in names:
            wait_for(lambda name=name: self._is_copied(ids[name]),
                     lambda: self._site_b.rbd("mirror", "pool", "status", self._pool, "--verbose"),
                     seconds=SECONDS)

    def _is_copied(self, image_id: str) -> bool:
        header = _journal(self._a, image_id)
        data = [decode_client_data(client.data) for client in header.clients.values()] \
            if header is not None else []
        return [one.state for one in data if isinstance(one, PeerClientData)] == [
            PeerState.REPLAYING]


class Followed:
    """The stamps of one image: when each was acknowledged, and how late the copy had it."""

    def __init__(self, marks: Marks) -> None:
        self.lags: List[float] = []
        self._marks = marks
        self._acknowledged: Dict[int, float] = {}
        # Where a load before this one ended.
        self._last = self._seen = marks.read()

    def stamp(self, client: Client) -> None:
        self._last += 1
        number = self._last

        def acknowledged() -> None:
            self._acknowledged[number] = time.monotonic()

        client.mark(number, acknowledged)

    @property
    def complete(self) -> bool:
        return self._seen == self._last

    def look(self) -> None:
        """See how far the copy is.  What it has before that was acknowledged came at once."""
        seen, now = self._marks.read(), time.monotonic()
        for number in range(self._seen + 1, seen + 1):
            self.lags.append(max(0.0, now - self._acknowledged.get(number, now)))
        self._seen = max(seen, self._seen)


def _watch(followed: List[Followed], ended: threading.Event) -> None:
    """Look until the load has ended and all of it came over."""
    deadline: Optional[float] = None
    while not (ended.is_set() and all(one.complete for one in followed)):
        if ended.is_set() and deadline is None:
            deadline = time.monotonic() + SECONDS
        assert deadline is None or time.monotonic() < deadline, "the copy does not follow"
        for one in followed:
            if not one.complete:
                one.look()
        time.sleep(LIVE_POLL_SECONDS)


def distribution(lags: List[float]) -> Dict[str, float]:
    """Median, 99th percentile and the greatest; in seconds."""
    ordered = sorted(lags)
    return {"median": statistics.median(ordered),
            "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
            "most": ordered[-1]}


def measure(lab: Lab, sizes: JournalSizes, repeat: int) -> Dict[str, List[Dict[str, Numbers]]]:
    """Let both take turns; return the numbers by replayer, a list of turns each.

    The lab has mirror_mgr, told to run no workers.
    """
    order: List[Replayer] = [Daemon(lab.sites["site-b"]), Worker(lab.sites["site-b"])]
    found: Dict[str, List[Dict[str, Numbers]]] = {replayer.name: [] for replayer in order}
    for number in range(repeat):
        for replayer in order:
            # Managers may know a pool that is gone for a while, under its name.
            pool = f"journal-{replayer.name}-{os.getpid()}-{number}"
            turn = Turn(lab, replayer, pool, sizes)
            found[replayer.name].append(turn.run(with_idle=number == 0))
        order.reverse()
    return found


@contextmanager
def _opened(site: Site, pool: str) -> Iterator[Ioctx]:
    cluster = site.rados()
    try:
        with cluster.open_ioctx(pool) as ioctx:
            yield ioctx
    finally:
        cluster.shutdown()


def _journal(ioctx: Ioctx, image_id: str) -> Optional[JournalHeader]:
    """None while it is being made."""
    try:
        return JournalHeader.from_omap(read_omap(ioctx, journal_oid(image_id)))
    except (ObjectNotFound, MalformedData):
        return None
