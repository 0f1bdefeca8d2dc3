import ast
import json
import logging
import os
import signal
import threading

import pytest

from mirror_mgr.errors import NotFound
from mirror_mgr.supervisor import supervisor as supervisor_module
from mirror_mgr.supervisor.model import RUNNING, STARTING, WAITING, WORKER_FAILING
from mirror_mgr.supervisor.supervisor import Supervisor
from tests.supervisor.processes import DEADLINE, gone, until, words

ZERO, ONE = 'mirror-mgr.0', 'mirror-mgr.1'


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return 1.7e9 + self.now


class Host:
    """A manager with monitors that obey."""

    def __init__(self):
        self.options = {'workers': 1, 'worker_python': None}
        self.for_workers = {'bytes_in_flight_mib': 64}
        self.stored = {}
        self.writes = 0
        self.users = {}
        self.refuses = None
        self.lines = []
        self.log = logging.Logger('mirror_mgr.test')
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())
        self.log.addHandler(handler)

    def mon_command(self, command):
        if self.refuses:
            return self.refuses
        if command['prefix'] == 'auth rm':
            self.users.pop(command['entity'], None)
        else:
            self.users[command['entity']] = command.get('caps')
        return 0, json.dumps([{'entity': command['entity'], 'key': 'SECRET'}]), ''

    def get_option(self, name):
        return self.options[name]

    def worker_options(self):
        return self.for_workers

    def fsid(self):
        return 'f-s-i-d'

    def mon_host(self):
        return '127.0.0.1:3300'

    def get_store(self, key):
        return self.stored.get(key)

    def set_store(self, key, value):
        self.writes += 1
        self.stored[key] = value


class Bench:
    """A supervisor with a fake host and a fake clock, and real processes."""

    def __init__(self):
        self.host = Host()
        self.clock = Clock()
        self.how = 'good'
        self.supervisor = Supervisor(self.host, self.clock, lambda python: words(self.how))

    def view(self, worker_id=ZERO):
        return {view.id: view for view in self.supervisor.workers()}.get(worker_id)

    def tick(self, seconds=1.0):
        """Let time pass as the module does, tick by tick."""
        sentences = []
        while seconds > 0:
            self.clock.now += min(1.0, seconds)
            seconds -= 1.0
            sentences.append(self.supervisor.tick())
        return sentences[-1]

    def run(self, worker_id=ZERO):
        """Tick, and wait until the worker runs and has reported."""
        self.tick()
        until(lambda: self.view(worker_id).pools and self.view(worker_id).rss_bytes, 'a report')
        return self.view(worker_id)

    def heard(self, worker_id=ZERO):
        """What the fake worker says it was told: options, dead, and the last message."""
        return ast.literal_eval(self.view(worker_id).pools[0].name)

    def end_of(self, pid):
        until(lambda: gone(pid), 'the end of the process')
        until(lambda: pid not in [view.pid for view in self.supervisor.workers()], 'its notice')


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(supervisor_module, 'STOP_SECONDS', 0.1)
    bench = Bench()
    bench.supervisor.start()
    yield bench
    bench.supervisor.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('worker-')]


def test_a_worker_is_started_and_told_all(bench):
    assert bench.supervisor.workers() == []
    assert bench.tick() == 'started worker ' + ZERO
    view = bench.run()
    assert view.state == RUNNING
    assert view.entity == 'client.rbd-mirror.' + ZERO
    assert view.address == '127.0.0.1:0/%d' % view.pid and view.instance_id == '4711'
    assert (view.restarts, view.images, view.rss_bytes, view.bytes_in_flight) == (0, 1, 7, 8)
    assert view.last_error == '' and not view.failing
    assert bench.heard() == ({'bytes_in_flight_mib': 64}, (), 'ManagerHello')
    [image] = bench.supervisor.images()
    assert (image.spec, image.copied) == ('p/i', bench.clock.time())
    assert bench.supervisor.health() == []
    assert bench.tick() == 'nothing to do'


def test_no_secret_is_shown(bench):
    pid = bench.run().pid
    with open('/proc/%d/cmdline' % pid) as cmdline, open('/proc/%d/environ' % pid) as environ:
        assert 'SECRET' not in cmdline.read() + environ.read()
    assert 'SECRET' not in repr(bench.supervisor.workers()) + repr(bench.host.lines)


def test_a_killed_worker_is_restarted_and_its_successor_told_of_it(bench):
    before = bench.run()
    bench.tick()
    os.kill(before.pid, signal.SIGKILL)
    bench.end_of(before.pid)
    view = bench.view()
    assert (view.state, view.pid, view.last_error) == (WAITING, None, 'ended by signal 9')
    assert view.rss_bytes == 0
    assert bench.tick(0.5) == 'nothing to do'
    assert bench.tick(0.5) == 'started worker ' + ZERO
    after = bench.run()
    assert after.pid != before.pid and after.restarts == 1
    assert bench.heard()[1] == (before.address,)
    assert after.last_error == 'ended by signal 9'


def test_a_fenced_worker_is_started_again_at_once(bench):
    bench.how = 'fenced'
    bench.tick()
    until(lambda: bench.view().address, 'its connection')
    before = bench.view()
    bench.tick(11.0)
    bench.how = 'good'
    bench.supervisor.refresh()
    bench.tick(0.1)
    bench.end_of(before.pid)
    assert bench.view().last_error == 'its client was blocklisted'
    assert bench.tick(0.1) == 'started worker ' + ZERO
    bench.run()
    assert bench.heard()[1] == (before.address,)
    assert not bench.view().failing


def test_what_was_reported_last_stays_until_the_next_report(bench):
    pid = bench.run().pid
    os.kill(pid, signal.SIGKILL)
    bench.end_of(pid)
    assert bench.view().images == 1
    bench.how = 'stubborn'
    bench.tick(2)
    until(lambda: bench.view().state == RUNNING)
    assert bench.view().images == 1


def test_a_worker_that_keeps_failing(bench):
    bench.how = 'crash'
    for failures, back_off in enumerate([1, 2, 4], start=1):
        bench.tick(0.1)
        until(lambda: bench.view().state == WAITING and bench.view().last_error, 'the crash')
        assert bench.view().restarts == failures - 1
        assert bench.view().failing == (failures == 3)
        if failures < 3:
            assert bench.tick(back_off - 0.2) == 'nothing to do'
            bench.clock.now += 0.2
    [item] = bench.supervisor.health()
    assert (item.code, item.subject) == (WORKER_FAILING, ZERO)
    assert 'No module named rados' in item.text and 'worker restart ' + ZERO in item.text
    bench.tick(0.1)
    assert any('No module named rados' in line for line in bench.host.lines)
    bench.how = 'good'
    assert bench.supervisor.restart(ZERO) == [ZERO]
    assert bench.run().state == RUNNING
    assert bench.supervisor.health() == []


def test_the_monitors_refuse(bench):
    bench.host.refuses = (-13, '', 'access denied')
    assert bench.tick() == 'worker %s cannot be started' % ZERO
    assert 'access denied' in bench.view().last_error
    bench.tick(7)
    assert [item.code for item in bench.supervisor.health()] == [WORKER_FAILING]
    bench.host.refuses = None
    bench.tick(8)
    assert bench.run().state == RUNNING


def test_no_interpreter(bench):
    def command(python):
        raise NotFound('no Python')
    bench.supervisor = Supervisor(bench.host, bench.clock, command)
    bench.supervisor.start()
    bench.tick()
    assert bench.view().last_error == 'no Python'


def test_a_module_that_fails_does_not_end_the_supervisor(bench):
    bench.host.options['workers'] = None
    assert bench.tick().startswith('failed: ')
    bench.host.options['workers'] = 1
    assert bench.run().state == RUNNING


def test_a_worker_that_says_nothing_is_killed(bench):
    bench.how = 'eof'
    bench.tick()
    pid = bench.view().pid
    assert bench.view().state == STARTING
    bench.tick(29)
    assert not gone(pid)
    assert bench.tick(2) == 'killed worker ' + ZERO
    bench.end_of(pid)
    assert bench.view().last_error.startswith('hung')


def test_the_manager_s_own_pause_kills_nobody(bench):
    bench.how = 'stubborn'
    bench.tick()
    until(lambda: bench.view().state == RUNNING)
    bench.clock.now += 3600
    assert bench.supervisor.tick() == 'nothing to do'
    bench.tick(28)
    assert bench.view().state == RUNNING
    assert 'killed' in bench.tick(2)


def test_restart(bench):
    before = bench.run()
    assert bench.supervisor.restart() == [ZERO]
    bench.end_of(before.pid)
    after = bench.run()
    assert after.restarts == 1 and after.last_error == ''
    with pytest.raises(NotFound):
        bench.supervisor.restart('mirror-mgr.7')


def test_a_stubborn_worker_is_killed_after_its_time(bench):
    bench.how = 'stubborn'
    bench.tick()
    pid = until(lambda: bench.view().state == RUNNING and bench.view().pid)
    bench.supervisor.restart(ZERO)
    assert bench.tick(4) == 'nothing to do'
    assert not gone(pid)
    assert bench.tick(1) == 'killed worker ' + ZERO
    bench.end_of(pid)
    assert bench.tick() == 'started worker ' + ZERO
    assert bench.view().last_error == ''


def test_more_workers(bench):
    pid = bench.run().pid
    bench.host.options['workers'] = 2
    bench.run(ONE)
    assert bench.view(ZERO).pid == pid
    assert bench.host.users.keys() == {'client.rbd-mirror.' + ZERO, 'client.rbd-mirror.' + ONE}


def test_fewer_workers(bench):
    bench.host.options['workers'] = 2
    pid = bench.run(ONE).pid
    bench.run(ZERO)
    bench.tick()
    bench.host.options['workers'] = 1
    assert bench.tick() == 'asked worker %s to stop' % ONE
    bench.end_of(pid)
    assert bench.tick() == 'removed worker ' + ONE
    assert [view.id for view in bench.supervisor.workers()] == [ZERO]
    assert list(bench.host.users) == ['client.rbd-mirror.' + ZERO]
    assert json.loads(bench.host.stored['workers']).keys() == {ZERO}


def test_options_that_change_are_told(bench):
    bench.run()
    bench.host.for_workers = {'bytes_in_flight_mib': 8}
    bench.tick()
    until(lambda: bench.heard()[2] == 'WorkerOptions')


def test_refresh(bench):
    bench.run()
    bench.supervisor.refresh()
    bench.supervisor.refresh('g')
    bench.tick()
    until(lambda: bench.heard()[2:] == ('Command', ['g']))


def test_the_store_is_written_only_on_a_change(bench):
    view = bench.run()
    bench.tick(20)
    assert bench.host.writes == 1
    assert json.loads(bench.host.stored['workers']) == {
        ZERO: {'version': 1, 'pid': view.pid, 'addresses': [view.address]}}


def test_a_new_manager_knows_the_dead_of_the_old_one(bench):
    bench.host.stored['workers'] = json.dumps({
        ZERO: {'pid': 1, 'addresses': ['127.0.0.1:0/1']},
        'mirror-mgr.9': {'pid': 1, 'addresses': ['127.0.0.1:0/2']}})
    bench.host.users['client.rbd-mirror.mirror-mgr.9'] = []
    bench.supervisor.start()
    bench.run()
    assert bench.heard()[1] == ('127.0.0.1:0/1',)
    assert [view.id for view in bench.supervisor.workers()] == [ZERO]
    assert list(bench.host.users) == ['client.rbd-mirror.' + ZERO]


def test_stop(bench, monkeypatch):
    monkeypatch.setattr(supervisor_module, 'STOP_SECONDS', DEADLINE)
    pid = bench.run().pid
    bench.supervisor.stop()
    assert gone(pid)
    assert bench.host.lines[-1] == 'worker %s: ended with status 0' % ZERO
    assert bench.tick(5) == 'nothing to do'
    assert bench.view().pid is None
    bench.supervisor.stop()


def test_stop_kills_who_does_not_stop(bench):
    bench.how = 'stubborn'
    bench.tick()
    pid = until(lambda: bench.view().state == RUNNING and bench.view().pid)
    bench.supervisor.stop()
    assert gone(pid)


def test_stop_before_the_first_tick(bench):
    bench.supervisor.stop()
    assert bench.tick() == 'nothing to do'
    assert bench.view().pid is None


def test_commands_and_ticks_at_once(bench):
    bench.host.options['workers'] = 3
    stop = threading.Event()
    errors = []

    def ask():
        try:
            while not stop.is_set():
                bench.supervisor.workers()
                bench.supervisor.images()
                bench.supervisor.health()
                bench.supervisor.refresh()
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for worker_id in (ZERO, ONE, 'mirror-mgr.2'):
        os.kill(bench.run(worker_id).pid, signal.SIGKILL)
        bench.tick()
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert errors == []
