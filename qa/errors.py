"""What goes wrong in a lab."""

from subprocess import CompletedProcess
from typing import Sequence


class LabError(Exception):
    """The lab cannot do what was asked; the message says what to do."""


class CommandFailed(LabError):
    """A command of a site ended with another exit code than 0.

    `returncode`, `stdout` and `stderr` are those of the command.
    """

    def __init__(self, argv: Sequence[str], result: "CompletedProcess[str]") -> None:
        self.returncode = result.returncode
        self.stdout = result.stdout
        self.stderr = result.stderr
        said = (result.stderr or result.stdout).strip()
        super().__init__(f"{' '.join(argv)}: exit code {result.returncode}: {said}")
