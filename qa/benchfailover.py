"""The failover of a whole pool by the `rbd` CLI and by our commands, with the same replayers."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Tuple

from qa.replayers import Worker
from qa.sites import Lab, Site
from qa.waiting import wait_for

SECONDS = 300.0
TOOLS: Dict[str, Tuple[str, ...]] = {
    "rbd": ("rbd", "mirror", "pool"),
    "ours": ("ceph", "rbd-mirror", "pool"),
}


def measure(lab: Lab, images: int) -> Dict[str, List[Dict[str, float]]]:
    """Fail a pool of small images over and back with each tool; return seconds by step.

    The lab has mirror_mgr, told to run no workers: both tools have the same one at each site.
    """
    sites = (lab.sites["site-a"], lab.sites["site-b"])
    workers = [Worker(site) for site in sites]
    for worker in workers:
        worker.start()
    try:
        return {tool: _there_and_back(sites, f"failover-{tool}", words, images)
                for tool, words in TOOLS.items()}
    finally:
        for worker in workers:
            worker.stop()


def _there_and_back(sites: Tuple[Site, Site], pool: str, words: Tuple[str, ...],
                    images: int) -> List[Dict[str, float]]:
    _fill(sites, pool, images)
    return [_fail_over(old, new, pool, words, images) for old, new in (sites, sites[::-1])]


def _fill(sites: Tuple[Site, Site], pool: str, images: int) -> None:
    primary, copy = sites
    for site in sites:
        site.create_pool(pool)
        site.ceph("rbd-mirror", "pool", "enable", pool, "image", "--site-name", site.name)
    token = primary.ceph("rbd-mirror", "pool", "peer", "bootstrap", "create", pool)
    copy.ceph("rbd-mirror", "pool", "peer", "bootstrap", "import", pool, "-i", "-", input=token)

    def make(number: int) -> None:
        primary.rbd("create", f"{pool}/image{number}", "--size", "4M")
        primary.rbd("mirror", "image", "enable", f"{pool}/image{number}", "snapshot")

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(make, range(images)))
    _wait_states(copy, pool, {"replaying": images})


def _fail_over(old: Site, new: Site, pool: str, words: Tuple[str, ...],
               images: int) -> Dict[str, float]:
    print(f"{words[0]}: failover of {images} images to {new.name}", flush=True)
    started = time.monotonic()
    _run(old, *words, "demote", pool)
    demoted = time.monotonic()
    _wait_states(new, pool, {"unknown": images})
    synced = time.monotonic()
    _run(new, *words, "promote", pool)
    promoted = time.monotonic()
    _wait_states(old, pool, {"replaying": images})
    return {"demote": demoted - started, "last_sync": synced - demoted,
            "promote": promoted - synced, "whole": promoted - started}


def _run(site: Site, program: str, *words: str) -> None:
    done = site.run(program, *words)
    assert not done.returncode, done


def _wait_states(site: Site, pool: str, states: Dict[str, int]) -> None:
    def reached() -> bool:
        return bool(site.rbd_json("mirror", "pool", "status", pool)["summary"]["states"] == states)

    wait_for(reached, SECONDS, lambda: site.rbd("mirror", "pool", "status", pool), 0.05)
