#!/usr/bin/python3
"""Record what a real Ceph writes into journals, as record.py beside this file does for the rest.

    tests/wire/record_journal.py CONF-OF-SITE-A CONF-OF-SITE-B

Both sites are to be scratch clusters (qa/lab up).
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict

import rados
import rbd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from record import (  # noqa: E402
    KIB,
    MIB,
    NAMESPACE,
    POOL,
    Daemon,
    Site,
    omap,
    pair,
    reply,
    save,
    wait,
)

from mirror_mgr.wire import cls_journal  # noqa: E402
from mirror_mgr.wire.journal import journal_data_oid, journal_oid  # noqa: E402
from qa import nativerbd  # noqa: E402

NAME = "journaled"


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    a, b = Site(sys.argv[1]), Site(sys.argv[2])
    a.run("ceph", "osd", "pool", "create", POOL, "8")
    a.rbd("pool", "init", POOL)
    a.rbd("namespace", "create", f"{POOL}/{NAMESPACE}")
    a.rbd("mirror", "pool", "enable", "--site-name", "a", POOL, "image")
    a.rbd("mirror", "pool", "enable", f"{POOL}/{NAMESPACE}", "image")
    pair(a, b)
    wait(lambda: a.rbd_json("mirror", "pool", "info", POOL)["peers"])
    daemon = Daemon(b)
    try:
        do_everything(a)
        content = {"events": journal(a)}
        a.rbd("mirror", "image", "enable", f"{POOL}/{NAME}", "journal")
        wait(replays, b)
        content["replayed"] = journal(a)
        a.rbd("mirror", "image", "demote", f"{POOL}/{NAME}")
        wait(lambda: b"<orphan>" in b"".join(
            bytes.fromhex(v) for v in journal(b)["omap"].values()))
        b.rbd("mirror", "image", "promote", f"{POOL}/{NAME}")
        content["demoted"] = journal(a)
        content["promoted at site b"] = journal(b)
        save("journals", content)
    finally:
        daemon.stop()
    return 0


def do_everything(a: Site) -> None:
    """One of each kind of event, small ones."""
    with a.ioctx() as ioctx:
        features = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
                    | rbd.RBD_FEATURE_JOURNALING | rbd.RBD_FEATURE_OBJECT_MAP
                    | rbd.RBD_FEATURE_FAST_DIFF)
        rbd.RBD().create(ioctx, NAME, 16 * MIB, old_format=False, features=features)
        with rbd.Image(ioctx, NAME) as image:
            image.write(b"first", 0)
            image.flush()
            image.write(b"second", 5 * MIB)
            image.discard(64 * KIB, 128 * KIB)
            image.write_zeroes(4096, 512)
            image.create_snap("one")
            image.create_snap("schnappschuß")
            image.rename_snap("one", "two")
            image.protect_snap("two")
            image.unprotect_snap("two")
            image.set_snap_limit(9)
            image.metadata_set("key", "value")
            image.metadata_remove("key")
            image.resize(8 * MIB)
            image.rollback_to_snap("two")
            image.remove_snap("two")
            image.update_features(rbd.RBD_FEATURE_FAST_DIFF, False)
    with nativerbd.opened(a.conf, POOL, NAME) as native:
        native.write_same(8192, 1024, b"0123456789abcdef" * 32)
        native.compare_and_write(4 * MIB, bytes(512), b"y" * 512)
        native.compare_and_write(4 * MIB, bytes(512), b"n" * 512)
    a.rbd("rename", f"{POOL}/{NAME}", f"{POOL}/renamed")
    a.rbd("rename", f"{POOL}/renamed", f"{POOL}/{NAME}")


def replays(site: Site) -> bool:
    try:
        status = site.rbd_json("mirror", "image", "status", f"{POOL}/{NAME}")
    except subprocess.CalledProcessError:
        return False
    time.sleep(1)
    return bool(status["state"] == "up+replaying" and '"entries_behind_primary":0'
                in status["description"])


def journal(site: Site) -> Dict[str, Any]:
    """The header, what the class answers, the data objects, and the pool's mirror uuid."""
    with site.ioctx() as ioctx:
        with rbd.Image(ioctx, NAME, read_only=True) as image:
            image_id = image.id()
        oid = journal_oid(image_id)
        calls = {"client_list": cls_journal.client_list(), "get_order": cls_journal.get_order(),
                 "get_splay_width": cls_journal.get_splay_width(),
                 "get_pool_id": cls_journal.get_pool_id(),
                 "get_minimum_set": cls_journal.get_minimum_set(),
                 "get_active_set": cls_journal.get_active_set(),
                 "get_next_tag_tid": cls_journal.get_next_tag_tid(),
                 "get_client": cls_journal.get_client(""),
                 "tag_list": cls_journal.tag_list("")}
        objects = {}
        for number in range(8):
            try:
                objects[str(number)] = ioctx.read(
                    journal_data_oid(ioctx.get_pool_id(), image_id, number), MIB).hex()
            except rados.ObjectNotFound:
                continue
        return {"omap": omap(ioctx, oid), "objects": objects, "image id": image_id,
                "mirror uuid": omap(ioctx, "rbd_mirroring")["mirror_uuid"],
                "answers": {name: reply(ioctx, oid, call) for name, call in calls.items()}}


if __name__ == "__main__":
    sys.exit(main())
