"""A mistake gets the errno that rbd gives, a message that names the thing, and changes nothing."""

import base64
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import rbd

from qa.images import opened
from qa.sites import Site

# They make snapshots for copies, and change what is compared here.
pytestmark = pytest.mark.usefixtures("no_workers")

NOBODY = "00000000-0000-0000-0000-000000000000"

# Words of ours, and those of rbd where they are others; all against site-a.
MISTAKES: List[Tuple[List[str], str]] = [
    (["pool", "enable", "nopool", "image"], "'nopool'"),
    (["pool", "enable", "{pool}/nons", "image"], "/nons'"),
    (["pool", "enable", "{pool}", "bogus"], "'bogus'"),
    (["pool", "enable", "{pool}/a/b", "image"], "/a'"),
    (["pool", "enable", "no@pool", "image"], "'no@pool'"),
    (["pool", "enable", "{pool}/n@s", "image"], "'n@s'"),
    (["pool", "disable", "nopool"], "'nopool'"),
    (["pool", "disable", "no@pool"], "'no@pool'"),
    (["pool", "disable", "{pool}"], "peer remove {pool}"),
    (["pool", "info", "nopool"], "'nopool'"),
    (["pool", "info", "no pool"], "'no pool'"),
    (["pool", "info", "no@pool"], "'no@pool'"),
    (["pool", "info", "p\u00f6\u00f6l"], "'p\u00f6\u00f6l'"),
    (["pool", "info", "/"], "'rbd'"),
    (["pool", "info", ""], "'rbd'"),
    (["pool", "status", "nopool"], "'nopool'"),
    (["pool", "status", "{bare}"], "pool enable {bare} image"),
    (["pool", "peer", "bootstrap", "create", "nopool"], "'nopool'"),
    (["pool", "peer", "bootstrap", "create", "{bare}"], "pool enable {bare} image"),
    (["pool", "status", "{pool}/n@s"], "'n@s'"),
    (["pool", "peer", "bootstrap", "create", "{pool}/ns"], "namespace"),
    (["image", "enable", "nopool/image", "snapshot"], "'nopool'"),
    (["image", "enable", "{pool}/nons/image", "snapshot"], "/nons'"),
    (["image", "enable", "{pool}/noimage", "snapshot"], "/noimage'"),
    (["image", "enable", "{pool}/no image", "snapshot"], "/no image'"),
    (["image", "enable", "{pool}/n\u00f6", "snapshot"], "/n\u00f6'"),
    (["image", "enable", "{pool}/image@snap", "snapshot"], "@snap'"),
    (["image", "enable", "{pool}/a/b/c", "snapshot"], "/a'"),
    (["image", "enable", "{pool}/", "snapshot"], "'rbd'"),
    (["image", "enable", "", "snapshot"], "''"),
    (["image", "enable", "{pool}/image", "bogus"], "'bogus'"),
    (["image", "enable", "{bare}/image", "snapshot"], "pool enable {bare} image"),
    (["image", "enable", "{bare}/image", "journal"], "pool enable {bare} image"),
    (["image", "disable", "{bare}/image"], "pool enable {bare} image"),
    (["image", "disable", "{pool}/noimage"], "/noimage'"),
    (["image", "status", "{pool}/image"], "image enable {pool}/image"),
    (["image", "status", "{pool}/noimage"], "/noimage'"),
    (["image", "snapshot", "{pool}/image"], "image enable {pool}/image"),
    (["image", "snapshot", "{pool}/journaled"], "journal"),
    (["image", "enable", "{pool}/journaled", "snapshot"], "image disable {pool}/journaled"),
    (["image", "promote", "{pool}/journaled"], "primary here already"),
    (["image", "resync", "{pool}/journaled"], "image demote {pool}/journaled"),
    (["image", "promote", "{pool}/image"], "image enable {pool}/image"),
    (["image", "demote", "{pool}/image"], "image enable {pool}/image"),
    (["image", "resync", "{pool}/image"], "image enable {pool}/image"),
    (["pool", "promote", "{bare}"], "pool enable {bare} image"),
    (["pool", "demote", "{bare}"], "pool enable {bare} image"),
    (["pool", "peer", "add", "{pool}", "client.c@site-c"], "'site-b'"),
    (["pool", "peer", "set", "{pool}", "no-uuid", "client", "client.c"], "'no-uuid'"),
    (["pool", "peer", "set", "{pool}", NOBODY, "client", "client.c"], NOBODY),
    (["pool", "peer", "set", "{pool}", NOBODY, "bogus", "x"], "'bogus'"),
    (["pool", "peer", "set", "{pool}", NOBODY, "direction", "bogus"], "'bogus'"),
    (["pool", "peer", "remove", "{pool}", "no-uuid"], "'no-uuid'"),
    (["image", "demote", "{pool}/in-use"], "image demote {pool}/in-use --force"),
    (["image", "enable", "{pool}/clone", "snapshot"], "image enable {pool}/golden snapshot"),
    (["image", "disable", "{pool}/parent"], "{pool}/child is cloned from it"),
    (["image", "enable", "{whole}/image", "snapshot"], "feature enable {whole}/image journaling"),
    (["image", "disable", "{whole}/journaled"], "feature disable {whole}/journaled journaling"),
    (["image", "status", "{whole}/image"], "feature enable {whole}/image journaling"),
    (["pool", "enable", " ", "image"], "' '"),
    (["pool", "enable", "{pool}//", "image"], "'{pool}/'"),
    (["pool", "info", "{pool}\n"], "'{pool}\\n'"),
    (["pool", "peer", "add", "{bare}", "client.c@site-c"], "pool enable {bare} image"),
    (["pool", "peer", "add", "{bare}", "client.@site-c"], "'client.@site-c'"),
    (["image", "promote", "{bare}/image"], "pool enable {bare} image"),
    (["image", "enable", "{pool}/idle", "journal"], "rbd lock ls {pool}/idle"),
]


@pytest.fixture
def names(site_a: Site, pool: str) -> Iterator[Dict[str, str]]:
    """Mirrored pools in either mode and one that is not, each with an image that is not.

    Two others, one of which is, are locked by a client that does not let go of them; and there are
    two families, one of which is mirrored.
    """
    bare, whole = f"{pool}-bare", f"{pool}-whole"
    for name in (bare, whole):
        site_a.create_pool(name)
    site_a.ceph("rbd-mirror", "pool", "enable", whole)
    for name in (pool, bare, whole):
        site_a.rbd("create", f"{name}/image", "--size", "8M")
    site_a.rbd("create", f"{whole}/journaled", "--size", "8M", "--image-feature",
               "exclusive-lock,journaling")
    for parent, child, mirrored in (("golden", "clone", False), ("parent", "child", True)):
        site_a.rbd("create", f"{pool}/{parent}", "--size", "8M")
        site_a.rbd("snap", "create", f"{pool}/{parent}@base")
        site_a.rbd("snap", "protect", f"{pool}/{parent}@base")
        site_a.rbd("clone", f"{pool}/{parent}@base", f"{pool}/{child}")
        for name in (parent, child) if mirrored else ():
            site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/{name}", "snapshot")
    site_a.rbd("create", f"{pool}/journaled", "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/journaled", "journal")
    for name in ("idle", "in-use"):
        site_a.rbd("create", f"{pool}/{name}", "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/in-use", "snapshot")
    with opened(site_a, pool, "idle", read_only=False) as idle, \
            opened(site_a, pool, "in-use", read_only=False) as in_use:
        for image in (idle, in_use):
            image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
        yield {"pool": pool, "bare": bare, "whole": whole}


def state(site: Site, pool: str) -> List[Any]:
    """All that a mistake must not change."""
    info = site.rbd_json("mirror", "pool", "info", pool, "--all")
    for peer in info.get("peers", []):
        del peer["mirror_uuid"]  # comes with the first ping
    keys = [key for key in site.ceph_json("config-key", "ls")
            if key.startswith(("rbd/", "config/"))]
    images = site.rbd_json("ls", "--long", pool)
    for image in images:
        image.pop("lock_type", None)  # librbd's own, for as long as it writes
    return [info, keys, images,
            site.ceph("auth", "get", "client.rbd-mirror-peer")]


def test_mistakes(site_a: Site, names: Dict[str, str]) -> None:
    before = [state(site_a, pool) for pool in names.values()]
    wrong = []
    for words, says in MISTAKES:
        named = [word.format(**names) for word in words]
        ours = site_a.run("ceph", "rbd-mirror", *named)
        theirs = site_a.run("rbd", "mirror", *named)
        if (ours.returncode != theirs.returncode or says.format(**names) not in ours.stderr
                or "Traceback" in ours.stderr):
            wrong.append((named, theirs.returncode, ours.returncode, ours.stderr))
    assert wrong == []
    for pool, known in zip(names.values(), before):
        for found, expected in zip(state(site_a, pool), known):
            assert found == expected


def test_what_needs_a_primary(site_a: Site, pool: str) -> None:
    site_a.rbd("create", f"{pool}/image", "--size", "8M")
    site_a.ceph("rbd-mirror", "image", "enable", f"{pool}/image", "snapshot")
    site_a.rbd("mirror", "image", "demote", f"{pool}/image")
    for words in (["image", "snapshot"], ["image", "disable"]):
        ours = site_a.run("ceph", "rbd-mirror", *words, f"{pool}/image")
        theirs = site_a.run("rbd", "mirror", *words, f"{pool}/image")
        assert ours.returncode == theirs.returncode == 22
        assert "not primary here" in ours.stderr


def test_tokens(site_a: Site, site_b: Site, pool: str, tmp_path: Path) -> None:
    lone = f"{pool}-lone"
    site_a.create_pool(lone)
    site_b.create_pool(lone)
    site_a.ceph("rbd-mirror", "pool", "enable", lone, "image")
    good = json.loads(base64.b64decode(
        site_a.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", lone)))
    before = [state(site, name) for site in (site_a, site_b) for name in (pool, lone)]

    def pack(**changes: Any) -> str:
        content = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return base64.b64encode(json.dumps(content).encode()).decode()

    mistakes: List[Tuple[str, List[str], str]] = [
        ("", [], "-i"),
        ("!!", [], "base64"),
        (base64.b64encode(b"x").decode(), [], "JSON"),
        (pack(key=None), [], "'key'"),
        (pack(mon_host=None), [], "'mon_host'"),
        (pack(fsid="11111111-1111-1111-1111-111111111111"), [], good["fsid"]),
        (pack(key="AQCC0sNhAAAAABAAqaxT5cXnn3T3nFEq8zA4Bg=="), [], "client.rbd-mirror-peer"),
        (pack(key="x"), [], "'key'"),
        (pack(client_id="nobody"), [], "client.nobody"),
        (pack(mon_host="no.such.host.invalid"), [], "no.such.host.invalid"),
    ]
    path = tmp_path / "token"
    for text, flags, says in mistakes:
        path.write_text(text)
        bootstrap = ("pool", "peer", "bootstrap", "import", lone)
        ours = site_b.run("ceph", "rbd-mirror", *bootstrap, "-i", str(path), *flags)
        theirs = site_b.run("rbd", "mirror", *bootstrap, str(path), *flags)
        # The rbd of Ceph 20 has the peer refuse what is no key at all.
        codes = {theirs.returncode} | ({22} if text == pack(key="x") else set())
        assert ours.returncode in codes, (text, ours.stderr, theirs.stderr)
        assert says in ours.stderr
        assert good["key"] not in ours.stderr

    def refused(site: Site, name: str, text: str, *flags: str) -> "Tuple[int, str]":
        path.write_text(text)
        result = site.run("ceph", "rbd-mirror", "pool", "peer", "bootstrap", "import", name,
                          "-i", str(path), *flags)
        return result.returncode, result.stderr

    # rbd hangs for five minutes on the first, and exits with 1, no errno, on the second.
    code, error = refused(site_b, lone, pack(mon_host="127.0.0.1:9"))
    assert (code, "127.0.0.1:9" in error) == (110, True)
    code, error = refused(site_b, lone, pack(), "--direction", "bogus")
    assert (code, "'bogus'" in error) == (22, True)
    code, error = refused(site_a, lone, pack())
    assert (code, "own" in error) == (22, True)
    code, error = refused(site_b, lone, pack(), "--site-name", site_a.name)
    assert (code, f"'{site_a.name}'" in error) == (22, True)
    code, error = refused(site_b, f"{lone}/ns", pack())
    assert (code, "namespace" in error) == (22, True)
    code, error = refused(site_b, "nopool", pack())
    assert (code, "'nopool'" in error) == (2, True)
    assert [state(site, name) for site in (site_a, site_b) for name in (pool, lone)] == before
