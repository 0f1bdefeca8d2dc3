"""Releases of Ceph and of Python that a lab or a test can be asked to run with, and how."""

import functools
import re
import subprocess
from dataclasses import dataclass
from typing import Dict, Optional, Sequence

from qa.errors import LabError

# A release of Ceph that Debian packages, and the suite of Debian that has it.
CEPH_SUITES = {"16": "bookworm", "18": "trixie", "20": "sid"}
# The same for a Python that no suite of these has.
PYTHON_SUITES = {"3.9": "bullseye"}
SITES = ("site-a", "site-b")
HELP = (f"of Ceph: {', '.join(CEPH_SUITES)}, or one for each site as in site-a=16,site-b=18; "
        "default: the host's own")


@dataclass(frozen=True)
class Releases:
    """What each site of a lab runs."""

    by_site: Dict[str, str]

    @property
    def single(self) -> Optional[str]:
        """The release of all sites, None where they differ."""
        found = set(self.by_site.values())
        return found.pop() if len(found) == 1 else None

    def __str__(self) -> str:
        return self.single or ",".join(f"{site}={one}" for site, one in self.by_site.items())


def parse(text: str, sites: Sequence[str] = SITES) -> Releases:
    """Read `20`, or `site-a=16,site-b=18`. Raise LabError, which says what could be given."""
    if "=" not in text:
        return Releases(dict.fromkeys(sites, _known(text)))
    found: Dict[str, str] = {}
    for word in text.split(","):
        site, _, release = word.partition("=")
        if site not in sites:
            raise LabError(f"--release {text}: there is no site {site!r}; the sites are "
                           f"{' and '.join(sites)}")
        if site in found:
            raise LabError(f"--release {text}: {site} is given twice")
        found[site] = _known(release)
    missing = [site for site in sites if site not in found]
    if missing:
        raise LabError(f"--release {text}: {missing[0]} has none; give one to each site")
    return Releases({site: found[site] for site in sites})


def _known(release: str) -> str:
    if release not in CEPH_SUITES:
        raise LabError(f"there is no release {release!r} to be had from Debian; "
                       f"choose from {', '.join(CEPH_SUITES)}")
    return release


@functools.lru_cache(maxsize=None)
def of_host() -> str:
    """Return the release of Ceph that is installed here, in a root that of the root."""
    return of_text(subprocess.run(["rbd", "--version"], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout)


def of_text(version: str) -> str:
    """Return the release in what `ceph --version` prints. Raise LabError when there is none."""
    match = re.match(r"ceph version (\d+)\.", version)
    if match is None:
        raise LabError(f"this is no version of Ceph: {version.strip()!r}")
    return match[1]
