import errno
import json

import pytest

from mirror_mgr.errors import AccessDenied, MalformedData
from mirror_mgr.supervisor import accounts


class Mon:
    """Answers as the auth commands of Ceph 16 do."""

    def __init__(self, **users):
        self.users = users
        self.commands = []

    def mon_command(self, command):
        self.commands.append(command['prefix'])
        name, caps = command['entity'], command.get('caps')
        if command['prefix'] == 'auth get-or-create':
            if self.users.setdefault(name, caps) != caps:
                return -errno.EINVAL, '', 'key for %s exists but caps do not match' % name
        elif name not in self.users:
            return -errno.ENOENT, '', 'failed to find %s in keyring' % name
        elif command['prefix'] == 'auth caps':
            self.users[name] = caps
        elif command['prefix'] == 'auth rm':
            del self.users[name]
        return 0, json.dumps([{'entity': name, 'key': 'SECRET', 'caps': {}}]), ''


NAME = 'client.rbd-mirror.mirror-mgr.0'


def test_a_user_is_made():
    mon = Mon()
    assert accounts.ensure(mon, 'mirror-mgr.0') == 'SECRET'
    assert mon.users == {NAME: ['mon', 'profile rbd-mirror', 'osd', 'profile rbd']}


def test_a_user_that_is_there_is_taken():
    mon = Mon(**{NAME: accounts.CAPS})
    assert accounts.ensure(mon, 'mirror-mgr.0') == 'SECRET'
    assert mon.commands == ['auth get-or-create']


def test_other_caps_are_set_right():
    mon = Mon(**{NAME: ['mon', 'allow *']})
    assert accounts.ensure(mon, 'mirror-mgr.0') == 'SECRET'
    assert mon.users == {NAME: accounts.CAPS}


def test_a_user_is_removed_once():
    mon = Mon(**{NAME: accounts.CAPS, 'client.rbd-mirror.b': ['mon', 'x']})
    accounts.remove(mon, 'mirror-mgr.0')
    accounts.remove(mon, 'mirror-mgr.0')
    assert list(mon.users) == ['client.rbd-mirror.b']


class Broken:
    def __init__(self, *answer):
        self.answer = answer

    def mon_command(self, command):
        return self.answer


def test_what_the_monitor_refuses():
    with pytest.raises(AccessDenied) as caught:
        accounts.ensure(Broken(-errno.EACCES, '', 'access denied'), 'mirror-mgr.0')
    assert str(caught.value) == "cephx user '%s': access denied" % NAME
    with pytest.raises(AccessDenied):
        accounts.remove(Broken(-errno.EACCES, '', ''), 'mirror-mgr.0')


@pytest.mark.parametrize('out', ['', '[]', '{}', '[{"SECRET": 1}]', 'SECRET', '[1]', 'null'])
def test_an_answer_without_a_key_is_not_quoted(out):
    with pytest.raises(MalformedData) as caught:
        accounts.ensure(Broken(0, out, ''), 'mirror-mgr.0')
    assert 'SECRET' not in str(caught.value)
