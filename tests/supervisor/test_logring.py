from mirror_mgr.supervisor.logring import MOST_CHARACTERS, MOST_LINES, LogRing


def test_each_line_comes_out_once():
    ring = LogRing()
    ring.put('info', 'a')
    ring.put('error', 'b')
    assert ring.drain() == [('info', 'a'), ('error', 'b')]
    assert ring.drain() == []


def test_the_newest_stay_and_the_loss_is_told():
    ring = LogRing()
    for number in range(MOST_LINES + 5):
        ring.put('info', str(number))
    lines = ring.drain()
    assert lines[0] == ('warning', '5 lines left out')
    assert lines[1] == ('info', '5')
    assert len(lines) == MOST_LINES + 1


def test_a_long_line_is_cut():
    ring = LogRing()
    ring.put('info', 'x' * 99999)
    assert ring.drain() == [('info', 'x' * MOST_CHARACTERS)]
