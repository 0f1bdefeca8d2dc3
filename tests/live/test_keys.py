"""A key of a newer type than this site's Ceph can read is refused, and the cure is told."""

import errno
import json
from base64 import b64decode, b64encode
from typing import Iterator, List

import pytest

from mirror_mgr.wire.cephx import AES, AES256K
from qa.sites import Site
from qa.waiting import wait_for
from tests.cephx import key

NEWER = key(AES256K, bytes(32))
OPTION = "mon_auth_allow_insecure_key"  # came with these keys
CURE = "ceph mon set auth_allowed_ciphers aes,aes256k; ceph auth rotate client.{} --key_type aes"


@pytest.fixture(autouse=True)
def older(site_b: Site) -> None:
    if _knows_newer(site_b):
        pytest.skip("its Ceph reads keys of type aes256k")


def _knows_newer(site: Site) -> bool:
    return site.run("ceph", "config", "help", OPTION).returncode == 0


@pytest.fixture
def lone(pool: str, site_b: Site) -> Iterator[str]:
    """A pool at site-b that has no peer yet."""
    name = f"{pool}-lone"
    site_b.create_pool(name)
    site_b.ceph("rbd-mirror", "pool", "enable", name, "image")
    yield name
    site_b.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def peers(site: Site, pool: str) -> List[object]:
    found: List[object] = site.ceph_json("rbd-mirror", "pool", "info", pool)["peers"]
    return found


def refused(site: Site, code: int, *words: str, input: str) -> str:
    """What a command says that is refused."""
    result = site.run("ceph", "rbd-mirror", *words, "-i", "-", input=input)
    assert result.returncode == code, result
    assert NEWER not in result.stderr
    return result.stderr


def test_in_a_token(lone: str, pool: str, site_a: Site, site_b: Site) -> None:
    token = json.loads(b64decode(
        site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", pool)))
    newer = b64encode(json.dumps({**token, "key": NEWER}).encode()).decode()
    said = refused(site_b, errno.EINVAL, "pool", "peer", "bootstrap", "import", lone,
                   input=newer)
    assert "aes256k" in said and CURE.format("rbd-mirror-peer") in said
    assert peers(site_b, lone) == []


def test_of_a_peer_that_is_added(lone: str, site_b: Site) -> None:
    said = refused(site_b, errno.EOPNOTSUPP, "pool", "peer", "add", lone, "client.c@site-c",
                   input=NEWER)
    assert CURE.format("c") in said
    assert peers(site_b, lone) == []


def test_of_a_peer_that_is_there(pool: str, site_b: Site) -> None:
    """As `rbd` stores it, which does not look: the worker, its status and health tell of it."""
    [peer] = site_b.ceph_json("rbd-mirror", "pool", "info", pool)["peers"]
    words = ("rbd-mirror", "pool", "peer", "set", pool, peer["uuid"], "key-file")
    said = refused(site_b, errno.EOPNOTSUPP, *words[1:], input=NEWER)
    assert CURE.format("rbd-mirror-peer") in said
    before = site_b.ceph("rbd-mirror", "pool", "peer", "get-key", pool, peer["uuid"])
    path = site_b.directory / "newer-key"
    path.write_text(NEWER)
    site_b.rbd("mirror", "pool", "peer", "set", pool, peer["uuid"], "key-file", str(path))
    site_b.ceph("rbd-mirror", "worker", "restart")

    def told(cure: str) -> bool:
        workers = site_b.ceph("rbd-mirror", "worker", "status")
        return cure in workers and cure in site_b.ceph("health", "detail")

    wait_for(lambda: told(CURE.format("rbd-mirror-peer")))
    site_b.ceph(*words, "-i", "-", input=before)
    wait_for(lambda: "aes256k" not in site_b.ceph("rbd-mirror", "worker", "status"))


def test_a_user_that_is_refused(lone: str, pool: str, site_a: Site, site_b: Site) -> None:
    """Its site may not allow the type of its key."""
    token = json.loads(b64decode(
        site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", pool)))
    wrong = b64encode(json.dumps({**token, "key": key(AES)}).encode()).decode()
    result = site_b.run("ceph", "rbd-mirror", "pool", "peer", "bootstrap", "import", lone, "-i",
                        "-", input=wrong)
    assert result.returncode == errno.EACCES
    assert "make a new token" in result.stderr and "aes must be among" in result.stderr
    assert peers(site_b, lone) == []


def test_a_pool_that_is_not_mirrored_at_the_other_site(
        lone: str, pool: str, site_a: Site, site_b: Site) -> None:
    token = site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", pool)
    words = ("rbd-mirror", "pool", "peer", "bootstrap", "import", lone, "-i", "-")
    assert "no pool of this name" in site_b.run("ceph", *words, input=token).stderr
    site_a.create_pool(lone)
    try:
        result = site_b.run("ceph", *words, input=token)
        assert result.returncode == errno.ENOSYS
        assert f"run there: ceph rbd-mirror pool enable {lone} image" in result.stderr
    finally:
        site_a.ceph("osd", "pool", "rm", lone, lone, "--yes-i-really-really-mean-it")


def test_the_cure(lone: str, site_a: Site, site_b: Site) -> None:
    """Beyond that the type has to be allowed, which a site is only asked for once."""
    if not _knows_newer(site_a):
        pytest.skip("the other site's Ceph makes no keys of type aes256k")
    site_a.create_pool(lone)
    site_a.ceph("rbd-mirror", "pool", "enable", lone, "image")

    def token(kind: str) -> str:
        site_a.run("ceph", "auth", "rotate", "client.rbd-mirror-peer", "--key_type", kind)
        return site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", lone)

    words = ("pool", "peer", "bootstrap", "import", lone)
    try:
        said = refused(site_b, errno.EINVAL, *words, input=token("aes256k"))
        assert CURE.format("rbd-mirror-peer") in said
        site_b.ceph("rbd-mirror", *words, "-i", "-", input=token("aes"))
        site_a.rbd("create", f"{lone}/disk", "--size", "4M")
        site_a.ceph("rbd-mirror", "image", "enable", f"{lone}/disk", "snapshot")
        wait_for(lambda: "disk" in site_b.rbd_json("ls", lone))
    finally:
        site_a.ceph("osd", "pool", "rm", lone, lone, "--yes-i-really-really-mean-it")
