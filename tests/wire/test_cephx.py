"""The types of keys, with keys that Ceph made."""

import base64

import pytest

from mirror_mgr.errors import MalformedData
from mirror_mgr.wire.cephx import AES, AES256K, NONE, key_type, type_name
from tests.cephx import key


@pytest.mark.parametrize("text, kind", [
    ("AQAeuZdbMMoBChAAcj++/XUxNOLFaWdtTREEsw==", AES),  # of 16.2.15
    ("AQDQkQpr9zSFOhAAgrKAasQ76gp6WHlMuxcaNA==\n", AES),  # of 20.2.4, asked for this type
    ("AgDHkQprdQ2lMiAAWlmjwq0YEpkQp2fc6EfIo3SV8VWfRu51z3Q00RMbnnk=", AES256K),  # of 20.2.4
    (key(NONE, b""), NONE),
    (key(7), 7),
])
def test_type(text: str, kind: int) -> None:
    assert key_type(text) == kind


@pytest.mark.parametrize("text", [
    "", "no key!", "AQ", "AQA=", key(AES)[:-8], base64.b64encode(b"\x02\x00").decode(), "\u00e9"])
def test_no_key(text: str) -> None:
    with pytest.raises(MalformedData) as raised:
        key_type(text)
    assert not text or text not in str(raised.value)


def test_names() -> None:
    assert [type_name(kind) for kind in (NONE, AES, AES256K, 3)] == ["none", "aes", "aes256k", "3"]
