"""Questions to a daemon of Ceph through its admin socket, without the start of a program."""

import json
import socket
import struct
from pathlib import Path
from typing import Any

SECONDS = 10.0


def ask(path: Path, prefix: str) -> Any:
    """Return what the daemon answers to a command.

    Raise OSError when it does not listen, ValueError when it does not know the command.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        connection.sendall(json.dumps({"prefix": prefix, "format": "json"}).encode() + b"\0")
        with connection.makefile("rb") as stream:
            size = stream.read(4)
            if len(size) < 4:
                raise ValueError(f"{path}: no answer to {prefix}")
            return json.loads(stream.read(struct.unpack(">I", size)[0]))
