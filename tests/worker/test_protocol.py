import json

import pytest

from mirror_mgr.errors import InvalidArgument, MalformedData
from mirror_mgr.worker import protocol
from mirror_mgr.worker.protocol import (
    TEXT_LENGTH,
    Command,
    Event,
    Heartbeat,
    ImageReport,
    LogLine,
    ManagerHello,
    PoolReport,
    SyncReport,
    Unknown,
    WorkerHello,
    WorkerOptions,
    decode,
    encode,
)

HELLO = ManagerHello('mirror-mgr.0', 'client.rbd-mirror.mirror-mgr.0', 'SECRET', '127.0.0.1:3300',
                     'f-s-i-d', {'bytes_in_flight_mib': 64}, ('127.0.0.1:0/123',))
IMAGE = ImageReport('p/ns/i', 'g1', 'syncing', 'why', 1700000000.5, 1700000000.25,
                    SyncReport(7, 12.5, 5, 40, 2.5, 14.0))
POOL = PoolReport(2, 'p/ns', True, None, {'total': 3, 'error': 1}, 'no monitor answers')


@pytest.mark.parametrize('message', [
    HELLO,
    WorkerOptions({'bytes_in_flight_mib': 8}),
    Command('stop'),
    WorkerHello(17),
    WorkerHello(17, '127.0.0.1:0/9', '4711'),
    Heartbeat({'rss_bytes': 5}, (POOL,), (IMAGE,), ('g2',)),
    Event('warning', 'split-brain', 'p/i: both sites wrote'),
    LogLine('info', 'caf\u00e9 \U0001f431 \udcff'),
])
def test_what_is_sent_arrives(message):
    line = encode(message)
    assert line.endswith(b'\n') and line.count(b'\n') == 1
    assert decode(line) == message


def test_no_repr_shows_the_key():
    assert 'SECRET' not in repr(HELLO)
    assert 'client.rbd-mirror.mirror-mgr.0' in repr(HELLO)


def test_keys_that_are_not_known_are_ignored():
    fields = json.loads(encode(Heartbeat(images=(IMAGE,))))
    fields['mood'] = 'fine'
    fields['images'][0]['colour'] = 'blue'
    assert decode(json.dumps(fields).encode()) == Heartbeat(images=(IMAGE,))


def test_a_type_that_is_not_known_is_told_apart():
    assert decode(b'{"v": 1, "type": "song", "text": "la"}') == Unknown('song')


def test_a_level_that_is_not_known_is_information():
    assert decode(b'{"v": 1, "type": "log", "level": "fatal", "text": "x"}') == LogLine('info', 'x')


@pytest.mark.parametrize('line, why', [
    (b'', 'JSON'),
    (b'\xff\xfe\n', 'JSON'),
    (b'[' * 100000, 'JSON'),
    (b'[]', 'object'),
    (b'{"type": "log"}', 'version'),
    (b'{"v": 2, "type": "log"}', 'version'),
    (b'{"v": 1}', 'no type'),
    (b'{"v": 1, "type": 3}', 'no type'),
    (b'{"v": 1, "type": "worker-hello"}', 'pid is missing'),
    (b'{"v": 1, "type": "worker-hello", "pid": true}', 'pid: not an integer'),
    (b'{"v": 1, "type": "worker-hello", "pid": 1, "address": 2}', 'address: not a string'),
    (b'{"v": 1, "type": "heartbeat", "removed": 1}', 'removed: not a list'),
    (b'{"v": 1, "type": "options", "values": []}', 'values: not an object'),
    (b'{"v": 1, "type": "heartbeat", "images": [{}]}', 'images: spec is missing'),
    (b'{"v": 1, "type": "heartbeat", "pools": [{"id": 1, "name": "p", "leader": 1}]}', 'leader'),
    (b' ' * (protocol.MAX_LINE + 1), 'bound'),
    (b'{"v": 1, "type": "worker-hello", "pid": ' + b'9' * 10**6 + b'}', 'JSON'),
    (b'{"v": 1, "type": "worker-hello", "pid": 1, "address": "' + b'9' * 400 + b'"}', 'bound'),
    (b'{"v": 1, "type": "log", "level": "info", "text": "' + b'x' * 70000 + b'"}', 'bound'),
    (b'{"v": 1, "type": "heartbeat", "counters": {"' + b'x' * 400 + b'": 1}}', 'bound'),
    (json.dumps({'v': 1, 'type': 'heartbeat', 'counters': dict.fromkeys(
        map(str, range(200)), 1)}).encode(), 'bound'),
    (json.dumps({'v': 1, 'type': 'heartbeat', 'images': [
        {'spec': 's', 'global_id': 'g', 'state': 'x'}] * 201}).encode(), 'bound'),
    (b'{"v": 1, "type": "heartbeat", "images": [{"spec": "s", "global_id": "g", "state": "x",'
     b' "since": NaN}]}', 'finite'),
    (b'{"v": 1, "type": "heartbeat", "images": [{"spec": "s", "global_id": "g", "state": "x",'
     b' "since": 1e999}]}', 'finite'),
])
def test_other_lines_are_malformed(line, why):
    with pytest.raises(MalformedData) as caught:
        decode(line)
    assert why in str(caught.value)


def test_no_error_quotes_the_line():
    with pytest.raises(MalformedData) as caught:
        decode(b'{"v": 1, "type": "manager-hello", "key": "SECRET", "worker": "SECRET"')
    assert 'SECRET' not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_longest_heartbeat_fits():
    cats = '\U0001f431' * 9000
    image = ImageReport(cats, cats[:256], 'split-brain', cats, 1e9, 1e9,
                        SyncReport(2**63, 100 / 3, 2**63, 2**63, 1e9 / 3, 1e9 / 3))
    full = Heartbeat(images=(image,) * protocol.IMAGES_PER_HEARTBEAT)
    received = decode(encode(full))
    assert len(received.images) == protocol.IMAGES_PER_HEARTBEAT
    assert len(received.images[0].reason) == protocol.REASON_LENGTH
    assert len(received.images[0].spec) == protocol.NAME_LENGTH
    with pytest.raises(InvalidArgument):
        encode(Heartbeat(images=full.images + (image,)))


def test_long_texts_are_cut():
    assert len(decode(encode(LogLine('info', 'x' * protocol.MAX_LINE))).text) == TEXT_LENGTH
    pool = PoolReport(2, 'p' * 10**6, False, 'client' * 10**6, {}, 'no answer' * 10**6)
    [received] = decode(encode(Heartbeat(pools=(pool,)))).pools
    assert len(received.peer_error) == len(received.foreign_leader) == protocol.REASON_LENGTH


def test_nothing_longer_than_the_bound_is_sent():
    with pytest.raises(InvalidArgument):
        encode(WorkerOptions({'x': 'x' * protocol.MAX_LINE}))


def test_only_messages_are_sent():
    with pytest.raises(InvalidArgument):
        encode(Unknown('song'))
