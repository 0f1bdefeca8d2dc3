"""Two sites in memory, as far as the lists of mirrored images go."""

import json

from mirror_mgr.errors import NotFound
from mirror_mgr.wire.constants import ImageMode, MirrorImageState, MirrorMode, PeerDirection
from mirror_mgr.wire.encoding import Decoder, Encoder
from mirror_mgr.wire.header import MIRRORING, NAMESPACES
from mirror_mgr.wire.mirror import MirrorImage, MirrorPeer

PEER = MirrorPeer("peer-uuid", "b", "client.rbd-mirror-peer", direction=PeerDirection.RX_TX)


def mirrored(global_id, state=MirrorImageState.ENABLED, mode=ImageMode.SNAPSHOT):
    return MirrorImage(global_id, state, mode)


def mirroring(mode=MirrorMode.IMAGE, uuid="uuid", peers=(), images=None, source=None):
    """The omap of an rbd_mirroring object; `source` is the peer's namespace, if it names one."""
    omap = {"mirror_mode": Encoder().u32(mode).done(), "mirror_uuid": uuid.encode()}
    omap.update({f"mirror_peer_{peer.uuid}": peer.encode() for peer in peers})
    omap.update({f"image_{key}": image.encode() for key, image in (images or {}).items()})
    if source is not None:
        omap["remote_namespace"] = Encoder().string(source).done()
    return omap


class FakePool:
    """`omap_of` maps object names to omaps; what is not there is not found."""

    def __init__(self, omap_of=None, namespace=""):
        self.omap_of = omap_of or {}
        self.namespace = namespace
        self.namespaces = []
        self.pings = []
        self.error = None

    async def omap(self, oid, most=0):
        if self.error is not None:
            raise self.error
        if oid not in self.omap_of:
            raise NotFound(oid)
        return self.omap_of[oid]

    async def omap_entries(self, oid, keys):
        return {key: value for key, value in (await self.omap(oid)).items() if key in keys}

    async def call(self, oid, call):
        if self.error is not None:
            raise self.error
        if oid == NAMESPACES:
            if not self.namespaces:
                raise NotFound(oid)
            source = Decoder(call.data)
            after, count = source.string(), source.u64()
            page = sorted(name for name in self.namespaces if name > after)[:count]
            return Encoder().list_(page, Encoder.string).done()
        assert (oid, call.method) == (MIRRORING, "mirror_peer_ping")
        source = Decoder(call.data)
        self.pings.append((source.string(), source.string()))
        return b""


class FakeConnection:
    """`commands` maps config-keys to values."""

    def __init__(self, name, keys=None):
        self.name = name
        self.fsid = f"fsid-of-{name}"
        self.instance_id = 4100
        self.keys = keys or {}
        self.names = {2: "p"}
        self.pools = {}
        self.closed = False

    def pool(self, pool_id, namespace=""):
        return self.pools.setdefault((pool_id, namespace), FakePool(namespace=namespace))

    def pool_id(self, name):
        return next((pool_id for pool_id, other in self.names.items() if other == name), None)

    async def pool_names(self):
        return dict(self.names)

    async def run(self, function, *args):
        return function(*args)

    async def mon_command(self, command):
        assert command["prefix"] == "config-key get"
        if command["key"] not in self.keys:
            raise NotFound(command["key"])
        value = self.keys[command["key"]]
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    def conf_get(self, option):
        return ""

    def close(self):
        self.closed = True
