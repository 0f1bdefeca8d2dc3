"""The ceph.conf of one site of a lab."""

from pathlib import Path

GIB = 1 << 30


def render(directory: Path, fsid: str, port: int, ports: int, memstore: bool, classes: str) -> str:
    """Return the text of the site's ceph.conf.

    `port` is the first of `ports` TCP ports of its own: two for the monitor, the rest for the
    other daemons to bind to. `classes` is the folder of the OSDs' object classes.
    """
    store = _MEMSTORE if memstore else _BLUESTORE
    return _CONF.format(
        directory=directory,
        fsid=fsid,
        v2=port,
        v1=port + 1,
        bind_min=port + 2,
        bind_max=port + ports - 1,
        store=store,
        classes=classes,
    )


_BLUESTORE = f"""osd objectstore = bluestore
bluestore block create = true
bluestore block size = {20 * GIB}"""

_MEMSTORE = f"""osd objectstore = memstore
memstore device bytes = {4 * GIB}"""

# [client] keeps the default of no log file and no admin socket: every `ceph` and `rbd` call would
# leave some behind. The keyring of any client is found by its name.
_CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind port min = {bind_min}
ms bind port max = {bind_max}
run dir = {directory}/run
crash dir = {directory}/crash
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
debug ms = 0/0
debug rocksdb = 1/1
debug bluestore = 1/1
debug bluefs = 1/1
debug bdev = 1/1

[mon]
mon data = {directory}/mon.a
mon initial members = a
mon data avail warn = 1
mon data avail crit = 1
mon cluster log file = {directory}/log/cluster.log
mgr initial modules = iostat
debug mon = 1/1
debug paxos = 1/1
log file = {directory}/log/$name.log
pid file = {directory}/run/$name.pid
admin socket = {directory}/run/$name.asok

[mgr]
mgr data = {directory}/mgr.x
mgr module path = {directory}/modules
keyring = {directory}/keyrings/$name.keyring
debug mgr = 1/1
log file = {directory}/log/$name.log
pid file = {directory}/run/$name.pid
admin socket = {directory}/run/$name.asok

[osd]
osd data = {directory}/$name
osd class dir = {classes}
osd memory target = {osd_memory}
osd max object name len = 460
osd max object namespace len = 64
keyring = {directory}/keyrings/$name.keyring
debug osd = 1/1
log file = {directory}/log/$name.log
pid file = {directory}/run/$name.pid
admin socket = {directory}/run/$name.asok
{store}

[client]
keyring = {directory}/keyrings/$name.keyring
""".replace("{osd_memory}", str(900 << 20))
