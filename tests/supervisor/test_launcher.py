import os
import sys

import pytest

from mirror_mgr.errors import MirrorError, NotFound
from mirror_mgr.supervisor import launcher


def test_the_line_holds_no_secret_and_no_choice():
    assert launcher.command(sys.executable) == [
        sys.executable, '-s', '-m', 'mirror_mgr.worker', '--managed']


def test_the_option_may_be_a_name(monkeypatch):
    monkeypatch.setenv('PATH', os.path.dirname(sys.executable))
    name = os.path.basename(sys.executable)
    assert launcher.command(name)[0] == os.path.join(os.path.dirname(sys.executable), name)


def test_an_option_that_is_no_program():
    with pytest.raises(NotFound) as caught:
        launcher.command('/no/python')
    assert 'worker_python' in str(caught.value)


@pytest.mark.parametrize('own', ['', None, 'MGR_PYTHON_EXECUTABLE', '/usr/bin/ceph-mgr'])
def test_an_embedded_interpreter_does_not_know_itself(own, monkeypatch):
    monkeypatch.setattr(sys, 'executable', own)
    monkeypatch.setattr(launcher.shutil, 'which', lambda name: name)
    assert launcher.command(None)[0] == '/usr/bin/python%d.%d' % sys.version_info[:2]


def test_none_at_all(monkeypatch):
    monkeypatch.setattr(launcher.shutil, 'which', lambda name: None)
    with pytest.raises(NotFound):
        launcher.command(None)


def test_the_environment_is_clean(monkeypatch):
    monkeypatch.setenv('CEPH_ARGS', '--key SECRET')
    monkeypatch.setenv('PYTHONPATH', '/bindings')
    monkeypatch.setenv('MIRROR_MGR_MARK', 'x')
    env = launcher.environment()
    assert 'SECRET' not in ''.join(env.values())
    assert env['MIRROR_MGR_MARK'] == 'x'
    package, bindings = env['PYTHONPATH'].split(':')
    assert os.path.isfile(os.path.join(package, 'mirror_mgr', 'errors.py'))
    assert package == os.path.realpath(package) and bindings == '/bindings'


def test_what_cannot_be_started():
    with pytest.raises(MirrorError) as caught:
        launcher.start(['/no/such/program'])
    assert '/no/such/program' in str(caught.value)
