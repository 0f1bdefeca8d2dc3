"""What the Debian package says of the worker agrees with the worker."""

import re
import shlex
from pathlib import Path

from mirror_mgr.worker import options

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = REPOSITORY / "packaging/debian/mirror-mgr.mirror-mgr-worker@.service"
MANUAL = REPOSITORY / "docs/man/mirror-mgr-worker.rst"


def test_the_unit_starts_a_worker_as_ceph_starts_its_daemon():
    [start] = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    program, *words = shlex.split(start.replace("${CLUSTER}", "ceph").replace("%i", "rbd-mirror.b"))
    assert program == "/usr/bin/" + options.PROGRAM
    assert options.parse(words) == options.Options(
        foreground=True, cluster="ceph", entity="client.rbd-mirror.b", setuser="ceph",
        setgroup="ceph")


def test_the_manual_has_every_option():
    names = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", options.USAGE))
    described = set(re.findall(r"(?<=``)--?[a-z][a-z-]*", MANUAL.read_text()))
    assert {"-c", "--setgroup"} < names <= described | {"--admin-daemon", "--keyfile"}
