import logging

import pytest

from mirror_mgr.supervisor import store
from mirror_mgr.supervisor.store import Known


class Host:
    log = logging.getLogger('test')

    def __init__(self, value=None):
        self.value = value

    def get_store(self, key):
        return self.value

    def set_store(self, key, value):
        self.value = value


def test_what_is_saved_is_loaded():
    host = Host()
    workers = {'mirror-mgr.0': Known(17, ('127.0.0.1:0/2', '127.0.0.1:0/1')), 'b': Known()}
    store.save(host, workers)
    assert store.load(host) == workers


@pytest.mark.parametrize('value', [None, '', '{', '[]', '1', '{"a": 1}', '{"a": {"pid": 1}}',
                                   '{"a": {"pid": "x", "addresses": []}}'])
def test_nothing_or_nonsense_is_nobody(value):
    assert store.load(Host(value)) == {}


def test_the_newest_addresses_are_kept():
    known = Known()
    for number in range(9):
        known = known.connected(number, '127.0.0.1:0/%d' % number)
    assert known == Known(8, tuple('127.0.0.1:0/%d' % number for number in (8, 7, 6, 5)))
    assert known.connected(9, '127.0.0.1:0/6').addresses == tuple(
        '127.0.0.1:0/%d' % number for number in (6, 8, 7, 5))
