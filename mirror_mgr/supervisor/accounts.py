"""The workers' cephx users."""

import errno
import json
from typing import Any, Tuple

from ..errors import MalformedData, from_errno
from .host import Host

# The least that the rbd-mirror daemon needs, from Ceph's guide to RBD mirroring.
CAPS = ['mon', 'profile rbd-mirror', 'osd', 'profile rbd']


def entity(worker_id: str) -> str:
    return 'client.rbd-mirror.' + worker_id


def ensure(host: Host, worker_id: str) -> str:
    """Given a worker, make its user where there is none, set right its caps, return its key.

    Raise the error of the monitor's errno.
    """
    name = entity(worker_id)
    ret, out, err = _auth(host, 'get-or-create', name, caps=CAPS)
    if ret == -errno.EINVAL:    # it is there, with other caps
        _check(name, *_auth(host, 'caps', name, caps=CAPS))
        ret, out, err = _auth(host, 'get', name)
    return _key(name, _check(name, ret, out, err))


def remove(host: Host, worker_id: str) -> None:
    """Given a worker that is wanted no more, remove its user if there is one."""
    name = entity(worker_id)
    ret, out, err = _auth(host, 'rm', name)
    if ret != -errno.ENOENT:
        _check(name, ret, out, err)


def _auth(host: Host, verb: str, name: str, **more: Any) -> Tuple[int, str, str]:
    return host.mon_command(dict(more, prefix='auth ' + verb, entity=name, format='json'))


def _check(name: str, ret: int, out: str, err: str) -> str:
    if ret < 0:
        raise from_errno(ret, "cephx user '%s': %s" % (name, err or 'monitor gives %d' % ret))
    return out


def _key(name: str, out: str) -> str:
    try:
        return str(json.loads(out)[0]['key'])
    except (ValueError, LookupError, TypeError):
        raise MalformedData("cephx user '%s': the monitor's answer holds no key" % name) from None
