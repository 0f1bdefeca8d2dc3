import errno

import pytest

from mirror_mgr.cluster.faults import failed, of_site, translate
from mirror_mgr.errors import (
    Busy,
    ClusterError,
    DeadlineExceeded,
    Fenced,
    MirrorError,
    NotFound,
    ReadOnly,
)


class BindingError(Exception):
    """As python-rados and python-rbd make theirs."""

    def __init__(self, number, strerror=None):
        super().__init__(f"[errno {number}] {strerror}")
        self.errno = number
        self.strerror = strerror


@pytest.mark.parametrize("number, kind", [
    (errno.ENOENT, NotFound), (errno.EBUSY, Busy), (errno.EROFS, ReadOnly),
    (errno.ETIMEDOUT, DeadlineExceeded), (errno.ESHUTDOWN, Fenced), (errno.EXDEV, ClusterError)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_errno_decides_the_class(number, kind, sign):
    error = translate(BindingError(sign * number, "no luck"), "pool 'p'")
    assert type(error) is kind and error.errno == number
    assert str(error) == "pool 'p': no luck"
    assert type(failed(-number, "pool 'p'")) is kind


def test_an_operating_system_s_error():
    assert isinstance(translate(FileNotFoundError(errno.ENOENT, "No such file"), "x"), NotFound)


def test_an_error_without_a_text_of_its_own():
    assert "[errno 2]" in str(translate(BindingError(2), "x"))


def test_an_error_without_a_number():
    error = translate(ValueError("bad"), "option 'o'")
    assert isinstance(error, ClusterError) and str(error) == "option 'o': bad"


def test_an_error_of_ours_stays_what_it_is():
    error = MirrorError("mine")
    assert translate(error, "x") is error


def test_a_return_value_is_told_in_words():
    assert str(failed(-errno.ENOENT, "stat of o")) == "stat of o: No such file or directory"


def test_a_site_that_does_not_answer_is_named_with_what_to_look_at():
    error = of_site(-errno.ETIMEDOUT, "site-a", "mirror_peer_ping of rbd_mirroring")
    assert isinstance(error, DeadlineExceeded)
    assert str(error) == ("site 'site-a' does not answer; check its monitors, OSDs and network "
                          "(mirror_peer_ping of rbd_mirroring timed out)")
    assert str(of_site(-errno.ENOENT, "site-a", "stat of o")) == (
        "site 'site-a': stat of o: No such file or directory")
