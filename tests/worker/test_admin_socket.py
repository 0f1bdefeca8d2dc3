"""What `ceph --admin-daemon` says and hears, byte by byte."""

import asyncio
import json
import struct

import pytest

from mirror_mgr.errors import NotFound
from mirror_mgr.worker.admin_socket import AdminSocket, Command


def ask(path, request: bytes):
    async def talk():
        socket = AdminSocket(str(path), {
            "rbd mirror status": Command("status", lambda asked: {"of": asked.get("pool")}, "pool"),
            "fail": Command("always", fail)})
        await socket.open()
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer
        finally:
            socket.close()

    answer = asyncio.run(talk())
    assert not path.exists()
    if not answer:
        return None
    assert struct.unpack("!I", answer[:4]) == (len(answer) - 4,)
    return json.loads(answer[4:])


def fail(asked):
    raise NotFound("pool 'x' is not replayed here")


def test_a_command_with_and_without_its_argument(tmp_path):
    path = tmp_path / "asok"
    assert ask(path, b'{"prefix": "rbd mirror status"}\0') == {"of": None}
    assert ask(path, b'{"prefix": "rbd mirror status", "pool": "p"}\0') == {"of": "p"}


def test_the_descriptions_name_words_and_arguments(tmp_path):
    found = ask(tmp_path / "asok", b'{"prefix": "get_command_descriptions"}\0').values()
    [status] = [one for one in found if "status" in one["sig"]]
    assert status["sig"] == [
        "rbd", "mirror", "status", {"name": "pool", "type": "CephString", "req": False}]


def test_help_names_every_command(tmp_path):
    assert set(ask(tmp_path / "asok", b'{"prefix": "help"}\0')) == {
        "help", "get_command_descriptions", "rbd mirror status", "fail"}


@pytest.mark.parametrize("request_, error", [
    (b'{"prefix": "no such"}\0', "no such command: 'no such'; try help"),
    (b'{"prefix": "fail"}\0', "pool 'x' is not replayed here"),
    (b"nonsense\0", "the request is no JSON object"),
    (b"[1]\0", "the request is no JSON object"),
])
def test_a_mistake_is_answered(tmp_path, request_, error):
    assert ask(tmp_path / "asok", request_) == {"error": error}


def test_a_request_with_no_end_is_not_answered(tmp_path):
    assert ask(tmp_path / "asok", b'{"prefix": "help"}') is None


def test_a_socket_of_a_process_that_is_gone_is_taken_over(tmp_path):
    path = tmp_path / "asok"
    path.write_text("")
    assert "help" in ask(path, b'{"prefix": "help"}\0')
