from mirror_mgr.supervisor.model import FOREIGN_DAEMON, PEER_UNREACHABLE, SPLIT_BRAIN
from mirror_mgr.supervisor.reports import Reports, health_items
from mirror_mgr.worker.protocol import Heartbeat, ImageReport, PoolReport, Progress


def test_heartbeats_add_up():
    reports = Reports()
    reports.heartbeat(Heartbeat({'syncs': 1, 'rss_bytes': 5}, (PoolReport(1, 'p'),),
                                (ImageReport('p/a', 'ga', 'syncing'),
                                 ImageReport('p/b', 'gb', 'replaying'))))
    reports.heartbeat(Heartbeat({'syncs': 2}, (), (ImageReport('p/a', 'ga', 'replaying'),),
                                ('gb', 'gz')))
    assert reports.counters == {'syncs': 2, 'rss_bytes': 5}
    assert reports.pools == ()
    assert reports.images == {'ga': ImageReport('p/a', 'ga', 'replaying')}


def test_progress_shows_on_an_image_that_syncs():
    reports = Reports()
    reports.heartbeat(Heartbeat(images=(ImageReport('p/a', 'ga', 'syncing'),
                                        ImageReport('p/b', 'gb', 'replaying'))))
    for global_id in ('ga', 'gb', 'gz'):
        reports.progress(Progress('p/x', global_id, 's', 1, 4))
        reports.progress(Progress('p/x', global_id, 's', 0, 0))
    assert reports.images['ga'].percent == 25.0
    assert reports.images['gb'].percent is None


def test_all_is_well():
    assert health_items([PoolReport(1, 'p', leader=True)],
                        [ImageReport('p/a', 'g', 'error', reason='no snapshot yet')]) == []


def test_what_is_wrong_is_named():
    items = health_items(
        [PoolReport(2, 'q', foreign_leader='client.4711 at 10.0.0.1'),
         PoolReport(1, 'p', peer_error='no monitor of site-a answers')],
        [ImageReport('p/z', 'g1', 'error', code='split-brain'),
         ImageReport('p/a', 'g2', 'error', code='split-brain')])
    assert [(item.code, item.subject) for item in items] == [
        (FOREIGN_DAEMON, 'q'), (PEER_UNREACHABLE, 'p'), (SPLIT_BRAIN, 'p/a'), (SPLIT_BRAIN, 'p/z')]
    assert 'client.4711 at 10.0.0.1' in items[0].text
    assert 'no monitor of site-a answers' in items[1].text
