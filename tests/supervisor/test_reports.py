from mirror_mgr import states
from mirror_mgr.supervisor import reports as product
from mirror_mgr.supervisor.model import (
    FOREIGN_DAEMON,
    IMAGE_ERROR,
    PEER_UNREACHABLE,
    SPLIT_BRAIN,
)
from mirror_mgr.supervisor.reports import ERROR_SECONDS, Reports, health_items, trouble
from mirror_mgr.worker.protocol import COUNTERS, Heartbeat, ImageReport, PoolReport


def test_heartbeats_add_up():
    reports = Reports()
    reports.heartbeat(Heartbeat({'syncs': 1, 'rss_bytes': 5}, (PoolReport(1, 'p'),),
                                (ImageReport('p/a', 'ga', 'syncing'),
                                 ImageReport('p/b', 'gb', 'up-to-date'))))
    reports.heartbeat(Heartbeat({'syncs': 2}, (), (ImageReport('p/a', 'ga', 'up-to-date'),),
                                ('gb', 'gz')))
    assert reports.counters == {'syncs': 2, 'rss_bytes': 5}
    assert reports.pools == ()
    assert reports.images == {'ga': ImageReport('p/a', 'ga', 'up-to-date')}


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(product, 'MOST_IMAGES', 3)
    reports = Reports()
    for number in range(300):
        reports.heartbeat(Heartbeat(
            {'counter %d' % number: 1}, (), (ImageReport('p/a', 'g%d' % number, 'syncing'),)))
    assert len(reports.counters) <= COUNTERS
    assert list(reports.images) == ['g0', 'g1', 'g2'] and reports.dropped == 297
    reports.heartbeat(Heartbeat(images=(ImageReport('p/a', 'g1', 'up-to-date'),), removed=('g0',)))
    assert reports.images['g1'].state == 'up-to-date'
    reports.heartbeat(Heartbeat(images=(ImageReport('p/a', 'g9', 'up-to-date'),)))
    assert list(reports.images) == ['g1', 'g2', 'g9']


def test_all_is_well():
    assert health_items([PoolReport(1, 'p', leader=True)], [
        ImageReport('p/a', 'g', state, 'why') for state in states.ALL
        if state not in (states.ERROR, states.SPLIT_BRAIN)], 1e9) == []


def test_one_failed_attempt_is_no_news():
    failed = ImageReport('p/a', 'g', states.ERROR, 'no space', since=100.0)
    assert health_items([], [failed], 100.0 + ERROR_SECONDS) == []
    [item] = health_items([], [failed], 101.0 + ERROR_SECONDS)
    assert (item.code, item.subject) == (IMAGE_ERROR, 'p/a')
    assert 'no space' in item.text


def test_what_is_wrong_is_named():
    items = health_items(
        [PoolReport(2, 'q', foreign_leader='client.4711 at 10.0.0.1'),
         PoolReport(1, 'p', peer_error='no monitor of site-a answers')],
        [ImageReport('p/z', 'g1', 'split-brain'), ImageReport('p/a', 'g2', 'split-brain')], 0.0)
    assert [(item.code, item.subject) for item in items] == [
        (FOREIGN_DAEMON, 'q'), (PEER_UNREACHABLE, 'p'), (SPLIT_BRAIN, 'p/a'), (SPLIT_BRAIN, 'p/z')]
    assert 'client.4711 at 10.0.0.1' in items[0].text
    assert 'no monitor of site-a answers' in items[1].text
    assert 'ceph rbd-mirror image status p/a' in items[2].text


def test_namespaces_share_the_trouble_of_their_pool():
    pools = [PoolReport(1, 'p', peer_error='no answer'),
             PoolReport(1, 'p/ns', peer_error='no answer'),
             PoolReport(2, 'q', foreign_leader='client.4711'), PoolReport(3, 'r')]
    assert [(item.code, item.subject) for item in health_items(pools, [], 0.0)] == [
        (FOREIGN_DAEMON, 'q'), (PEER_UNREACHABLE, 'p')]
    assert trouble(pools) == {
        'p': 'no answer', 'q': 'the rbd-mirror daemon client.4711 has the pool'}
