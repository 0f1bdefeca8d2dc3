"""Where scenarios play: two sites with the module and its workers in both, and a fresh pool."""

import random
from typing import Any, Callable, Dict, List

import rbd

from qa.images import checksum, opened
from qa.sites import Lab, Site
from qa.waiting import wait_for


class Stage:
    """`pool` is mirrored both ways; all that is random comes from `rng`; `say` gets each line."""

    def __init__(self, lab: Lab, pool: str, rng: random.Random,
                 say: Callable[[str], None]) -> None:
        self.lab = lab
        self.site_a, self.site_b = lab.sites["site-a"], lab.sites["site-b"]
        self.pool = pool
        self.rng = rng
        self.say = say

    def spec(self, name: str) -> str:
        return f"{self.pool}/{name}"

    def command(self, site: Site, *words: str) -> str:
        """Say a `ceph rbd-mirror` command to a site; raise LabError when it fails."""
        return site.ceph("rbd-mirror", *words).strip()

    def create(self, site: Site, name: str, mib: int = 8) -> None:
        """Make an image and mirror it in snapshot mode."""
        site.rbd("create", self.spec(name), "--size", f"{mib}M")
        self.command(site, "image", "enable", self.spec(name), "snapshot")

    def write(self, site: Site, name: str, count: int = 10) -> None:
        """Write to places of all sizes."""
        with opened(site, self.pool, name, read_only=False) as image:
            for _ in range(count):
                length = self.rng.choice((512, 4096, 200000))
                image.write(self.rng.randbytes(length),
                            self.rng.randrange(image.size() - length))

    def snapshot(self, site: Site, name: str) -> None:
        self.command(site, "image", "snapshot", self.spec(name))

    def digest(self, site: Site, name: str) -> str:
        with opened(site, self.pool, name) as image:
            return checksum(image)

    def wait_equal(self, primary: Site, copy: Site, name: str) -> None:
        """Wait until the copy holds what the primary holds now; it has to have a snapshot of it."""
        expected = self.digest(primary, name)

        def equal() -> bool:
            try:
                return self.digest(copy, name) == expected
            except rbd.ImageNotFound:
                return False

        self.wait(equal, name)

    def wait(self, predicate: Callable[[], bool], name: str) -> None:
        """Wait for it; what both sites say of the image is shown when it does not come true."""
        wait_for(predicate, lambda: "\n".join(
            site.rbd(*words, self.spec(name), check=False)
            for site in (self.site_a, self.site_b)
            for words in (("mirror", "image", "status"), ("snap", "ls", "--all"))))

    def status(self, site: Site, name: str) -> Dict[str, Any]:
        found: Dict[str, Any] = site.ceph_json("rbd-mirror", "image", "status", self.spec(name))
        return found

    def try_command(self, site: Site, *words: str) -> bool:
        return site.run("ceph", "rbd-mirror", *words).returncode == 0

    def fail_over(self, old: Site, new: Site) -> None:
        """Demote the pool here and promote it there as soon as that needs no force."""
        self.command(old, "pool", "demote", self.pool)
        wait_for(lambda: self.try_command(new, "pool", "promote", self.pool),
                 lambda: new.ceph("rbd-mirror", "pool", "status", self.pool, "--detail"))

    def is_primary(self, site: Site, name: str) -> bool:
        return bool(site.rbd_json("info", self.spec(name))["mirroring"]["primary"])

    def trash(self, site: Site) -> List[str]:
        """The names of the images in the pool's trash."""
        return [entry["name"] for entry in site.rbd_json("trash", "ls", "--all", self.pool)]
