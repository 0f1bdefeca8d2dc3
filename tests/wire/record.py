#!/usr/bin/python3
"""Record the bytes that a real Ceph writes, for the tests beside this file.

    tests/wire/record.py CONF-OF-SITE-A CONF-OF-SITE-B

Both sites are to be scratch clusters (qa/lab up).  Makes pools and images of many kinds at site
a, mirrors some with the C++ daemon to site b, and writes what RADOS then holds, in hexadecimal,
with what ``rbd`` says of it, to recorded/*.json.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import rados
import rbd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mirror_mgr.wire import cls_lock, cls_rbd, image_state  # noqa: E402
from mirror_mgr.wire.cls import Call  # noqa: E402

RECORDED = Path(__file__).resolve().parent / "recorded"
POOL, DATA_POOL, NAMESPACE = "recorded", "recorded-data", "tenant"
KIB, MIB = 1 << 10, 1 << 20


class Site:
    """One cluster: its ``rbd`` and its objects."""

    def __init__(self, conf: str) -> None:
        self.conf = conf
        self.cluster = rados.Rados(conffile=conf)
        self.cluster.connect()

    def run(self, *argv: str) -> str:
        done = subprocess.run([argv[0], "-c", self.conf, *argv[1:]], check=True,
                              stdout=subprocess.PIPE, text=True)
        return done.stdout

    def rbd(self, *argv: str) -> str:
        return self.run("rbd", *argv)

    def rbd_json(self, *argv: str) -> Any:
        return json.loads(self.rbd(*argv, "--format", "json"))

    def ioctx(self, namespace: str = "") -> rados.Ioctx:
        ioctx = self.cluster.open_ioctx(POOL)
        ioctx.set_namespace(namespace)
        return ioctx


def omap(ioctx: rados.Ioctx, oid: str) -> Dict[str, str]:
    with rados.ReadOpCtx() as op:
        entries, _ = ioctx.get_omap_vals(op, "", "", 1024)
        ioctx.operate_read_op(op, oid)
        return {key: value.hex() for key, value in entries}


def reply(ioctx: rados.Ioctx, oid: str, call: Call) -> str:
    return ioctx.execute(oid, call.cls, call.method, call.data, MIB)[1].hex()


def save(name: str, content: Any) -> None:
    path = RECORDED / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def make_images(site: Site) -> None:
    for pool in (POOL, DATA_POOL):
        site.run("ceph", "osd", "pool", "create", pool, "8")
        site.rbd("pool", "init", pool)
    site.rbd("namespace", "create", f"{POOL}/{NAMESPACE}")
    site.rbd("mirror", "pool", "enable", "--site-name", "a", POOL, "image")
    site.rbd("mirror", "pool", "enable", f"{POOL}/{NAMESPACE}", "image")

    site.rbd("create", "--size", "40M", f"{POOL}/plain")
    write(site, "plain", [(0, b"0"), (9 * MIB, b"2"), (36 * MIB, b"9")])
    site.rbd("snap", "create", f"{POOL}/plain@kept")
    site.rbd("snap", "protect", f"{POOL}/plain@kept")
    write(site, "plain", [(9 * MIB, b"changed"), (13 * MIB, b"3")])
    site.rbd("resize", "--size", "50M", f"{POOL}/plain")
    site.rbd("snap", "create", f"{POOL}/plain@später")
    site.rbd("image-meta", "set", f"{POOL}/plain", "conf_rbd_cache", "false")
    site.rbd("image-meta", "set", f"{POOL}/plain", "ключ", "значение")
    site.rbd("snap", "limit", "set", "--limit", "7", f"{POOL}/plain")

    site.rbd("create", "--size", "10M", "--object-size", "64K", "--stripe-unit", "16K",
             "--stripe-count", "3", "--data-pool", DATA_POOL, f"{POOL}/striped")
    site.rbd("create", "--size", "1M", "--object-size", "4K", f"{POOL}/small-objects")
    for number in range(20):
        site.rbd("image-meta", "set", f"{POOL}/small-objects", f"key{number}", "x" * 300)
    site.rbd("create", "--size", "8M", "--image-feature", "layering", f"{POOL}/bare")
    site.rbd("create", "--size", "8M", f"{POOL}/{NAMESPACE}/inside")

    site.rbd("clone", "--rbd-default-clone-format", "1", f"{POOL}/plain@kept", f"{POOL}/clone-v1")
    site.rbd("clone", "--rbd-default-clone-format", "2", f"{POOL}/plain@kept", f"{POOL}/clone-v2")
    site.rbd("snap", "create", f"{POOL}/clone-v2@before")
    site.rbd("resize", "--size", "20M", "--allow-shrink", f"{POOL}/clone-v2")
    site.rbd("snap", "create", f"{POOL}/clone-v2@after")

    site.rbd("create", "--size", "8M", f"{POOL}/trashed-snapshot")
    site.rbd("snap", "create", f"{POOL}/trashed-snapshot@gone")
    site.rbd("clone", "--rbd-default-clone-format", "2", f"{POOL}/trashed-snapshot@gone",
             f"{POOL}/clone-of-trashed")
    site.rbd("snap", "rm", f"{POOL}/trashed-snapshot@gone")
    site.rbd("snap", "create", f"{POOL}/clone-of-trashed@while-cloned")

    site.rbd("create", "--size", "8M", f"{POOL}/grouped")
    site.rbd("group", "create", f"{POOL}/friends")
    site.rbd("group", "image", "add", f"{POOL}/friends", f"{POOL}/grouped")
    site.rbd("group", "snap", "create", f"{POOL}/friends@together")

    site.rbd("create", "--size", "8M", f"{POOL}/unwanted")
    site.rbd("trash", "mv", "--expires-at", "2040-01-01", f"{POOL}/unwanted")


def write(site: Site, name: str, pieces: List[Tuple[int, bytes]]) -> None:
    with site.ioctx() as ioctx, rbd.Image(ioctx, name) as image:
        for offset, data in pieces:
            image.write(data, offset)


def pair(a: Site, b: Site) -> None:
    b.run("ceph", "osd", "pool", "create", POOL, "8")
    b.rbd("pool", "init", POOL)
    b.rbd("namespace", "create", f"{POOL}/{NAMESPACE}")
    b.rbd("mirror", "pool", "enable", "--site-name", "b", POOL, "image")
    b.rbd("mirror", "pool", "enable", f"{POOL}/{NAMESPACE}", "image")
    token = Path(a.conf).with_name("recorded-token")
    token.write_text(a.rbd("mirror", "pool", "peer", "bootstrap", "create", POOL))
    b.rbd("mirror", "pool", "peer", "bootstrap", "import", POOL, str(token))
    token.unlink()


def copy_images(a: Site, b: Site) -> None:
    """Have the C++ daemon at site b copy some images of site a."""
    wait(lambda: a.rbd_json("mirror", "pool", "info", POOL)["peers"])
    for spec in ("plain", "small-objects", "striped", f"{NAMESPACE}/inside"):
        a.rbd("mirror", "image", "enable", f"{POOL}/{spec}", "snapshot")
    a.rbd("mirror", "image", "enable", f"{POOL}/bare", "snapshot")
    a.rbd("mirror", "image", "demote", f"{POOL}/bare")
    for spec in ("plain", "small-objects", "striped", f"{NAMESPACE}/inside"):
        wait(any_copied, b, spec)
    a.rbd("snap", "create", f"{POOL}/plain@third")
    a.rbd("mirror", "image", "snapshot", f"{POOL}/plain")
    wait(lambda: sum(copied(entry) for entry in snapshots(b, "plain")) == 1
         and len(snapshots(b, "plain")) == 4)
    for site in (a, b):
        for name in ("plain", "small-objects"):
            wait(has_status, site, name)


def has_status(site: Site, name: str) -> bool:
    with site.ioctx() as ioctx:
        try:
            mirrored(site, ioctx, name)
        except rados.ObjectNotFound:
            return False
    return True


def snapshots(site: Site, spec: str) -> List[Dict[str, Any]]:
    try:
        listed: List[Dict[str, Any]] = site.rbd_json("snap", "ls", "--all", f"{POOL}/{spec}")
    except subprocess.CalledProcessError:
        return []
    return listed


def any_copied(site: Site, spec: str) -> bool:
    return any(copied(entry) for entry in snapshots(site, spec))


def copied(snapshot: Dict[str, Any]) -> bool:
    namespace = snapshot["namespace"]
    return namespace["type"] == "mirror" and bool(namespace.get("complete"))


def wait(ready: Callable[..., Any], *args: Any) -> None:
    deadline = time.monotonic() + 120
    while not ready(*args):
        if time.monotonic() > deadline:
            raise TimeoutError("the sites did not get there")
        time.sleep(0.5)


def record_headers(a: Site, b: Site) -> None:
    specs = ("plain", "striped", "small-objects", "bare", f"{NAMESPACE}/inside", "clone-v1",
             "clone-v2", "trashed-snapshot", "clone-of-trashed", "grouped")
    content = {spec: header(a, spec) for spec in specs}
    content["plain at site b"] = header(b, "plain")
    content["striped at site b"] = header(b, "striped")
    save("headers", content)


def header(site: Site, spec: str) -> Dict[str, Any]:
    namespace, _, name = spec.rpartition("/")
    with site.ioctx(namespace) as ioctx, rbd.Image(ioctx, name, read_only=True) as image:
        image_id = image.id()
        maps = {}
        for snap_id in (None, *(snapshot["id"] for snapshot in image.list_snaps())):
            suffix = "" if snap_id is None else f".{snap_id:016x}"
            try:
                maps["head" if snap_id is None else str(snap_id)] = reply(
                    ioctx, f"rbd_object_map.{image_id}{suffix}", cls_rbd.object_map_load())
            except rados.ObjectNotFound:
                continue
        return {
            "omap": omap(ioctx, f"rbd_header.{image_id}"),
            "object maps": maps,
            "info": site.rbd_json("info", f"{POOL}/{spec}"),
            "snap ls": site.rbd_json("snap", "ls", "--all", f"{POOL}/{spec}"),
            "parent": parent(image),
            "metadata": dict(image.metadata_list()),
            "object count": image.stat()["num_objs"]}


def parent(image: rbd.Image) -> Dict[str, Any]:
    try:
        return {**image.get_parent_image_spec(), "overlap": image.overlap()}
    except rbd.ImageNotFound:
        return {}


def record_mirroring(a: Site, b: Site) -> None:
    content = {}
    for site, name in ((a, "a"), (b, "b")):
        with site.ioctx() as ioctx:
            content[f"site {name}"] = {
                "omap": omap(ioctx, "rbd_mirroring"),
                "info": without_keys(site.rbd_json("mirror", "pool", "info", POOL)),
                "mirror_image_list": reply(ioctx, "rbd_mirroring", cls_rbd.mirror_image_list()),
                "mirror_peer_list": reply(ioctx, "rbd_mirroring", cls_rbd.mirror_peer_list()),
                "mirror_uuid_get": reply(ioctx, "rbd_mirroring", cls_rbd.mirror_uuid_get()),
                "mirror_mode_get": reply(ioctx, "rbd_mirroring", cls_rbd.mirror_mode_get()),
                "images": {name: mirrored(site, ioctx, name)
                           for name in ("plain", "small-objects")}}
    with a.ioctx(NAMESPACE) as ioctx:
        content["namespace"] = {"omap": omap(ioctx, "rbd_mirroring")}
    save("mirroring", content)


def without_keys(info: Dict[str, Any]) -> Dict[str, Any]:
    return {**info, "peers": [{**peer, "key": "", "mon_host": ""} for peer in info["peers"]]}


def mirrored(site: Site, ioctx: rados.Ioctx, name: str) -> Dict[str, Any]:
    with rbd.Image(ioctx, name, read_only=True) as image:
        image_id, global_id = image.id(), image.mirror_image_get_info()["global_id"]
    answers = {
        method: reply(ioctx, "rbd_mirroring", getattr(cls_rbd, method)(argument))
        for method, argument in (("mirror_image_get", image_id),
                                 ("mirror_image_get_image_id", global_id),
                                 ("mirror_image_status_get", global_id))}
    return {**answers, "id": image_id, "global id": global_id,
            "status": site.rbd_json("mirror", "image", "status", f"{POOL}/{name}")}


def record_image_states(a: Site, b: Site) -> None:
    content = {}
    for site, where in ((a, "a"), (b, "b")):
        with site.ioctx() as ioctx:
            for name in ("plain", "small-objects", "striped"):
                with rbd.Image(ioctx, name, read_only=True) as image:
                    image_id = image.id()
                for entry in snapshots(site, name):
                    if entry["namespace"]["type"] == "mirror":
                        oid = f"rbd_mirror_snapshot.{image_id}.{entry['id']}"
                        content[f"{name}@{entry['id']} at site {where}"] = [
                            data.hex() for data in state_objects(ioctx, oid)]
    save("image_states", content)


def state_objects(ioctx: rados.Ioctx, oid: str) -> List[bytes]:
    first = ioctx.read(f"{oid}.0", 8 * MIB)
    return [first] + [ioctx.read(f"{oid}.{number}", 8 * MIB)
                      for number in range(1, image_state.object_count(first))]


def record_listings(a: Site) -> None:
    with a.ioctx() as ioctx:
        save("listings", {
            "dir_list": reply(ioctx, "rbd_directory", cls_rbd.dir_list()),
            "dir_get_id": reply(ioctx, "rbd_directory", cls_rbd.dir_get_id("plain")),
            "get_id": reply(ioctx, "rbd_id.plain", cls_rbd.get_id()),
            "namespace_list": reply(ioctx, "rbd_namespace", cls_rbd.namespace_list()),
            "trash_list": reply(ioctx, "rbd_trash", cls_rbd.trash_list()),
            "ls": a.rbd_json("ls", POOL),
            "plain": a.rbd_json("info", f"{POOL}/plain"),
            "trash ls": a.rbd_json("trash", "ls", "--long", POOL)})


def record_lock(a: Site) -> None:
    """A lock of librbd, and what it tells others when it takes and hands over the lock."""
    with a.ioctx() as ioctx:
        with rbd.Image(ioctx, "grouped") as image:
            oid = f"rbd_header.{image.id()}"
            heard: List[bytes] = []
            watch = ioctx.watch(oid, lambda *args: heard.append(bytes(args[3])))
            image.write(b"locks", 0)
            info = reply(ioctx, oid, cls_lock.get_info(cls_lock.IMAGE_LOCK))
            listed = a.rbd_json("lock", "ls", f"{POOL}/grouped")
            # Another client wants the lock and gets it.
            a.rbd("resize", "--size", "16M", f"{POOL}/grouped")
            a.rbd("bench", "--io-type", "write", "--io-total", "4K", f"{POOL}/grouped")
        wait(lambda: {message[6] for message in heard if message} >= {0, 1, 2, 3})
        watch.close()
    save("lock", {"get_info": info, "lock ls": listed,
                  "notified": list(dict.fromkeys(message.hex() for message in heard))})


def record_leader(b: Site, daemon: "Daemon") -> None:
    """What the daemon says as a pool's leader."""
    with b.ioctx() as ioctx:
        heard: List[bytes] = []
        watch = ioctx.watch("rbd_mirror_leader", lambda *args: heard.append(bytes(args[3])))
        wait(lambda: heard)
        info = reply(ioctx, "rbd_mirror_leader", cls_lock.get_info(cls_lock.IMAGE_LOCK))
        instances = reply(ioctx, "rbd_mirror_leader", cls_rbd.mirror_instances_list())
        daemon.stop()
        wait(lambda: any(message[6] == 2 for message in heard))
        watch.close()
    save("leader", {"get_info": info, "mirror_instances_list": instances,
                    "notified": sorted({message.hex() for message in heard})})


def record_mirroring_notices(a: Site) -> None:
    with a.ioctx() as ioctx:
        heard: List[bytes] = []
        watch = ioctx.watch("rbd_mirroring", lambda *args: heard.append(bytes(args[3])))
        a.rbd("mirror", "image", "enable", f"{POOL}/trashed-snapshot", "snapshot")
        a.rbd("mirror", "image", "disable", f"{POOL}/trashed-snapshot")
        a.rbd("mirror", "pool", "enable", POOL, "pool")
        wait(lambda: any(message[6] == 0 for message in heard))
        with rbd.Image(ioctx, "trashed-snapshot") as image:
            image_id = image.id()
        watch.close()
    save("mirroring_notices", {"notified": [message.hex() for message in heard],
                               "image id": image_id})


class Daemon:
    """The C++ rbd-mirror."""

    def __init__(self, site: Site) -> None:
        self._process = subprocess.Popen(
            ["rbd-mirror", "-f", "-n", "client.admin", "-c", site.conf],
            env={**os.environ, "CEPH_CONF": site.conf},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    a, b = Site(sys.argv[1]), Site(sys.argv[2])
    RECORDED.mkdir(exist_ok=True)
    make_images(a)
    pair(a, b)
    daemon = Daemon(b)
    try:
        copy_images(a, b)
        record_headers(a, b)
        record_mirroring(a, b)
        record_image_states(a, b)
        record_listings(a)
        record_lock(a)
        record_mirroring_notices(a)
        record_leader(b, daemon)
    finally:
        daemon.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
