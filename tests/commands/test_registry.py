import errno
import json
import logging
import threading
from typing import Any, List, Optional, Tuple

import pytest

from mirror_mgr import commands
from mirror_mgr.commands import deadline, registry
from mirror_mgr.commands.deadline import Deadlines
from mirror_mgr.commands.registry import Argument, ImageText, PoolText, Text
from mirror_mgr.errors import DeadlineExceeded, Fenced, NotFound
from mirror_mgr.model import Outcome


class Host:
    log = logging.getLogger("host")

    def __init__(self) -> None:
        self.deadlines = Deadlines()
        self.scheduler = self
        self.refreshed = self.renewed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    def renew_rados(self) -> None:
        self.renewed += 1

    def command_seconds(self) -> float:
        return 5.0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> List[registry.Command]:
    """A registry that is empty."""
    empty: List[registry.Command] = []
    monkeypatch.setattr(registry, "COMMANDS", empty)
    return empty


def run(command: registry.Command, inbuf: Optional[str] = None,
        **given: Any) -> Tuple[int, str, str]:
    return registry.run(command, Host(), given, inbuf)


def test_a_signature_is_what_the_cli_is_told(made: List[registry.Command]) -> None:
    @registry.command("noun verb", "rw")
    def verb(mgr: Any, pool: PoolText, image: ImageText, mode: str = "m",
             site_name: Optional[Text] = None, force: bool = False, inbuf: str = "") -> str:
        """Do this
        and that"""
        return ""

    [command] = made
    assert (command.prefix, command.perm) == ("rbd-mirror noun verb", "rw")
    assert command.help == "Do this and that"
    assert command.takes_file
    assert command.arguments == (
        Argument("pool", "CephPoolname", True),
        Argument("image", "CephObjectname", True),
        Argument("mode", "CephString", False),
        Argument("site_name", "CephObjectname", False),
        Argument("force", "CephBool", False),
    )


@pytest.fixture
def echo(made: List[registry.Command]) -> registry.Command:
    @registry.command("echo", "r", plain=lambda value: f"plain {value}",
                      as_json=lambda value: {"value": value})
    def echo(mgr: Any, word: str = "none", force: bool = False) -> Any:
        if word == "missing":
            raise NotFound("word 'missing': there is none; say another")
        if word == "bug":
            raise KeyError("SECRET")
        return [word, force]

    return made[0]


def test_plain(echo: registry.Command) -> None:
    assert run(echo, prefix="rbd-mirror echo") == (0, "plain ['none', False]", "")
    assert run(echo, word="a", format="plain") == (0, "plain ['a', False]", "")


@pytest.mark.parametrize("value, is_true", [
    (True, True), ("true", True), (False, False), ("false", False), (None, False)])
def test_a_bool_comes_in_more_than_one_way(echo: registry.Command, value: Any,
                                           is_true: bool) -> None:
    assert run(echo, force=value)[1] == f"plain ['none', {is_true}]"


def test_json(echo: registry.Command) -> None:
    assert run(echo, format="json") == (0, '{"value":["none",false]}', "")
    assert run(echo, format="json-pretty")[1].startswith('{\n    "value": [')
    assert run(echo, format="xml")[::2] == (
        -errno.EINVAL, "format 'xml': must be plain, json or json-pretty")


def test_what_is_not_printable_is_escaped(made: List[registry.Command]) -> None:
    @registry.command("show", "r", plain="name: {}\nnext: x".format,
                      as_json=lambda name: {"name": name})
    def show(host: Any) -> str:
        """Show a name."""
        return "a\x1b[2J\udcff"

    assert run(made[0]) == (0, "name: a\\x1b[2J\\udcff\nnext: x", "")
    code, out, _ = run(made[0], format="json")
    assert json.loads(out) == {"name": "a\x1b[2J\udcff"}


def test_an_error_is_its_errno_and_its_message(echo: registry.Command) -> None:
    assert run(echo, word="missing") == (
        -errno.ENOENT, "", "word 'missing': there is none; say another")


def test_a_note_is_not_of_the_answer(made: List[registry.Command]) -> None:
    @registry.command("add", "w")
    def add(mgr: Any) -> Outcome:
        return Outcome("uuid", note="without a key")

    assert run(made[0]) == (0, "uuid", "without a key")


def test_a_note_comes_with_a_failure_too(made: List[registry.Command]) -> None:
    @registry.command("half", "w")
    def half(mgr: Any) -> Outcome:
        return Outcome("one of two", NotFound("not the other"), "to know")

    assert run(made[0]) == (-errno.ENOENT, "one of two", "not the other\nto know")


def test_a_bug_is_no_traceback(echo: registry.Command,
                               caplog: pytest.LogCaptureFixture) -> None:
    code, out, error = run(echo, word="bug")
    assert (code, out) == (-errno.EIO, "")
    assert "Traceback" not in error and "SECRET" not in error
    assert "please report" in caplog.text


def test_a_file_for_a_command_that_takes_none(echo: registry.Command) -> None:
    assert run(echo, inbuf="x")[::2] == (
        -errno.EINVAL, "rbd-mirror echo: it takes no input file (-i)")


def test_a_file(made: List[registry.Command]) -> None:
    @registry.command("read", "w")
    def read(mgr: Any, inbuf: str = "default") -> str:
        return repr(inbuf)

    assert run(made[0], inbuf="x")[1] == "'x'"
    assert run(made[0])[1] == "''"


def test_a_command_that_prints_nothing_special_has_no_json(made: List[registry.Command]) -> None:
    @registry.command("say", "r")
    def say(mgr: Any) -> str:
        return "done"

    assert run(made[0], format="json") == (0, "done", "")


def test_a_command_that_hangs_lets_its_user_go() -> None:
    release = threading.Event()
    with pytest.raises(DeadlineExceeded, match="command_seconds"):
        Deadlines().within(0.01, "x", release.wait)
    release.set()


def test_no_more_are_started_when_too_many_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_HANGING", 2)
    deadlines = deadline.Deadlines()
    release = threading.Event()
    for _ in range(2):
        with pytest.raises(DeadlineExceeded, match="still going on; see"):
            deadlines.within(0.0, "hanging", release.wait)
    with pytest.raises(DeadlineExceeded, match="not tried"):
        deadlines.within(5, "x", lambda: None)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "hanging":
            thread.join(10)
    deadlines.within(5, "x", lambda: None)


def test_what_a_thread_raises_comes_back() -> None:
    with pytest.raises(KeyError):
        Deadlines().within(5, "x", lambda: {}["a"])


def test_every_command_has_a_help_and_a_fitting_permission() -> None:
    assert commands
    assert len({command.prefix for command in registry.COMMANDS}) == len(registry.COMMANDS)
    for command in registry.COMMANDS:
        assert command.help
        assert command.perm in ("r", "w", "rw")
        names = [argument.name for argument in command.arguments]
        assert "format" not in names and "verbose" not in names  # the ceph CLI takes these
        required = [argument.required for argument in command.arguments]
        assert required == sorted(required, reverse=True)
    perms = {command.words: command.perm for command in registry.COMMANDS}
    assert perms["pool status"] == perms["worker ls"] == "r"
    assert perms["pool enable"] == perms["image snapshot"] == "w"
    assert perms["pool peer bootstrap create"] == "rw"  # its output lets one in


def test_a_client_that_was_blocklisted_is_replaced(made: List[registry.Command]) -> None:
    @registry.command("change", "w")
    def change(mgr: Any, times: str) -> str:
        if mgr.renewed < int(times):
            raise Fenced("blocklisted")
        return "done"

    host = Host()
    assert registry.run(made[0], host, {"times": "1"}, None) == (0, "done", "")
    assert (host.renewed, host.refreshed) == (1, 1)
    assert registry.run(made[0], host, {"times": "9"}, None)[0] == -errno.ESHUTDOWN
    assert (host.renewed, host.refreshed) == (2, 1)


def test_a_command_that_needs_longer_than_others_is_given_it(
        made: List[registry.Command]) -> None:
    given: List[float] = []

    class Watched(Deadlines):
        def within(self, seconds: float, what: str, function: Any) -> Any:
            given.append(seconds)
            return function()

    for least in (0.0, 60.0):
        @registry.command("slow", "r", least_seconds=least)
        def slow(mgr: Any) -> str:
            return ""

    host = Host()
    host.deadlines = Watched()
    for command in made:
        assert registry.run(command, host, {}, None)[0] == 0
    assert given == [5.0, 60.0]


def test_promotions_have_the_time_that_breaking_a_lock_takes() -> None:
    promotions = [one for one in registry.COMMANDS if one.words.endswith(" promote")]
    assert [one.least_seconds for one in promotions] == [deadline.FORCED_SECONDS] * 2
