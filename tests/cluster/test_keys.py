"""Which keys are refused before librados sees them."""

from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from mirror_mgr.cluster import keys
from mirror_mgr.errors import MalformedData, NotSupported
from mirror_mgr.wire.cephx import AES, AES256K, NONE
from tests.cephx import key

OLD: Dict[str, str] = {}
NEW = {"mon_auth_allow_insecure_key": "false"}
SECRET = key(AES256K, bytes(32))


class Cluster:
    """Knows the options of a librados."""

    def __init__(self, options: Dict[str, str], **conf: str) -> None:
        self._conf = {**options, **conf}

    def conf_get(self, name: str) -> Optional[str]:
        return self._conf.get(name)


def require(options: Dict[str, str], **conf: str) -> None:
    cluster: Any = Cluster(options, **conf)
    keys.require_readable(cluster, "client.x")


@pytest.mark.parametrize("options, kind", [
    (OLD, NONE), (OLD, AES), (NEW, NONE), (NEW, AES), (NEW, AES256K), (NEW, 3)])
def test_those_that_librados_reads(options: Dict[str, str], kind: int) -> None:
    require(options, key=key(kind))


@pytest.mark.parametrize("kind, says", [(AES256K, "type aes256k"), (3, "type 3")])
def test_one_of_a_type_that_it_does_not_read(kind: int, says: str) -> None:
    with pytest.raises(NotSupported, match=says) as raised:
        require(OLD, key=key(kind))
    assert "ceph auth rotate client.x --key_type aes)" in str(raised.value)
    assert key(kind) not in str(raised.value)


def test_what_is_no_key() -> None:
    with pytest.raises(MalformedData, match="ceph auth get-key client.x") as raised:
        require(NEW, key="SECRET")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("text", [
    f"[client.x]\n\tkey = {SECRET}\n\tcaps mon = \"allow r\"\n",
    f"[client.y]\nkey={key(AES)}\n# a word\n[client.x]\n    key={SECRET}\n"])
def test_one_in_a_keyring(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keyring"
    path.write_text(text)
    with pytest.raises(NotSupported, match="aes256k"):
        require(OLD, keyring=f"{tmp_path}/none,{path},{tmp_path}/other")
    require(OLD, keyring=str(path), key=key(AES))


@pytest.mark.parametrize("content", [
    b"", b"key = x\n", b"[client.x\n", b"[client.x]\n\xff\n", b"[client.y]\nkey = x\n"])
def test_a_keyring_without_it_is_for_librados_to_refuse(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyring"
    path.write_bytes(content)
    require(OLD, keyring=str(path))
    require(OLD, keyring=f"{tmp_path},{tmp_path}/none")
    require(OLD)


def test_the_type_is_a_reason_to_be_refused() -> None:
    assert "auth_allowed_ciphers, aes must" in keys.hint(key(AES))
    assert "auth_allowed_ciphers, aes256k must" in keys.hint(key(AES256K))
    assert keys.hint(None) == keys.hint("SECRET") == ""
