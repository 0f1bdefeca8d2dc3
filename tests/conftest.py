"""What all tests share: the tests on real clusters stay out unless asked for with -m live."""

import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import settings

# Before there is a ceph_module: with it, the package takes this for ceph-mgr and loads its module.
import mirror_mgr  # noqa: F401
from qa import choice, releases
from qa.errors import LabError

# How long an example takes is up to how busy the machine is.
settings.register_profile("here", deadline=None, database=None)
settings.load_profile("here")

STOCK_MODULES = "/usr/share/ceph/mgr"
LIVE = Path(__file__).parent / "live"


class _Error(Exception):
    def __init__(self, message: str = "", errno: Optional[int] = None) -> None:
        super().__init__(message)
        self.errno = errno


class _Bindings(types.ModuleType):
    """Stands in for python-rados and python-rbd on interpreters that they are not built for.

    Every name in it is an exception class: all that modules need at import, and unit tests raise.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.Error = type("Error", (_Error,), {"__module__": name})

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (self.Error,), {"__module__": self.__name__})
        setattr(self, name, value)
        return value


class _FakeManager:
    """Stands in for the classes that ceph-mgr gives its modules."""

    def __init__(self, *args: object) -> None:
        pass


def _install_stand_ins() -> None:
    for name in ("rados", "rbd"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = _Bindings(name)
    ceph_module = types.ModuleType("ceph_module")
    for name in (
        "BaseMgrModule",
        "BaseMgrStandbyModule",
        "BasePyOSDMap",
        "BasePyOSDMapIncremental",
        "BasePyCRUSH",
    ):
        setattr(ceph_module, name, type(name, (_FakeManager,), {}))
    sys.modules["ceph_module"] = ceph_module
    if Path(STOCK_MODULES).exists():
        sys.path.append(STOCK_MODULES)


_install_stand_ins()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", metavar="R", help=releases.HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Go to where the release is that is asked for, or that of the lab to run on."""
    is_live = config.option.markexpr.startswith("live")
    lab = os.environ.get("MIRROR_MGR_LAB") if is_live else None
    try:
        choice.enter(config.option.release, lab)
    except LabError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> Optional[bool]:
    """Leave tests/live alone unless it is asked for."""
    if config.option.markexpr.startswith("live"):
        return None
    return True if LIVE in (collection_path, *collection_path.parents) else None
