"""What `qa/demo` shows: mirroring set up, proven and failed over, on two real clusters."""

import argparse
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import rbd

from qa import choice
from qa.errors import LabError
from qa.filesystem import Filesystem
from qa.images import checksum, mirror_snapshots, opened, user_snapshots
from qa.sites import Lab, Site

POOL, IMAGE = "data", "disk"
SPEC = f"{POOL}/{IMAGE}"
MIB = 1 << 20
FILES, FILE_SIZE = 32, 3 * MIB
SYNC_SECONDS = 60
WIDTH = 58


def main() -> int:
    """Run the demonstration and return the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the two clusters running")
    choice.add_release(parser)
    args = parser.parse_args()
    releases = choice.settle("demo", args.release)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    start = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="demo-"))
    lab = Lab(directory / "lab", releases=releases)
    code = 1
    try:
        Demonstration(lab, directory).run()
        print(f"\nDone in {time.monotonic() - start:.0f} s: every copy was identical.")
        code = 0
    except (LabError, AssertionError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
    finally:
        leave(lab, directory, args.keep, succeeded=code == 0)
    return code


def leave(lab: Lab, directory: Path, keep: bool, succeeded: bool) -> None:
    """Take everything down; keep the clusters when asked to, and the logs of a failure."""
    if keep and lab.running():
        print(f"\nThe clusters still run. Try:  ceph -c {lab.sites['site-b'].conf} status")
        print(f"Take them down with:  qa/lab down --dir {lab.directory}")
    elif succeeded:
        lab.down()
        shutil.rmtree(directory)
    else:
        lab.stop()
        print(f"demo: the logs are in {lab.directory}/site-*/log", file=sys.stderr)


class Demonstration:
    """The story, a step a method."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.filesystem = Filesystem(directory / "filesystem")
        self.rows: List[Tuple[str, str, str]] = []

    def run(self) -> None:
        """Tell the whole story. Raise AssertionError when a copy is not identical."""
        self.start()
        self.set_mirroring_up()
        self.make_image()
        self.change_a_file()
        self.delete_a_file()
        self.grow_the_image()
        self.show_state()
        self.fail_over()
        self.write_at_the_new_primary()
        self.show_proof()

    def start(self) -> None:
        """Bring the clusters up."""
        title("Two Ceph clusters on this host, mirror_mgr in both")
        start = time.monotonic()
        self.lab.up()
        self.site_a, self.site_b = self.lab.sites.values()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda site: site.create_pool(POOL), self.lab.sites.values()))
        print(f"site-a and site-b are up after {time.monotonic() - start:.0f} s")

    def set_mirroring_up(self) -> None:
        """Do what Ceph's guide tells an administrator to do, through our commands."""
        title("Mirroring of a pool, from site-a to site-b and back")
        for site in (self.site_a, self.site_b):
            ceph(site, "rbd-mirror pool enable", POOL, "image", "--site-name", site.name)
        token = self.directory / "token"
        create = ("rbd-mirror pool peer bootstrap create", POOL)
        token.write_text(ceph(self.site_a, *create, shown=f"> {token}"))
        ceph(self.site_b, "rbd-mirror pool peer bootstrap import", POOL, "-i", str(token))
        token.unlink()

    def make_image(self) -> None:
        """Put a filesystem into an image and mirror it."""
        title(f"An image with an ext4 filesystem: {FILES} files, {FILES * FILE_SIZE // MIB} MiB")
        with tempfile.TemporaryDirectory() as contents:
            for number in range(FILES):
                Path(contents, f"file-{number}").write_bytes(os.urandom(FILE_SIZE))
            self.filesystem.make(512 * MIB, Path(contents))
        rbd_cli(self.site_a, "create", SPEC, "--size", "512M")
        self.store(self.site_a)
        ceph(self.site_a, "rbd-mirror image enable", SPEC, "snapshot")
        self.compare("initial copy", self.site_a, self.site_b)

    def change_a_file(self) -> None:
        """Add a file, and take a user snapshot that will be mirrored as well."""
        title("A new file, and a snapshot of the user's own")
        self.add("added-at-site-a", b"written at site-a\n" * 100000)
        self.store(self.site_a)
        rbd_cli(self.site_a, "snap create", f"{SPEC}@with-new-file")
        self.mirror("new file, user snapshot")

    def delete_a_file(self) -> None:
        """Delete a file and discard its blocks."""
        title("A deleted file, its blocks discarded as fstrim would")
        self.filesystem.remove("file-0")
        self.store(self.site_a)
        self.mirror("deleted file, discarded blocks")

    def grow_the_image(self) -> None:
        """Grow image and filesystem."""
        title("A larger image, with the filesystem grown into it")
        self.filesystem.grow(768 * MIB)
        self.store(self.site_a)
        self.mirror("grown by 256 MiB")

    def show_state(self) -> None:
        """Show what an administrator would look at."""
        title("What site-b says")
        print(ceph(self.site_b, "rbd-mirror pool status", POOL, "--detail"))
        print(ceph(self.site_b, "rbd-mirror worker ls"))
        print(ceph(self.site_b, "-s"))

    def fail_over(self) -> None:
        """Change the sites' roles in order, with the stock tool only."""
        title("An orderly failover with the stock rbd command, no --force")
        rbd_cli(self.site_a, "mirror image demote", SPEC)
        self.compare("demoted", self.site_a, self.site_b)
        rbd_cli(self.site_b, "mirror image promote", SPEC)

    def write_at_the_new_primary(self) -> None:
        """Use the copy: check its filesystem, read a file, write another, mirror that back."""
        title("site-b is primary now: check the filesystem, and write to it")
        with opened(self.site_b, POOL, IMAGE) as image:
            self.filesystem.fetch(image)
        self.filesystem.check()
        assert self.filesystem.read("added-at-site-a").startswith(b"written at site-a\n")
        print("e2fsck finds the filesystem clean; added-at-site-a is there")
        self.add("added-at-site-b", b"written at site-b\n" * 100000)
        self.store(self.site_b)
        ceph(self.site_b, "rbd-mirror image snapshot", SPEC)
        self.compare("written at site-b", self.site_b, self.site_a)

    def show_proof(self) -> None:
        """Print all comparisons once more."""
        title("Checksums of the whole image at every snapshot")
        print(f"{'at':<{WIDTH}}{'primary':<34}copy")
        for what, source, copied in self.rows:
            print(f"{what:<{WIDTH}}{source:<34}{copied}")

    def add(self, name: str, content: bytes) -> None:
        """Add a file to the filesystem."""
        source = self.directory / name
        source.write_bytes(content)
        self.filesystem.add(source)
        source.unlink()

    def store(self, site: Site) -> None:
        """Write what changed in the filesystem to the image."""
        with opened(site, POOL, IMAGE, read_only=False) as image:
            changed = self.filesystem.store(image)
        print(f"{changed / MIB:.1f} MiB of the image changed")

    def mirror(self, what: str) -> None:
        """Make a mirror snapshot at site-a and compare the copy at site-b with it."""
        ceph(self.site_a, "rbd-mirror image snapshot", SPEC)
        self.compare(what, self.site_a, self.site_b)

    def compare(self, what: str, primary: Site, copy: Site) -> None:
        """Wait until the primary's newest mirror snapshot is copied; compare all snapshots."""
        source_id, copy_id = Sync(primary, copy).wait()
        self.record(what, digests(primary, source_id), digests(copy, copy_id))

    def record(self, what: str, sources: Dict[str, str], copies: Dict[str, str]) -> None:
        """Keep and check the checksums of one round, by snapshot."""
        assert list(sources) == list(copies), f"{what}: {list(copies)} is not {list(sources)}"
        for snapshot, source in sources.items():
            at = f"{what}, snapshot {snapshot}" if snapshot else what
            self.rows.append((at, source, copies[snapshot]))
            assert source == copies[snapshot], f"{at}: the copy differs from the primary"
            print(f"identical at {snapshot or 'the mirror snapshot'}: {source}")


class Sync:
    """The copying of the newest mirror snapshot, as a user sees it go on."""

    def __init__(self, primary: Site, copy: Site) -> None:
        self.primary = primary
        self.copy = copy
        self._shown = ""

    def wait(self) -> Tuple[int, int]:
        """Show the progress until the copy is complete; return the snapshot's ids at both sites."""
        start = time.monotonic()
        while True:
            state, pair = self._look()
            passed = time.monotonic() - start
            if pair:
                self._show(f"copied to {self.copy.name} {passed:.1f} s after that", end="\n")
                return pair
            if passed > SYNC_SECONDS:
                raise AssertionError(f"no copy at {self.copy.name} in {passed:.0f} s: {state}")
            self._show(f"{self.copy.name}: {state}")
            time.sleep(0.2)

    def _look(self) -> Tuple[str, Optional[Tuple[int, int]]]:
        """Return what the copy's site says, and the ids once the copy is complete."""
        # Looked up anew each time: the first one may be replaced, as it was made before the peer
        # was known.
        with opened(self.primary, POOL, IMAGE) as image:
            source = mirror_snapshots(image)[-1].id
        try:
            with opened(self.copy, POOL, IMAGE) as image:
                for snapshot in mirror_snapshots(image):
                    if snapshot.primary_id == source and snapshot.complete:
                        return "", (source, snapshot.id)
                return _progress(image), None
        except rbd.ImageNotFound:
            return "waiting for the image", None

    def _show(self, text: str, end: str = "") -> None:
        """Replace the progress line; without a terminal there are lines only at the end."""
        if sys.stdout.isatty():
            print(f"\r\033[K{text}", end=end, flush=True)
        elif end:
            print(text)


def digests(site: Site, mirror_snapshot: int) -> Dict[str, str]:
    """Return the checksum at each user snapshot, and at the mirror snapshot under an empty name."""
    found = {}
    with opened(site, POOL, IMAGE) as image:
        for name in user_snapshots(image):
            image.set_snap(name)
            found[name] = checksum(image)
        image.set_snap_by_id(mirror_snapshot)
        found[""] = checksum(image)
    return found


def title(text: str) -> None:
    """Begin a part of the story."""
    print(f"\n== {text}")


def ceph(site: Site, words: str, *args: str, shown: str = "") -> str:
    """Show a command of one site, run it and return what it prints."""
    return _command(site, "ceph", [*words.split(), *args], shown)


def rbd_cli(site: Site, words: str, *args: str) -> str:
    """Show a stock `rbd` command of one site, run it and return what it prints."""
    return _command(site, "rbd", [*words.split(), *args], "")


def _command(site: Site, program: str, args: List[str], shown: str) -> str:
    print(f"{site.name}$ {shlex.join([program, *args])} {shown}".rstrip())
    return getattr(site, program)(*args)


def _progress(image: rbd.Image) -> str:
    """Return what the copy's own site posts of it: the state, and per cent while it copies."""
    # There is none before the first one is posted.
    description = image.mirror_image_get_status().get("description", "")
    percent = re.search(r'"syncing_percent":\s*(\d+)', description)
    state = description.partition(",")[0] or "waiting for a worker"
    return f"{state} {percent[1]} %" if percent else state


if __name__ == "__main__":
    sys.exit(main())
