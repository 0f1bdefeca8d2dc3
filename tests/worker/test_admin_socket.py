"""What `ceph --admin-daemon` says and hears, byte by byte."""

import asyncio
import json
import os
import socket
import stat
import struct

import pytest

from mirror_mgr.errors import NotFound
from mirror_mgr.worker.admin_socket import AdminSocket, Command


class Librados:
    """Its socket: it knows one command, and says what was handed on to it."""

    def __init__(self, path):
        self.path = path
        self.heard = []

    async def __aenter__(self):
        self.server = await asyncio.start_unix_server(self.serve, self.path)

    async def __aexit__(self, *error):
        self.server.close()

    async def serve(self, reader, writer):
        asked = json.loads((await reader.readuntil(b"\0"))[:-1])
        self.heard.append(asked)
        answers = {"help": {"config get": "theirs", "perf dump": "theirs"},
                   "get_command_descriptions": {
                       "cmd000": {"sig": ["perf", "dump", {"name": "logger"}], "help": "theirs"}},
                   "perf dump": {"cct": {"workers": 1}, "objecter": {"op": 2}},
                   "config get": {"x": asked.get("var")}}
        text = json.dumps(answers[asked["prefix"]]).encode()
        writer.write(struct.pack("!I", len(text)) + text)
        writer.close()


async def slowly():
    await asyncio.sleep(0)
    return {"of": "p"}


def fail():
    raise NotFound("pool 'x' is not replayed here")


COMMANDS = {
    "rbd mirror status p": Command("status", slowly),
    "rbd mirror stop": Command("stop", lambda: None),
    "perf dump": Command("counters", lambda: {"ours": {"a": 1, "b": 2}}, merge=True),
    "fail": Command("always", fail),
}


def answer_to(path, request: bytes, connected=True):
    """The text that is answered; None where nothing is."""
    async def talk():
        ours = AdminSocket(str(path), lambda: COMMANDS)
        await ours.open()
        try:
            if not connected:
                return await exchange()
            async with Librados(ours.librados_path):
                return await exchange()
        finally:
            ours.close()

    async def exchange():
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(request)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    answer = asyncio.run(talk())
    assert list(path.parent.iterdir()) == []
    if not answer:
        return None
    assert struct.unpack("!I", answer[:4]) == (len(answer) - 4,)
    return answer[4:].decode()


def ask(path, prefix, connected=True, **more):
    request = json.dumps({"prefix": prefix, **more}).encode() + b"\0"
    return json.loads(answer_to(path / "asok", request, connected))


def test_commands_of_ours(tmp_path):
    assert ask(tmp_path, "rbd mirror status p") == {"of": "p"}
    assert answer_to(tmp_path / "asok", b'{"prefix": "rbd mirror stop"}\0') == ""


def test_names_are_not_escaped(tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, "rbd mirror stop p/\u00fc", Command("stop it", lambda: None))
    assert "p/\u00fc" in answer_to(tmp_path / "asok", b'{"prefix": "help"}\0')


def test_what_is_not_ours_is_librados_s(tmp_path):
    assert ask(tmp_path, "config get", var="y") == {"x": "y"}


def test_what_both_know_is_answered_as_one(tmp_path):
    both = {"cct": {"workers": 1}, "objecter": {"op": 2}, "ours": {"a": 1, "b": 2}}
    assert ask(tmp_path, "perf dump") == both
    assert ask(tmp_path, "perf dump", logger="ours", counter="b") == {"ours": {"b": 2}}
    assert ask(tmp_path, "perf dump", logger="cct") == {"cct": {"workers": 1}}
    assert ask(tmp_path, "perf dump", logger="neither") == {}
    assert ask(tmp_path, "perf dump", connected=False) == {"ours": {"a": 1, "b": 2}}


def test_the_descriptions_are_of_all_commands_once(tmp_path):
    found = ask(tmp_path, "get_command_descriptions")
    assert list(found) == [f"cmd{number:03}" for number in range(4)]
    assert [one["sig"] for one in found.values()] == [
        ["perf", "dump", {"name": "logger"}], ["rbd", "mirror", "status", "p"],
        ["rbd", "mirror", "stop"], ["fail"]]


def test_help_names_every_command(tmp_path):
    assert ask(tmp_path, "help") == {
        "config get": "theirs", **{prefix: one.help for prefix, one in COMMANDS.items()}}
    assert set(ask(tmp_path, "help", connected=False)) == set(COMMANDS)


@pytest.mark.parametrize("request_, error", [
    (b'{"prefix": "no such"}\0', "ERROR: (11) Resource temporarily unavailable\nno such command "
     "while the local cluster is not connected; try help\n"),
    (b'{"prefix": "fail"}\0',
     "ERROR: (2) No such file or directory\npool 'x' is not replayed here\n"),
    (b"nonsense\0", "ERROR: (22) Invalid argument\ninvalid json\n"),
    (b"[" * 20000 + b"\0", "ERROR: (22) Invalid argument\ninvalid json\n"),
    (b"[1]\0", "ERROR: (22) Invalid argument\ninvalid command json\n"),
])
def test_a_mistake_is_answered(tmp_path, request_, error):
    assert answer_to(tmp_path / "asok", request_, connected=False) == error


def test_a_request_with_no_end_is_not_answered(tmp_path):
    assert answer_to(tmp_path / "asok", b'{"prefix": "help"}') is None


def test_a_socket_of_a_process_that_is_gone_is_taken_over(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "asok"))
    assert "fail" in ask(tmp_path, "help")


def open_at(path):
    """What becomes of the path when a worker opens and closes its socket there."""
    async def main():
        one = AdminSocket(str(path), lambda: COMMANDS)
        await one.open()
        mode = path.lstat().st_mode
        one.close()
        return mode
    return asyncio.run(main())


def test_what_is_no_socket_stays(tmp_path, caplog):
    (tmp_path / "asok").write_text("precious")
    open_at(tmp_path / "asok")
    assert (tmp_path / "asok").read_text() == "precious"
    assert "no socket; name another file" in caplog.text
    (tmp_path / "link").symlink_to(tmp_path / "asok")
    open_at(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "asok").exists()


def test_a_socket_that_another_process_listens_at_stays(tmp_path, caplog):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "asok"))
        other.listen()
        open_at(tmp_path / "asok")
        assert "another process listens there" in caplog.text
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "asok"))


def test_it_is_the_owner_s_from_its_first_moment(tmp_path, monkeypatch):
    def refuse(*args):
        raise AssertionError("too late")

    monkeypatch.setattr(os, "chmod", refuse)
    before = os.umask(0)
    try:
        assert stat.S_IMODE(open_at(tmp_path / "asok")) == 0o700
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_name_that_is_not_utf_8_is_escaped_as_json_has_it(tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, "name", Command("it", lambda: {"name": "a\udcff"}))
    assert ask(tmp_path, "name") == {"name": "a\udcff"}


def test_a_socket_that_can_t_be_made_costs_nothing_else(tmp_path):
    async def main():
        ours = AdminSocket(str(tmp_path / "none" / "asok"), lambda: COMMANDS)
        await ours.open()
        ours.close()
    asyncio.run(main())
