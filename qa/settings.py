"""What a lab is made of; kept in its directory, for those who attach to it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List

from qa.errors import LabError
from qa.releases import Releases, of_host

NAME = "lab.json"


@dataclass
class Settings:
    """All that the names and ports of a lab follow from."""

    sites: List[str]
    base_port: int
    memstore: bool
    osds: int
    mgr: bool
    module: bool
    # Of Ceph, by the site's name; those that are not named have the host's.
    releases: Dict[str, str] = field(default_factory=dict)
    older_keys: bool = False
    installed: bool = False

    @classmethod
    def load(cls, directory: Path) -> "Settings":
        """Read what `save` wrote. Raise LabError when there is no lab in the directory."""
        try:
            return cls(**json.loads((directory / NAME).read_text()))
        except FileNotFoundError:
            raise LabError(
                f"{directory}: there is no lab; bring one up with qa/lab up") from None

    def save(self, directory: Path) -> None:
        """Write the settings as JSON."""
        (directory / NAME).write_text(json.dumps(asdict(self), indent=4) + "\n")

    def chosen(self) -> Releases:
        """Return the release of each site."""
        return Releases({site: self.releases.get(site) or of_host() for site in self.sites})
