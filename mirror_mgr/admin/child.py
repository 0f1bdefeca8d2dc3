"""Short-lived processes of our own, for what may hang or crash inside librados or librbd."""

import subprocess
from typing import List, Mapping, NamedTuple


class Start(NamedTuple):
    """How to start one: the interpreter and its flags, and the environment."""

    interpreter: List[str]
    environment: Mapping[str, str]


class Login(NamedTuple):
    """How to connect to the local cluster: as the manager itself does."""

    conf: str
    name: str
    keyring: str


def start(how: Start, module: str) -> "subprocess.Popen[bytes]":
    """Start a module of ours as a program, with pipes; what it prints on stderr is dropped.

    The folder stays the manager's own, as ceph.conf may be named relative to it.
    """
    return subprocess.Popen([*how.interpreter, "-m", module], env=dict(how.environment),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, close_fds=True)
