"""Clients that write to images while administrators are at work."""

import random
import threading
from typing import Optional

import rbd

from qa.administration.contents import BLOCK, Contents, stamped
from qa.sites import Site

END_SECONDS = 60.0


class Client:
    """Writes to the image with this id from a thread, until it is stopped or refused.

    It notes in `contents` what it begins and what is acknowledged.
    """

    def __init__(self, site: Site, pool: str, id: str, contents: Contents,
                 rng: random.Random, pause: float = 0.01) -> None:
        self._site = site
        self._pool = pool
        self._id = id
        self._contents = contents
        self._rng = rng
        self._pause = pause
        self._enough = threading.Event()
        self.ended: Optional[str] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> bool:
        """Have it end; return whether it did."""
        self._enough.set()
        self._thread.join(END_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        cluster = self._site.rados()
        try:
            # What librbd still had in its cache would be acknowledged, and not written.
            cluster.conf_set("rbd_cache", "false")
            with cluster.open_ioctx(self._pool) as ioctx, \
                    rbd.Image(ioctx, image_id=self._id) as image:
                blocks = image.size() // BLOCK
                while not self._enough.wait(self._pause):
                    self._write(image, self._rng.randrange(blocks))
        except (rbd.Error, rbd.OSError) as error:
            self.ended = f"{type(error).__name__}: {error}"
        finally:
            cluster.shutdown()

    def _write(self, image: rbd.Image, block: int) -> None:
        data = stamped(self._rng.getrandbits(64))
        self._contents.begin(block, data)
        image.write(data, block * BLOCK)
        self._contents.acknowledge(block, data)
