"""Mirror an image in each mode with the package mirror-mgr that is installed on this machine.

First by the manager's own worker, then by one that runs alone, as the package's service does.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import rbd

from qa import processes
from qa.errors import LabError
from qa.images import checksum, opened
from qa.mirrored import Mirrored, add_pool, keep_workers_away
from qa.sites import STOCK_MODULES, Lab
from qa.waiting import wait_for

PROGRAM = "/usr/bin/mirror-mgr-worker"
MIB = 1 << 20
SIZE = 32 * MIB
FEATURES = {"snapshot": "exclusive-lock", "journal": "exclusive-lock,journaling"}


def main() -> int:
    """Do it all in a lab of its own and return the exit code."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with Lab(tempfile.mkdtemp(prefix="lab-"), installed=True) as lab:
            mirrored = add_pool(lab, "data")
            for mode in FEATURES:
                create(mirrored, mode)
            require_installed_worker(lab)
            compare(mirrored, "the manager's worker")
            keep_workers_away(lab)
            mirrored.copy.start_rbd_mirror("alone", PROGRAM)
            for mode in FEATURES:
                write(mirrored, mode)
            compare(mirrored, PROGRAM)
            mirrored.copy.stop_rbd_mirror("alone")
    except (LabError, AssertionError) as error:
        print(f"installed: FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def create(mirrored: Mirrored, mode: str) -> None:
    """Create an image of the mode's name, write to it and mirror it."""
    spec = f"{mirrored.pool}/{mode}"
    mirrored.primary.rbd("create", spec, "--size", str(SIZE // MIB), "--image-feature",
                         FEATURES[mode])
    mirrored.primary.ceph("rbd-mirror", "image", "enable", spec, mode)
    write(mirrored, mode)


def write(mirrored: Mirrored, mode: str) -> None:
    """Write somewhere in the image; let the other site know where that takes a snapshot."""
    with opened(mirrored.primary, mirrored.pool, mode, read_only=False) as image:
        offset = int.from_bytes(os.urandom(3), "big") % (SIZE - MIB)
        image.write(os.urandom(MIB), offset)
    if mode == "snapshot":
        mirrored.primary.ceph("rbd-mirror", "image", "snapshot", f"{mirrored.pool}/{mode}")


def compare(mirrored: Mirrored, who: str) -> None:
    """Wait until each copy is what its primary is."""
    for mode in FEATURES:
        wait_for(lambda mode=mode: is_same(mirrored, mode),
                 lambda: mirrored.copy.ceph("rbd-mirror", "pool", "status", mirrored.pool,
                                            "--detail"))
        print(f"{mode}: identical, by {who}")


def is_same(mirrored: Mirrored, name: str) -> bool:
    """Tell whether both sites have the image, with the same content."""
    try:
        with opened(mirrored.primary, mirrored.pool, name) as source:
            with opened(mirrored.copy, mirrored.pool, name) as copy:
                return checksum(source) == checksum(copy)
    except rbd.ImageNotFound:
        return False


def require_installed_worker(lab: Lab) -> None:
    """Raise AssertionError where a manager's worker runs from elsewhere than the package."""
    def workers() -> "list[int]":
        return [pid for pid in lab.running() if processes.WORKER in processes.arguments(pid)]

    wait_for(lambda: len(workers()) == len(lab.sites))
    for pid in workers():
        folders = dict(word.partition("=")[::2] for word in
                       Path("/proc", str(pid), "environ").read_text().split("\0"))["PYTHONPATH"]
        assert folders.split(":")[0] == str(STOCK_MODULES), f"worker {pid} runs from {folders}"


if __name__ == "__main__":
    sys.exit(main())
