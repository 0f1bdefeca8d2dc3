"""What administrators type, and what they get."""

import time
from typing import Callable, List, NamedTuple

from qa.administration.model import Fault
from qa.errors import CommandFailed, LabError
from qa.sites import Site

SLOW_SECONDS = 5.0


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    message: str


class Terminal:
    """Runs commands at a site, `ceph` or `rbd`; prints each with its time and its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.faults: List[Fault] = []
        self._say = say
        self._start = time.monotonic()

    def tell(self, text: str) -> None:
        """Print with the time."""
        self._say(f"{time.monotonic() - self._start:7.1f} {text}")

    def type(self, site: Site, program: str, *args: str, input: str = "") -> Answer:
        """Type a command and return how it ended; what is wrong with that is in `faults`."""
        command = f"{site.name}$ {program} {' '.join(args)}"
        start = time.monotonic()
        try:
            answer = self._run(site, program, args, input)
        except (LabError, OSError) as error:
            self.faults.append(Fault("hung", f"{command}: {error}"))
            self.tell(f"{command}: {error}")
            return Answer(-1, "", str(error))
        seconds = time.monotonic() - start
        took = f" after {seconds:.0f} s" if seconds > SLOW_SECONDS else ""
        said = f" {_last_line(answer.message)}" if answer.code else ""
        self.tell(f"{command} -> {answer.code}{took}{said}")
        self._judge(command, answer)
        return answer

    @staticmethod
    def _run(site: Site, program: str, args: "tuple[str, ...]", input: str) -> Answer:
        if program != "ceph":
            result = site.run(program, *args)
            return Answer(result.returncode, result.stdout, result.stderr)
        try:
            return Answer(0, site.ceph(*args, input=input), "")
        except CommandFailed as error:
            return Answer(error.returncode, error.stdout, error.stderr)

    def _judge(self, command: str, answer: Answer) -> None:
        if "Traceback" in answer.message + answer.out or "internal error" in answer.message:
            self.faults.append(Fault("noise", f"{command}: {answer.message}"))
        if answer.code < 0 or answer.code > 128:
            self.faults.append(Fault("noise", f"{command}: ended by a signal ({answer.code})"))
        elif answer.code and not answer.message.strip():
            self.faults.append(Fault("message", f"{command}: {answer.code} and no message"))


def _last_line(message: str) -> str:
    lines = message.strip().splitlines()
    return lines[-1] if lines else ""
