import base64
import json
from typing import Dict

import pytest

from mirror_mgr.admin.token import Token, decode
from mirror_mgr.errors import InvalidArgument

# Made by `rbd mirror pool peer bootstrap create` of 16.2.15.
RECORDED = (
    "eyJmc2lkIjoiOWY1MjgyZGItYjg5OS00NTk2LTgwOTgtMzIwYzFmYzM5NmYzIiwiY2xpZW50X2lkIjoicmJkLW1pcnJv"
    "ci1wZWVyIiwia2V5IjoiQVFBUnczOWQwdkhvQmhBQVlMM1I4RmR5dHNJQU50bkFTZ0lOTVE9PSIsIm1vbl9ob3N0Ijoi"
    "W3YyOjE5Mi4xNjguMS4zOjY4MjAsdjE6MTkyLjE2OC4xLjM6NjgyMV0ifQ=="
)
FIELDS = {"fsid": "f", "client_id": "c", "key": "SECRET", "mon_host": "m"}


def pack(content: object) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def test_recorded() -> None:
    token = decode(RECORDED + "\n")
    assert token.fsid == "9f5282db-b899-4596-8098-320c1fc396f3"
    assert token.client_id == "rbd-mirror-peer"
    assert token.mon_host == "[v2:192.168.1.3:6820,v1:192.168.1.3:6821]"
    assert token.encode() == RECORDED


def test_a_token_wrapped_by_mail_is_taken() -> None:
    assert decode("  \n".join([RECORDED[:70], RECORDED[70:140], RECORDED[140:]])).client_id


NO_TOKENS = [
    ("", "empty"),
    (" \n", "empty"),
    ("!!not base64!!", "not base64"),
    ("abc", "not base64"),
    ("\u00e9\u00e9\u00e9\u00e9", "not base64"),
    (base64.b64encode(b"hello").decode(), "not JSON"),
    (base64.b64encode(b"\xff\xfe\x00").decode(), "not JSON"),
    (base64.b64encode(b"[" * 2900).decode(), "not JSON"),
    (base64.b64encode(b"[" * 9000).decode(), "too many"),
    (pack([]), "not a JSON object"),
    (pack("x"), "not a JSON object"),
]


@pytest.mark.parametrize("text, why", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_no_token(text: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        decode(text)


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_field_is_missing(field: str, value: object) -> None:
    content: Dict[str, object] = {**FIELDS, field: value}
    with pytest.raises(InvalidArgument, match=f"'{field}'") as raised:
        decode(pack(content))
    assert "SECRET" not in str(raised.value)


def test_a_key_that_is_none() -> None:
    with pytest.raises(InvalidArgument, match="holds no cephx key") as raised:
        decode(pack(FIELDS))
    assert "SECRET" not in str(raised.value)


def test_the_key_is_not_shown() -> None:
    assert "SECRET" not in repr(Token(**FIELDS))
