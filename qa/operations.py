"""What RADOS operations the OSDs of a site get, one by one, as their own log tells."""

import re
import time
from contextlib import contextmanager
from datetime import datetime
from typing import Iterator, List, NamedTuple, Optional

from qa.sites import Site

# An OSD says at this level what it is about to do; the default of a lab is 1.
_TELLING, _QUIET = "10", "1/1"
_LINE = re.compile(
    r"^(?P<at>\S+) .* do_op osd_op\(client\.(?P<client>\d+)\.\d+:\d+ \S+ "
    r"\d+:[0-9a-f]+:(?P<namespace>[^:]*)::(?P<oid>.*):(?P<snapshot>head|[0-9a-f]+) "
    r"\[(?P<steps>.*?)\] snapc "
)
_LENGTHS = re.compile(r" (in|out)=\d+b")
# Of an image: 12 to 16 digits; of a snapshot: 16 digits; a mirroring object's numbers.
_IDS = re.compile(r"(?<=\.)[0-9a-f]{10,16}(?=\.|$)|(?<=\.)\d+(?=\.|$)")


class Operation(NamedTuple):
    """One request of a client: when it came (seconds since the epoch), from whom, for what."""

    at: float
    client: int
    oid: str
    steps: str

    @property
    def kind(self) -> str:
        """The operation without what differs from image to image."""
        return f"{_IDS.sub('*', self.oid)} [{_LENGTHS.sub('', self.steps)}]"


def parse(line: str) -> Optional[Operation]:
    """Given a line of an OSD's log (release 16, debug_osd 10), return the operation it tells of."""
    found = _LINE.match(line)
    if found is None:
        return None
    at = datetime.strptime(found["at"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    return Operation(at, int(found["client"]), found["oid"], found["steps"])


@contextmanager
def recorded(site: Site, operations: List[Operation]) -> Iterator[None]:
    """Add to `operations` all that clients ask of the site's first OSD meanwhile."""
    log = site.directory / "log" / "osd.0.log"
    site.ceph("tell", "osd.0", "config", "set", "debug_osd", _TELLING)
    start = log.stat().st_size
    try:
        yield
    finally:
        site.ceph("tell", "osd.0", "config", "set", "debug_osd", _QUIET)
    time.sleep(1.0)
    with open(log, errors="replace") as lines:
        lines.seek(start)
        operations.extend(filter(None, map(parse, lines)))
