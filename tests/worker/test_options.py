import pytest

from mirror_mgr.errors import InvalidArgument
from mirror_mgr.worker.options import HELP, USAGE, VERSION, Options, parse, refuse_leftovers


def parsed(line):
    return parse(line.split())


def test_nothing_given_is_the_daemon_as_admin():
    assert parse([]) == Options(entity='client.admin', cluster='ceph')


def test_the_daemon_s_own_line():
    assert parsed('-f -c C -n client.rbd-mirror.b --log-file F --admin-socket S') == Options(
        foreground=True, conf='C', entity='client.rbd-mirror.b', log_file='F', admin_socket='S')


@pytest.mark.parametrize('line', [
    '--conf C --cluster site-b --id rbd-mirror.b --pid-file P',
    '--conf=C --cluster=site-b --id=rbd-mirror.b --pid-file=P',
    '-c C --cluster site-b -i rbd-mirror.b --pid_file=P',
    '-c C --cluster site-b --user rbd-mirror.b --pid_file P',
    '-c X -n client.x --cluster site-b -n client.rbd-mirror.b --pid_file P -c C',
    '-c C --cluster site-b --name=client.rbd-mirror.b --pid_file P',
])
def test_every_spelling_says_the_same(line):
    assert parsed(line) == Options(conf='C', cluster='site-b', entity='client.rbd-mirror.b',
                                   pid_file='P')


def test_d_is_foreground_with_the_log_on_stderr():
    assert parsed('-d') == Options(foreground=True, log_to_stderr=True)


def test_user_and_group():
    assert parsed('--setuser ceph --setgroup=ceph') == Options(setuser='ceph', setgroup='ceph')


def test_options_of_ceph_pass_through_in_order():
    line = '--rbd-mirror-x 3 -k /k --debug_rbd_mirror=20 --no-mon-host -m 1.2.3.4 --keyfile F'
    assert parsed(line + ' -f').ceph_args == tuple(line.split())
    assert parsed(line + ' -f').foreground


def test_a_value_may_look_like_an_option_of_ours():
    assert parsed('-c -f') == Options(conf='-f')


@pytest.mark.parametrize('line', ['--key S', '--key=S', '--managed --key S'])
def test_a_key_is_refused_with_the_cure(line):
    with pytest.raises(InvalidArgument) as caught:
        parsed(line)
    assert '--keyfile' in str(caught.value) and 'S;' not in str(caught.value)


@pytest.mark.parametrize('line', ['pool', '-x', '-f pool', '--', '-', '-c=C', '-f=1', '-m=x',
                                  '--managed=1'])
def test_other_words_are_refused(line):
    with pytest.raises(InvalidArgument) as caught:
        parsed(line)
    assert '--help' in str(caught.value)


@pytest.mark.parametrize('line', ['-c', '--name', '-f --log-file', '-m'])
def test_a_value_that_is_missing(line):
    with pytest.raises(InvalidArgument) as caught:
        parsed(line)
    assert 'needs a value' in str(caught.value)


@pytest.mark.parametrize('name', ['admin', 'client.', 'osd.0', '', '.b'])
def test_only_clients(name):
    with pytest.raises(InvalidArgument):
        parse(['-n', name])


def test_help_and_version_win():
    assert parsed('-f -h').action == HELP
    assert parsed('--version -c C').action == VERSION
    assert parsed('--managed --help').action == HELP


def test_managed():
    assert parsed('--managed') == Options(managed=True, foreground=True)


@pytest.mark.parametrize('line', ['--managed -c C', '--managed -f', '--managed --rbd-x 1'])
def test_managed_stands_alone(line):
    with pytest.raises(InvalidArgument):
        parsed(line)


def test_what_librados_gives_back_is_refused():
    refuse_leftovers([])
    with pytest.raises(InvalidArgument) as caught:
        refuse_leftovers(['--rbd-mirorr=secret', 'x'])
    assert str(caught.value).startswith('--rbd-mirorr: ')


def test_usage_fits_a_terminal():
    assert all(len(line) <= 79 for line in USAGE.splitlines())
