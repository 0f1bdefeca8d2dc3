"""What the answer to a ping that can't be tells of a site."""

import errno
from typing import Any

import pytest
import rados

from mirror_mgr.cluster.abilities import require_ping
from mirror_mgr.errors import NotSupported
from tests.admin.fakes import failure


class Ioctx:
    def __init__(self, number: int) -> None:
        self.number = number

    def execute(self, oid: str, cls: str, method: str, data: bytes) -> None:
        assert (oid, cls, method) == ("rbd_mirroring", "rbd", "mirror_peer_ping")
        raise failure(rados.Error, self.number)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOENT])
def test_one_that_refuses_it_knows_it(number: int) -> None:
    ioctx: Any = Ioctx(number)
    require_ping(ioctx)


def test_one_that_does_not_know_it_is_too_old() -> None:
    ioctx: Any = Ioctx(errno.EOPNOTSUPP)
    with pytest.raises(NotSupported, match="Ceph 16 or later"):
        require_ping(ioctx)
