"""Every difference between the managers of Ceph 16 to 20, and nowhere else."""

import errno
from typing import Any, Dict, Mapping, Optional

import mgr_module
import rados
from mgr_module import HandleCommandResult

from .commands import registry

try:  # Tentacle and later: modules share an interpreter, so each has a registry of its own
    _Registry: Any = mgr_module.CLICommandBase.make_registry_subtype("MirrorMgrCLICommand")
except AttributeError:  # each module has an interpreter, and so a registry, of its own
    _Registry = mgr_module.CLICommand


class CLICommand(_Registry):
    """One command in the registry that MgrModule looks in.

    Nothing but the place is the registry's: how it reads a signature, and what it does with
    ``-i`` and with values that hold a '=', is another in each release.
    """

    def __init__(self, command: registry.Command) -> None:
        super().__init__(command.prefix, command.perm)
        self.command = command
        self.desc = command.help
        self.args = " ".join(_descriptor(argument) for argument in command.arguments)
        self.COMMANDS[command.prefix] = self

    def call(self, mgr: Any, cmd_dict: Mapping[str, Any],
             inbuf: Optional[str] = None) -> HandleCommandResult:
        code, out, error = registry.run(self.command, mgr, cmd_dict, inbuf)
        if code == -errno.EACCES:
            error += "\nceph-mgr says of every refusal: "  # and then that caps may be missing
        return HandleCommandResult(code, _with_empty_lines(out), error)

    def dump_cmd(self) -> Dict[str, Any]:
        return {"cmd": f"{self.prefix} {self.args}", "desc": self.desc, "perm": self.perm,
                "poll": False}


def _with_empty_lines(text: str) -> str:
    """ceph-mgr drops empty lines from what it passes on (bufferlist::append of a stream)."""
    return "\n".join(line or " " for line in text.split("\n")) if text else ""


def _descriptor(argument: registry.Argument) -> str:
    optional = "" if argument.required else ",req=false"
    return f"name={argument.name},type={argument.cli_type}{optional}"


def connect(mgr: Any) -> Any:
    """Return a new rados.Rados of the local cluster beside ``mgr.rados``.

    A failover blocklists it, so that nothing that this manager began lands after it.
    """
    cluster = rados.Rados(context=mgr.get_context())
    cluster.connect()
    _register_client(mgr, cluster.get_addrs())
    return cluster


def disconnected(mgr: Any, addresses: str) -> None:
    """Take a connection of `connect` that was shut down off what a failover blocklists."""
    try:
        mgr._ceph_unregister_client(None, addresses)  # Reef and later: None is the module's name
    except TypeError:
        mgr._ceph_unregister_client(addresses)


def _register_client(mgr: Any, addresses: str) -> None:
    try:
        mgr._ceph_register_client(None, addresses, False)  # Reef and later: beside those it knows
    except TypeError:
        mgr._ceph_register_client(addresses)


def forget_rados(mgr: Any) -> None:
    """Have ``mgr.rados`` connect anew when it is asked for the next time."""
    old, mgr._rados = mgr._rados, None
    if old is not None:
        # Not shut down: commands that it failed may still be at it.
        disconnected(mgr, old.get_addrs())


def register_commands() -> None:
    """Enter all of our commands in the manager's registry."""
    for command in registry.COMMANDS:
        CLICommand(command)
