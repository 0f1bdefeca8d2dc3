"""Keeps the wanted number of workers running, each as a process of its own.

`Supervisor.tick` observes, decides by `policy`, and acts.  What workers say comes
in on threads of `process`, is kept, and is acted on by the next tick.
"""

import dataclasses
import logging
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from ..clock import Clock
from ..errors import MirrorError, NotFound
from ..worker.protocol import (
    COMMAND_REFRESH,
    COMMAND_STOP,
    EXIT_FENCED,
    Command,
    Event,
    Heartbeat,
    ImageReport,
    LogLine,
    ManagerHello,
    Message,
    WorkerHello,
    WorkerOptions,
)
from . import accounts, launcher, orphans, policy, store
from .host import Host
from .logring import LogRing
from .model import (
    RUNNING,
    STARTING,
    STOPPING,
    WAITING,
    WORKER_FAILING,
    HealthItem,
    WorkerView,
)
from .policy import Action, Life
from .process import Process
from .reports import MOST_IMAGES, Reports, health_items, trouble

PREFIX = 'mirror-mgr.'
LONG_PAUSE = 10.0        # between two ticks: the manager itself was held up
STOP_SECONDS = 3.0       # for all workers to end in order when the module stops
KILLED_SECONDS = 2.0     # for the kernel to end a process that was killed

_LEVELS = {'debug': logging.DEBUG, 'info': logging.INFO,
           'warning': logging.WARNING, 'error': logging.ERROR}


class _Worker:
    """One worker, whose processes come and go; guarded by the supervisor's lock."""

    def __init__(self, worker_id: str, wall: float) -> None:
        self.id = worker_id
        self.life = Life()
        self.since = wall
        self.wanted = True
        self.process: Optional[Process] = None
        self.address = ''
        self.instance_id = ''
        self.log = LogRing()
        self.reports = Reports()
        self.reported = False
        self.heard = 0.0
        self.last_error = ''
        self.told_options: Dict[str, Any] = {}

    @property
    def state(self) -> str:
        if self.life.started is None:
            return WAITING
        if self.life.asked is not None:
            return STOPPING
        return STARTING if self.life.healthy is None else RUNNING

    def turn(self, life: Life, wall: float) -> None:
        before = self.state
        self.life = life
        if self.state != before:
            self.since = wall

    def started(self, life: Life, wall: float) -> None:
        """A process was started.  What the last one reported stays until this one reports."""
        self.turn(life, wall)
        self.address = self.instance_id = ''
        self.reported = False

    def view(self, now: float) -> WorkerView:
        counters = self.reports.counters if self.process and self.reported else {}
        return WorkerView(
            id=self.id, entity=accounts.entity(self.id),
            pid=self.process.pid if self.process else None,
            state=self.state, since=self.since, restarts=max(0, self.life.starts - 1),
            pools=self.reports.pools, images=len(self.reports.images),
            rss_bytes=counters.get('rss_bytes', 0),
            bytes_in_flight=counters.get('bytes_in_flight', 0),
            failing=policy.keeps_failing(self.life, now),
            last_error=self.last_error, address=self.address, instance_id=self.instance_id)


class Supervisor:
    """The module calls `start` once, `tick` about every second on one thread, and `stop`.

    `tick` must always come from the same thread, and `stop` before that thread ends: workers die
    with the thread that started them.  The other methods may be called on any thread and do not
    block.
    """

    def __init__(self, host: Host, clock: Clock = time,
                 command: Callable[[Optional[str]], List[str]] = launcher.command) -> None:
        """`command` gives the words that start a worker, as `launcher.command` does."""
        self._host = host
        self._clock = clock
        self._command = command
        self._lock = threading.Lock()
        self._workers: Dict[str, _Worker] = {}
        self._leaving: List[Process] = []    # ended; their threads are about to
        self._known: Dict[str, store.Known] = {}
        self._saved: Dict[str, store.Known] = {}
        self._stopping = False
        self._refresh: Set[str] = set()
        self._awake = self._last_tick = clock.monotonic()

    def start(self) -> None:
        """Read what is known of workers that ran before; `tick` starts the new ones."""
        self._known = store.load(self._host)
        self._saved = dict(self._known)
        orphans.clear(known.pid for known in self._known.values())
        with self._lock:
            for worker_id in self._known:
                self._workers[worker_id] = _Worker(worker_id, self._clock.time())

    def tick(self) -> str:
        """Do what is due, and return one sentence that says what was done.

        Raise nothing: what goes wrong with one worker is that worker's last error.
        """
        now = self._clock.monotonic()
        if now - self._last_tick > LONG_PAUSE:
            self._awake = now
        self._last_tick = now
        try:
            done = self._cycle()
        except Exception as error:
            self._host.log.exception('the supervisor of the workers failed; please report this')
            done = ['failed: %s' % error]
        return ', '.join(done) or 'nothing to do'

    def refresh(self, global_id: str = "") -> None:
        """Have the workers look at pools again, and at this image, with the next tick."""
        with self._lock:
            self._refresh.update({global_id})

    def restart(self, worker_id: Optional[str] = None) -> List[str]:
        """Given a worker, or none for all, start it afresh at once; return who was meant.

        Raise NotFound where there is no such worker.
        """
        with self._lock:
            if worker_id is not None and worker_id not in self._workers:
                raise NotFound("worker '%s': there is none; see ceph rbd-mirror worker ls"
                               % worker_id)
            meant = [worker_id] if worker_id is not None else sorted(self._workers)
            for name in meant:
                worker = self._workers[name]
                worker.life = policy.forgiven(worker.life)
                worker.last_error = ''
                if worker.state != STOPPING:
                    self._ask_to_stop(worker)
            return meant

    def stop(self) -> None:
        """End all workers: in order where they do so in a few seconds, else by force."""
        with self._lock:
            self._stopping = True
            processes = [worker.process for worker in self._workers.values() if worker.process]
            for worker in self._workers.values():
                self._ask_to_stop(worker)
        _wait(processes, STOP_SECONDS)
        for process in processes:
            process.kill('did not stop with the module')
        _wait(processes, KILLED_SECONDS)
        self._join_threads()
        self._write_logs()

    def workers(self) -> List[WorkerView]:
        """Return every worker, in order."""
        now = self._clock.monotonic()
        with self._lock:
            return [self._workers[name].view(now) for name in sorted(self._workers, key=_order)]

    def images(self) -> List[ImageReport]:
        """Return every image as its worker reported it last, in order of their specs."""
        with self._lock:
            reports = [_as_heard(image, worker.heard) for worker in self._workers.values()
                       for image in worker.reports.images.values()]
        # A pool that has just moved is still among the reports of the worker that had it.
        newest = {image.global_id: image for image in sorted(reports, key=lambda i: i.since)}
        return sorted(newest.values(), key=lambda image: (image.spec, image.global_id))

    def trouble(self) -> Dict[str, str]:
        """Return why pools are not replayed, by their names."""
        return trouble(pool for view in self.workers() for pool in view.pools)

    def health(self) -> List[HealthItem]:
        """Return what is wrong, by code and subject."""
        views = self.workers()
        failing = [HealthItem(WORKER_FAILING, view.id, (
            "worker '%s' keeps failing: %s; see the log of ceph-mgr; when that is repaired, run: "
            'ceph rbd-mirror worker restart %s' % (view.id, view.last_error, view.id)))
            for view in views if view.failing]
        return failing + health_items([pool for view in views for pool in view.pools],
                                      self.images(), self._clock.time())

    # The tick, in order.

    def _cycle(self) -> List[str]:
        self._settle_count()
        self._join_threads()
        self._write_logs()
        done = []
        for worker in self._each():
            try:
                done += self._step(worker)
            except MirrorError as error:
                self._failed(worker, str(error))
                done.append('worker %s cannot be started' % worker.id)
        self._tell()
        self._save()
        return done

    def _settle_count(self) -> None:
        count = policy.wanted_count(int(self._host.get_option('workers')))
        wanted = [PREFIX + str(number) for number in range(count)]
        with self._lock:
            for worker_id in wanted:
                if worker_id not in self._workers:
                    self._workers[worker_id] = _Worker(worker_id, self._clock.time())
            for worker in self._workers.values():
                worker.wanted = worker.id in wanted

    def _step(self, worker: _Worker) -> List[str]:
        now = self._clock.monotonic()
        action = policy.next_action(worker.life, worker.wanted, now, self._awake)
        if action is Action.START:
            return self._start(worker)
        if action is Action.ASK_TO_STOP:
            with self._lock:
                self._ask_to_stop(worker)
            return ['asked worker %s to stop' % worker.id]
        if action is Action.KILL:
            return self._kill(worker)
        if worker.life.started is None and not worker.wanted:
            return self._retire(worker)
        return []

    def _start(self, worker: _Worker) -> List[str]:
        """Raise MirrorError where that is not possible."""
        key = accounts.ensure(self._host, worker.id)
        options = dict(self._host.worker_options())
        hello = ManagerHello(
            worker=worker.id, entity=accounts.entity(worker.id), key=key,
            mon_host=self._host.mon_host(), fsid=self._host.fsid(), options=options,
            dead=self._known.get(worker.id, store.Known()).addresses)
        words = self._command(self._host.get_option('worker_python') or None)
        with self._lock:
            if self._stopping:
                return []
            popen = launcher.start(words)
            worker.started(policy.after_start(worker.life, self._clock.monotonic()),
                           self._clock.time())
            worker.process = Process(
                popen,
                lambda message: self._heard(worker, message),
                lambda text: worker.log.put('warning', text),
                lambda reason: self._ended(worker, reason))
            worker.process.send(hello)
            worker.told_options = options
        return ['started worker %s' % worker.id]

    def _kill(self, worker: _Worker) -> List[str]:
        asked = worker.life.asked is not None
        with self._lock:
            if worker.process:
                worker.process.kill('did not stop when asked' if asked else 'hung: said nothing '
                                    'for %d s' % policy.SILENCE_SECONDS)
        return ['killed worker %s' % worker.id]

    def _retire(self, worker: _Worker) -> List[str]:
        """Drop a worker that is wanted no more.  A user that stays is removed by the next start."""
        with self._lock:
            del self._workers[worker.id]
        try:
            accounts.remove(self._host, worker.id)
        except MirrorError as error:
            self._host.log.warning('%s', error)
        else:
            with self._lock:
                self._known.pop(worker.id, None)
        return ['removed worker %s' % worker.id]

    def _tell(self) -> None:
        options = dict(self._host.worker_options())
        with self._lock:
            refresh, self._refresh = self._refresh, set()
            for worker in self._workers.values():
                if worker.process is None or worker.state == STOPPING:
                    continue
                if options != worker.told_options:
                    worker.process.send(WorkerOptions(options))
                    worker.told_options = options
                if refresh:
                    worker.process.send(Command(COMMAND_REFRESH, {
                        'images': sorted(filter(None, refresh))}))

    def _save(self) -> None:
        with self._lock:
            known = dict(self._known)
        if known != self._saved:
            store.save(self._host, known)
            self._saved = known

    def _join_threads(self) -> None:
        """A thread that outlives the module would end the manager with its interpreter."""
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for process in leaving:
            process.join(KILLED_SECONDS)

    def _write_logs(self) -> None:
        for worker in self._each():
            for level, text in worker.log.drain():
                self._host.log.log(_LEVELS[level], 'worker %s: %s', worker.id, text)

    def _each(self) -> List[_Worker]:
        with self._lock:
            return [self._workers[name] for name in sorted(self._workers, key=_order)]

    # With the lock held.

    def _ask_to_stop(self, worker: _Worker) -> None:
        if worker.process:
            worker.turn(policy.after_ask(worker.life, self._clock.monotonic()),
                        self._clock.time())
            worker.process.send(Command(COMMAND_STOP))

    # On threads of the worker's process, and where a start fails.

    def _heard(self, worker: _Worker, message: Message) -> None:
        with self._lock:
            if isinstance(message, WorkerHello) and message.address:
                worker.address = message.address
                worker.instance_id = message.instance_id
                known = self._known.get(worker.id, store.Known())
                pid = worker.process.pid if worker.process else message.pid
                self._known[worker.id] = known.connected(pid, message.address)
            worker.turn(policy.after_word(worker.life, self._clock.monotonic(),
                                          bool(worker.address)), self._clock.time())
            if isinstance(message, Heartbeat):
                if not worker.reported:
                    worker.reports = Reports()
                    worker.reported = True
                dropped = worker.reports.dropped
                worker.reports.heartbeat(message)
                if worker.reports.dropped and not dropped:
                    worker.log.put('warning', 'reports more than %d images: the others are '
                                   'left out here' % MOST_IMAGES)
                worker.heard = self._clock.time()
        if isinstance(message, Event):
            worker.log.put(message.level, '%s: %s' % (message.code, message.text))
        elif isinstance(message, LogLine):
            worker.log.put(message.level, message.text)

    def _ended(self, worker: _Worker, reason: str) -> None:
        with self._lock:
            asked = worker.life.asked is not None
            fenced = False
            if worker.process:
                fenced = worker.process.status == EXIT_FENCED
                self._leaving.append(worker.process)
            worker.process = None
            worker.turn(policy.after_end(worker.life, self._clock.monotonic(), fenced),
                        self._clock.time())
            if not asked:
                worker.last_error = reason
        worker.log.put('info' if asked else 'error', reason)

    def _failed(self, worker: _Worker, reason: str) -> None:
        with self._lock:
            worker.life = policy.after_failure(worker.life, self._clock.monotonic())
            worker.last_error = reason
        worker.log.put('error', reason)


def _wait(processes: List[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        process.ended.wait(max(0.0, deadline - time.monotonic()))


def _as_heard(image: ImageReport, heard: float) -> ImageReport:
    """A copy that has all was as its primary when its worker was heard of last."""
    return dataclasses.replace(image, copied=heard) if image.current else image


def _order(worker_id: str) -> Tuple[int, str]:
    """mirror-mgr.10 comes after mirror-mgr.9."""
    return len(worker_id), worker_id
