from mirror_mgr import states
from mirror_mgr.supervisor import reports as product
from mirror_mgr.supervisor.model import (
    COPIES_HELD,
    COPIES_REMOVED,
    FOREIGN_DAEMON,
    IMAGE_ERROR,
    PEER_UNREACHABLE,
    SPLIT_BRAIN,
)
from mirror_mgr.supervisor.reports import (
    ERROR_SECONDS,
    Reports,
    health_items,
    removals,
    trouble,
)
from mirror_mgr.worker.protocol import (
    COUNTERS,
    Heartbeat,
    ImageReport,
    PoolReport,
    RemovedReport,
)


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
        'p': 'no answer', 'p/ns': 'no answer',
        'q': 'the rbd-mirror daemon client.4711 has the pool'}


def test_a_namespace_can_have_trouble_of_its_own():
    pools = [PoolReport(1, 'p'), PoolReport(1, 'p/ns', peer_error='not mirrored there'),
             PoolReport(1, 'p/other', foreign_leader='client.4711')]
    [item] = health_items(pools, [], 0.0)
    assert (item.code, item.subject) == (PEER_UNREACHABLE, 'p/ns')
    assert 'not mirrored there' in item.text and 'pool info p/ns' in item.text
    assert trouble(pools) == {'p/ns': 'not mirrored there'}


def test_copies_whose_primary_is_gone():
    """Of all workers' reports together, of a pool and of its namespaces apart."""
    held = tuple(RemovedReport(f'h{n}', f'1{n}', 100.0 + n, True) for n in range(6))
    gone = (RemovedReport('late', '2e', 50.0), RemovedReport('soon', '3d', 10.0))
    found = {(item.code, item.subject): item.text for item in removals([
        PoolReport(1, 'p', removed=held[:3], removed_total=3, held_total=3),
        PoolReport(1, 'p', removed=held[3:] + gone, removed_total=9, held_total=7),
        PoolReport(1, 'p/ns', removed=gone, removed_total=2), PoolReport(2, 'q')])}
    assert set(found) == {
        (COPIES_HELD, 'p'), (COPIES_REMOVED, 'p'), (COPIES_REMOVED, 'p/ns')}
    told = found[COPIES_HELD, 'p']
    assert '10 copies' in told and 'and 5 more' in told and 'late' not in told
    assert 'h0 (id 10, until 1970-01-01T00:01:40Z)' in told
    assert 'ceph rbd-mirror pool confirm-removal p;' in told
    told = found[COPIES_REMOVED, 'p']
    assert 'has 2 copies' in told and told.index('soon') < told.index('late')
    assert 'more' not in told and 'h0' not in told
    assert 'ceph rbd-mirror image restore p/ns/ID' in found[COPIES_REMOVED, 'p/ns']


def test_a_time_that_no_calendar_has_ends_nothing():
    for until in (-1e300, 1e300, float('inf')):
        [item] = removals([PoolReport(
            1, 'p', removed=(RemovedReport('i', '1f', until),), removed_total=1)])
        assert 'until ' in item.text
