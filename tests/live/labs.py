"""The clusters that live tests run on."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from qa import releases
from qa.mirrored import remove_at_once
from qa.sites import Lab


@contextmanager
def lab_with(osds: int, release: Optional[str]) -> Iterator[Lab]:
    """Two sites with mirror_mgr: those of a lab that runs in $MIRROR_MGR_LAB, or new ones.

    It has at least so many OSDs at each site; new ones are of the release that --release asks for,
    else of the host's.  The logs of new ones are kept when the run fails to
    end all that it started.  Copies whose primary is gone go at once: the times that they are kept
    are for tests of that.
    """
    running = os.environ.get("MIRROR_MGR_LAB")
    if running and Lab.attach(running).osds >= osds:
        lab = Lab.attach(running)
        _remove_at_once(lab)
        yield lab
        return
    directory = Path(tempfile.mkdtemp(prefix="lab-"))
    lab = Lab(directory, osds=osds, releases=releases.parse(release) if release else None)
    lab.up()
    _remove_at_once(lab)
    try:
        yield lab
    finally:
        survivors = lab.stop()
    assert not survivors, f"outlived their manager: {survivors}; see {directory}"
    shutil.rmtree(directory)


def _remove_at_once(lab: Lab) -> None:
    for site in lab.sites.values():
        remove_at_once(site)
