"""The `ceph` command without the start of a program, which costs more than most commands do.

It reads words as the program does, with the parser of Ceph, and sends them to the same daemons.
"""

import errno
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import ceph_argparse
from rados import Rados


class CephCli:
    """Commands to one site; connects at the first."""

    def __init__(self, conf: str, seconds: int) -> None:
        self._conf = conf
        self._seconds = seconds
        self._cluster: Optional[Rados] = None
        self._signatures: Dict[str, Any] = {}
        self._lock = threading.Lock()

    @staticmethod
    def takes(words: Sequence[str]) -> bool:
        """Whether a command is for the cluster: not for a daemon, nor the program's own."""
        return words[0] not in ("tell", "daemon") and not words[0].startswith("-")

    def run(self, words: Sequence[str], text: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with this input; its exit code is for the caller to judge."""
        rest, options = _split(words)
        with self._lock:
            cluster = self._connected()
            request = self._request(rest)
        if not request:
            return subprocess.CompletedProcess(
                ["ceph", *words], errno.EINVAL, "", "Error EINVAL: invalid command\n")
        if "--format" in options:
            request["format"] = options["--format"]
        code, out, message = ceph_argparse.json_command(
            cluster, argdict=request, inbuf=_input(options.get("-i"), text),
            timeout=self._seconds)
        if code < 0:
            message = f"Error {errno.errorcode.get(-code, 'Unknown')}: {message}"
        return subprocess.CompletedProcess(["ceph", *words], abs(code), out.decode(), message)

    def close(self) -> None:
        """End the connection; a later command makes another."""
        with self._lock:
            cluster, self._cluster, self._signatures = self._cluster, None, {}
        if cluster is not None:
            cluster.shutdown()

    def _connected(self) -> Rados:
        if self._cluster is None:
            cluster = Rados(conffile=self._conf, name="client.admin")
            cluster.connect(timeout=self._seconds)
            self._cluster = cluster
        return self._cluster

    def _request(self, words: List[str]) -> Dict[str, Any]:
        """What the words ask for, {} for nothing that there is."""
        for is_fresh in (False, True):
            if is_fresh or not self._signatures:
                self._signatures = self._read_signatures()
            # The parser looks at each command, and takes its time for that.
            alike = {name: one for name, one in self._signatures.items()
                     if str(one["sig"][0]) == words[0]}
            found = ceph_argparse.validate_command(alike, words) if alike else None
            if found:
                return dict(found)
        return {}

    def _read_signatures(self) -> Dict[str, Any]:
        code, out, message = ceph_argparse.json_command(
            self._cluster, prefix="get_command_descriptions", timeout=self._seconds)
        if code:
            raise OSError(-code, message)
        return dict(ceph_argparse.parse_json_funcsigs(out.decode(), "cli"))


def _input(file: Optional[str], text: str) -> bytes:
    """What `-i` names: "-" is the text, None is nothing."""
    if file is None:
        return b""
    return text.encode() if file == "-" else Path(file).read_bytes()


def _split(words: Sequence[str]) -> Tuple[List[str], Dict[str, str]]:
    """The words of the command, and the options of the program with their values."""
    rest, options = list(words), {}
    for option in ("--format", "-i"):
        if option in rest:
            at = rest.index(option)
            options[option] = rest[at + 1]
            del rest[at:at + 2]
    return rest, options
